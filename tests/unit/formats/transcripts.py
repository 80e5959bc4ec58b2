"""Transcripts for the tests of the formats."""

from domain.transcript import Segment, Transcript, Word


def make_transcript(*segments: Segment, **changes: object) -> Transcript:
    values = {
        "segments": segments,
        "language": "en",
        "language_probability": None,
        "task": "transcribe",
        "duration_s": segments[-1].end if segments else 0.0,
        "model_requested": "base",
        "model_used": "base",
        "engine": "fake",
        "device": "cpu",
    }
    return Transcript(**{**values, **changes})


def make_segment(text: str, start: float, end: float, *words: Word, number: int = 0) -> Segment:
    return Segment(id=number, seek=0, start=start, end=end, text=text, words=words or None)


def evenly(text: str, start: float, step_s: float) -> tuple[Word, ...]:
    """Words of equal length without pauses, blanks in front as Whisper has them."""
    return tuple(
        Word(f" {word}", start + index * step_s, start + (index + 1) * step_s)
        for index, word in enumerate(text.split())
    )
