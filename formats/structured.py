"""JSON: all that is known, and the shape that clients of OpenAI's API read."""

import json
import math
from dataclasses import asdict
from typing import Any

from domain.languages import LANGUAGES
from domain.transcript import Segment, Transcript

OPENAI_SEGMENT = (
    "id",
    "seek",
    "start",
    "end",
    "text",
    "tokens",
    "temperature",
    "avg_logprob",
    "compression_ratio",
    "no_speech_prob",
)


def render_json(transcript: Transcript) -> str:
    """Everything about the transcript. What is unknown is null; `words` only where asked for."""
    return _dump(
        {
            "text": transcript.text,
            "language": transcript.language,
            "language_probability": transcript.language_probability,
            "task": transcript.task,
            "duration": transcript.duration_s,
            "word_count": transcript.word_count,
            "confidence": transcript.confidence,
            "model_requested": transcript.model_requested,
            "model_used": transcript.model_used,
            "engine": transcript.engine,
            "device": transcript.device,
            "fallbacks": [asdict(fallback) for fallback in transcript.fallbacks],
            "warnings": [asdict(warning) for warning in transcript.warnings],
            "timings_s": transcript.timings_s,
            "coverage": _coverage(transcript),
            "segments": [_segment(segment) for segment in transcript.segments],
        }
    )


def render_verbose_json(transcript: Transcript) -> str:
    """OpenAI's `verbose_json`: the language by its English name, words beside the segments.

    `coverage` is ours; OpenAI's client keeps what it does not know.
    """
    body: dict[str, Any] = {
        "task": transcript.task,
        "language": LANGUAGES.get(transcript.language, transcript.language),
        "duration": transcript.duration_s,
        "text": transcript.text,
        "segments": [
            {name: getattr(segment, name) for name in OPENAI_SEGMENT}
            for segment in transcript.segments
        ],
        "usage": {"type": "duration", "seconds": math.ceil(transcript.duration_s)},
        "coverage": _coverage(transcript),
    }
    if any(segment.words is not None for segment in transcript.segments):
        body["words"] = [
            {"word": word.word.strip(), "start": word.start, "end": word.end}
            for segment in transcript.segments
            for word in segment.words or ()
        ]
    return _dump(body)


def _coverage(transcript: Transcript) -> dict[str, Any] | None:
    return asdict(transcript.coverage) if transcript.coverage else None


def _segment(segment: Segment) -> dict[str, Any]:
    item = dict(vars(segment))  # asdict copies every value: seconds for a day of speech
    words = item.pop("words")
    if words is not None:
        item["words"] = [vars(word) for word in words]
    return item


def _dump(body: dict[str, Any]) -> str:
    return json.dumps(_without_nan(body), ensure_ascii=False, allow_nan=False)


def _without_nan(value: Any) -> Any:
    """Null for a number that is none: JSON has no word for NaN, and no reader expects one."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(item) for item in value]
    return value
