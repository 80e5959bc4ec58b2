"""Subtitle files: SubRip, and WebVTT (W3C, 4 April 2019)."""

from html import escape

from domain.transcript import Transcript
from formats.cues import Layout, make_cues


def render_srt(transcript: Transcript, layout: Layout) -> str:
    """SubRip: numbered blocks. Empty for a transcript without text."""
    blocks = []
    for number, cue in enumerate(make_cues(transcript, layout), start=1):
        times = f"{timestamp(cue.start_ms, ',')} --> {timestamp(cue.end_ms, ',')}"
        # SubRip has no escapes, and readers take a line with this arrow for a line of times.
        text = "\n".join(cue.lines).replace("-->", "->")
        blocks.append(f"{number}\n{times}\n{text}\n")
    return "\n".join(blocks)


def render_vtt(transcript: Transcript, layout: Layout) -> str:
    """WebVTT, the text escaped as its cue grammar wants it."""
    blocks = ["WEBVTT\n"]
    for cue in make_cues(transcript, layout):
        times = f"{timestamp(cue.start_ms, '.')} --> {timestamp(cue.end_ms, '.')}"
        text = escape("\n".join(cue.lines), quote=False)  # takes the arrow with it
        blocks.append(f"{times}\n{text}\n")
    return "\n".join(blocks)


def timestamp(milliseconds: int, marker: str) -> str:
    """HH:MM:SS<marker>mmm; hours grow past two digits when they must."""
    minutes, ms = divmod(milliseconds, 60_000)
    hours, minutes = divmod(minutes, 60)
    seconds, ms = divmod(ms, 1000)
    return f"{hours:02}:{minutes:02}:{seconds:02}{marker}{ms:03}"
