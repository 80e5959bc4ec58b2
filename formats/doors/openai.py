"""Transcripts, stream events and errors in the shapes of OpenAI's audio API."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from domain.transcript import Transcript
from formats.registry import FORMATS, render
from formats.structured import render_verbose_json

# By OpenAI's word for a format; `text` is the whole text in one line, so it is not our txt.
OUR_FORMAT = {"srt": "srt", "vtt": "vtt"}
TEXT, JSON, VERBOSE = "text", "json", "verbose_json"
SEGMENT, WORD = "segment", "word"
NAMES_LANGUAGES = "gpt-transcribe"  # the one model whose answers list the languages
AUDIO_TOKENS_PER_S = 50  # positions of Whisper's encoder


@dataclass(frozen=True)
class Rendered:
    """A body and its media type."""

    body: str
    media_type: str


def render_answer(transcript: Transcript, asked: Mapping[str, Any]) -> Rendered:
    """The transcript as it was asked for.

    `asked` has `response_format`, `model` (as the client named it) and, for verbose_json,
    `timestamp_granularities`.
    """
    name = asked["response_format"]
    if name in OUR_FORMAT:
        ours = OUR_FORMAT[name]
        return Rendered(render(transcript, ours), FORMATS[ours].media_type)
    if name == TEXT:
        return Rendered(f"{transcript.text}\n", "text/plain")
    if name == VERBOSE:
        body = _verbose(transcript, asked.get("timestamp_granularities") or (SEGMENT,))
    else:
        seconds = math.ceil(transcript.duration_s)
        body = {
            "text": transcript.text,
            **_languages(transcript, asked),
            "usage": {"type": "duration", "seconds": seconds},
        }
    return Rendered(json.dumps(body, ensure_ascii=False), "application/json")


def delta_event(text: str) -> dict[str, Any]:
    """More text, as it is decoded."""
    return {"type": "transcript.text.delta", "delta": text}


def done_event(transcript: Transcript, asked: Mapping[str, Any]) -> dict[str, Any]:
    """The whole text, at the end of a stream.

    The usage is in tokens, as these events have it: those that were decoded, and for the
    recording the positions of Whisper's encoder.
    """
    heard = math.ceil(transcript.duration_s * AUDIO_TOKENS_PER_S)
    said = sum(len(segment.tokens) for segment in transcript.segments)
    return {
        "type": "transcript.text.done",
        "text": transcript.text,
        **_languages(transcript, asked),
        "usage": {
            "type": "tokens",
            "input_tokens": heard,
            "input_token_details": {"audio_tokens": heard},
            "output_tokens": said,
            "total_tokens": heard + said,
        },
    }


def error_body(message: str, kind: str, param: str | None, code: str) -> dict[str, Any]:
    """The error object, in an answer and in a stream."""
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


def _verbose(transcript: Transcript, granularities: Sequence[str]) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(render_verbose_json(transcript))
    if transcript.task == "translate":
        body["language"] = "english"  # of the text, not of the speech
    if SEGMENT not in granularities:
        del body["segments"]
    if WORD not in granularities:
        body.pop("words", None)
    return body


def _languages(transcript: Transcript, asked: Mapping[str, Any]) -> dict[str, Any]:
    if asked.get("model") != NAMES_LANGUAGES:
        return {}
    return {"languages": [{"code": transcript.language}]}
