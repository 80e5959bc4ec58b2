"""A transcript as Deepgram's `POST /v1/listen` answers it, and its errors."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any
from uuid import UUID, uuid5

from domain.transcript import Transcript, Word
from formats.doors.notes import notes_of
from formats.doors.passages import (
    Passage,
    joined,
    paragraphs,
    sentences,
    timed_words,
    utterances,
)
from formats.doors.unformatted import bare_word, unformatted

DEFAULT_SPLIT_S = 0.8  # Deepgram's own `utt_split`

# Codes that Deepgram's clients match on; everything else is a bad request to them.
ERR_CODES = {
    HTTPStatus.UNAUTHORIZED: "INVALID_AUTH",
    HTTPStatus.FORBIDDEN: "INSUFFICIENT_PERMISSIONS",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "Payload Too Large",
    HTTPStatus.TOO_MANY_REQUESTS: "TOO_MANY_REQUESTS",
}
ERR_CODES_OF_OURS = {
    "option_invalid": "INVALID_QUERY_PARAMETER",
    "source_url_refused": "REMOTE_CONTENT_ERROR",
    "source_unavailable": "REMOTE_CONTENT_ERROR",
}


def render_listen(
    transcript: Transcript,
    *,
    request_id: UUID,
    sha256: str,
    created_at: datetime,
    asked: Mapping[str, Any],
) -> dict[str, Any]:
    """The answer, and the body of a callback.

    `asked` is what the door keeps of the request: `punctuate`, `paragraphs`, `utterances`,
    `utt_split`, `tag`, `extra`. All channels of a recording are heard as one.
    """
    is_punctuated = asked.get("punctuate") is not False
    written = unformatted(transcript, punctuated=is_punctuated, capitalised=is_punctuated)
    words = timed_words(written)
    results: dict[str, Any] = {
        "channels": [_channel(written, words, asked, is_punctuated=is_punctuated)]
    }
    if asked.get("utterances"):
        found = utterances(words, asked.get("utt_split") or DEFAULT_SPLIT_S)
        results["utterances"] = [
            _utterance(passage, str(uuid5(request_id, str(number))), is_punctuated=is_punctuated)
            for number, passage in enumerate(found)
        ]
    metadata = _metadata(
        transcript, request_id=request_id, sha256=sha256, created_at=created_at, asked=asked
    )
    return {"metadata": metadata, "results": results}


def render_accepted(request_id: UUID) -> dict[str, Any]:
    """The answer to a request with a callback."""
    return {"request_id": str(request_id)}


def render_error(status: int, code: str, message: str, request_id: str) -> dict[str, Any]:
    """A failure in Deepgram's shape; `code` is ours, as in docs/api.md, `status` that of HTTP."""
    known = ERR_CODES_OF_OURS.get(code) or ERR_CODES.get(HTTPStatus(status))
    fallback = HTTPStatus(status).name if status >= HTTPStatus.INTERNAL_SERVER_ERROR else None
    return {
        "err_code": known or fallback or "Bad Request",
        "err_msg": message,
        "request_id": request_id,
    }


def _metadata(
    transcript: Transcript,
    *,
    request_id: UUID,
    sha256: str,
    created_at: datetime,
    asked: Mapping[str, Any],
) -> dict[str, Any]:
    model = transcript.model_used
    metadata: dict[str, Any] = {
        "transaction_key": "deprecated",  # Deepgram's own word
        "request_id": str(request_id),
        "sha256": sha256,
        "created": _moment(created_at),
        "duration": transcript.duration_s,
        "channels": 1,
        "models": [model],
        "model_info": {
            model: {"name": model, "version": transcript.engine, "arch": "whisper"},
        },
    }
    if asked.get("tag"):
        metadata["tags"] = [*asked["tag"]]
    if asked.get("extra"):
        metadata["extra"] = dict(asked["extra"])
    if notes := notes_of(transcript):
        metadata["warnings"] = [{"type": note.code, "message": note.message} for note in notes]
    return metadata


def _channel(
    transcript: Transcript, words: Sequence[Word], asked: Mapping[str, Any], *, is_punctuated: bool
) -> dict[str, Any]:
    alternative: dict[str, Any] = {
        "transcript": transcript.text,
        "confidence": transcript.confidence or 0.0,
        "words": _words(words, is_punctuated=is_punctuated),
    }
    if asked.get("paragraphs"):
        alternative["paragraphs"] = _paragraphs(words)
    channel: dict[str, Any] = {"alternatives": [alternative]}
    if transcript.language_probability is not None:
        channel["detected_language"] = transcript.language
        channel["language_confidence"] = transcript.language_probability
    return channel


def _words(words: Sequence[Word], *, is_punctuated: bool) -> list[dict[str, Any]]:
    return [
        {
            "word": bare_word(word.word),
            "start": word.start,
            "end": word.end,
            "confidence": word.probability or 0.0,
            **({"punctuated_word": word.word.strip()} if is_punctuated else {}),
        }
        for word in words
    ]


def _paragraphs(words: Sequence[Word]) -> dict[str, Any]:
    groups = paragraphs(sentences(words))
    wholes = [joined(group) for group in groups]
    return {
        "transcript": "\n\n".join(whole.text for whole in wholes),
        "paragraphs": [
            {
                "sentences": [
                    {"text": sentence.text, "start": sentence.start, "end": sentence.end}
                    for sentence in group
                ],
                "num_words": len(whole.words),
                "start": whole.start,
                "end": whole.end,
            }
            for group, whole in zip(groups, wholes, strict=True)
        ],
    }


def _utterance(passage: Passage, name: str, *, is_punctuated: bool) -> dict[str, Any]:
    return {
        "start": passage.start,
        "end": passage.end,
        "confidence": passage.confidence,
        "channel": 0,
        "transcript": passage.text,
        "words": _words(passage.words, is_punctuated=is_punctuated),
        "id": name,
    }


def _moment(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
