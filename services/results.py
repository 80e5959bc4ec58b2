"""A transcript as columns, and back."""

import math
from dataclasses import asdict
from typing import Any

from domain.transcript import (
    Fallback,
    Transcript,
    Warning_,
    coverage_from_dict,
    segments_from_dicts,
)
from models import TranscriptionResult


def result_values(transcript: Transcript) -> dict[str, Any]:
    """The columns of transcription_results that hold this transcript."""
    return {
        "transcription_text": storable(transcript.text),
        "language": transcript.language,
        "language_probability": transcript.language_probability,
        "duration": transcript.duration_s,
        "word_count": transcript.word_count,
        "confidence": transcript.confidence,
        "segments": [_finite(storable(asdict(segment))) for segment in transcript.segments],
        "task": transcript.task,
        "model_requested": transcript.model_requested,
        "model_used": transcript.model_used,
        "engine": transcript.engine,
        "device": transcript.device,
        "fallbacks": [asdict(fallback) for fallback in transcript.fallbacks],
        "warnings": [asdict(warning) for warning in transcript.warnings],
        "timings": dict(transcript.timings_s),
        "coverage": asdict(transcript.coverage) if transcript.coverage else None,
    }


def transcript_of(row: TranscriptionResult) -> Transcript:
    """Undo `result_values`."""
    return Transcript(
        segments=segments_from_dicts(row.segments),
        language=row.language,
        language_probability=row.language_probability,
        task=row.task,
        duration_s=row.duration,
        model_requested=row.model_requested,
        model_used=row.model_used,
        engine=row.engine,
        device=row.device,
        fallbacks=tuple(Fallback(**item) for item in row.fallbacks),
        warnings=tuple(Warning_(**item) for item in row.warnings),
        timings_s=dict(row.timings),
        coverage=coverage_from_dict(row.coverage) if row.coverage else None,
    )


def storable(value: Any) -> Any:
    """Without NUL characters, which Postgres refuses and a model could in theory emit."""
    if isinstance(value, str):
        return value.replace("\x00", "")
    if isinstance(value, dict):
        return {key: storable(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [storable(item) for item in value]
    return value


def _finite(value: Any) -> Any:
    """With None for numbers that JSON does not know: one of them must not cost the result."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_finite(item) for item in value]
    return value
