"""A transcript as ElevenLabs' speech-to-text API answers it. Pure: webhooks carry it too."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from domain.language_codes import three_letters
from domain.transcript import Transcript
from formats.doors.elevenlabs_exports import render_export
from formats.doors.elevenlabs_words import Piece, make_pieces, spread
from formats.doors.notes import notes_of

WEBHOOK_TYPE = "speech_to_text_transcription"


def render_transcription(
    transcript: Transcript, *, transcription_id: str, fields: Mapping[str, Any]
) -> dict[str, Any]:
    """The whole answer, as JSON types.

    `fields` is what the door kept of the request: `timestamps_granularity` (none, word or
    character; word when absent) and `additional_formats` (a list of names with options).
    """
    granularity = fields.get("timestamps_granularity") or "word"
    probability = transcript.language_probability
    answer: dict[str, Any] = {
        "language_code": three_letters(transcript.language),
        # Nobody guessed when the caller chose the language.
        "language_probability": 1.0 if probability is None else probability,
        "text": transcript.text,
        "words": [_word(piece, granularity) for piece in make_pieces(transcript)],
        "transcription_id": transcription_id,
        "audio_duration_secs": round(transcript.duration_s, 3),
    }
    if wanted := fields.get("additional_formats"):
        answer["additional_formats"] = [render_export(transcript, each) for each in wanted]
    if notes := notes_of(transcript):
        # Ours; ElevenLabs' client keeps what it does not know. Nothing is hidden from the reader.
        answer["warnings"] = [asdict(note) for note in notes]
    return answer


def render_webhook(
    transcription: Mapping[str, Any] | None, *, request_id: str, metadata: Any, timestamp_s: int
) -> dict[str, Any]:
    """The body that tells of a transcription, or that there is none. `timestamp_s`: Unix time."""
    return {
        "type": WEBHOOK_TYPE,
        "event_timestamp": timestamp_s,
        "data": {
            "request_id": request_id,
            "webhook_metadata": metadata,
            "transcription": None if transcription is None else dict(transcription),
        },
    }


def _word(piece: Piece, granularity: str) -> dict[str, Any]:
    item: dict[str, Any] = {"text": piece.text, "type": piece.type, "logprob": piece.logprob}
    if granularity == "none" or piece.start is None or piece.end is None:
        return item
    item |= {"start": round(piece.start, 3), "end": round(piece.end, 3)}
    if granularity == "character":
        item["characters"] = [
            {"text": character, "start": round(start, 3), "end": round(end, 3)}
            for character, start, end in spread(piece.text, piece.start, piece.end)
        ]
    return item
