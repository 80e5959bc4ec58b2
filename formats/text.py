"""Plain text and tab-separated values, one line per segment."""

from collections.abc import Iterator

from domain.transcript import Segment, Transcript
from formats.breaking import clean


def render_txt(transcript: Transcript) -> str:
    """One line per segment, as Whisper's own writer has it."""
    return "".join(f"{text}\n" for _, text in _lines(transcript))


def render_tsv(transcript: Transcript) -> str:
    """Start and end in whole ms, and the text; the first row names the columns."""
    rows = ["start\tend\ttext\n"]
    for segment, text in _lines(transcript):
        rows.append(f"{round(segment.start * 1000)}\t{round(segment.end * 1000)}\t{text}\n")
    return "".join(rows)


def _lines(transcript: Transcript) -> Iterator[tuple[Segment, str]]:
    for segment in transcript.segments:
        if text := clean(segment.text).strip():
            yield segment, text
