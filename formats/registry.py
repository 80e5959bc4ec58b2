"""The formats by name."""

from collections.abc import Callable
from dataclasses import dataclass

from domain.errors import OptionInvalid
from domain.transcript import Transcript
from formats.cues import Layout
from formats.structured import render_json, render_verbose_json
from formats.subtitles import render_srt, render_vtt
from formats.text import render_tsv, render_txt


@dataclass(frozen=True)
class Format:
    """One way to write a transcript."""

    render: Callable[[Transcript, Layout], str]
    media_type: str
    extension: str


def _plain(render: Callable[[Transcript], str]) -> Callable[[Transcript, Layout], str]:
    return lambda transcript, _layout: render(transcript)


FORMATS: dict[str, Format] = {
    "txt": Format(_plain(render_txt), "text/plain", "txt"),
    "srt": Format(render_srt, "application/x-subrip", "srt"),
    "vtt": Format(render_vtt, "text/vtt", "vtt"),
    "tsv": Format(_plain(render_tsv), "text/tab-separated-values", "tsv"),
    "json": Format(_plain(render_json), "application/json", "json"),
    "verbose_json": Format(_plain(render_verbose_json), "application/json", "json"),
}


def render(
    transcript: Transcript,
    name: str,
    *,
    max_line_width: int | None = None,
    max_line_count: int | None = None,
) -> str:
    """The transcript as text in the format of that name.

    The limits (characters per line, lines per block) are for srt and vtt; the other formats
    have no lines to break. Raises OptionInvalid for an unknown name or a limit below 1.
    """
    if name not in FORMATS:
        raise OptionInvalid(
            f"unknown format {name[:40]!r}", option="format", value=name[:40], allowed=[*FORMATS]
        )
    limits = {"max_line_width": max_line_width, "max_line_count": max_line_count}
    for option, value in limits.items():
        if value is not None and value < 1:
            raise OptionInvalid(f"{option} must be at least 1", option=option, value=value)
    return FORMATS[name].render(transcript, Layout(**limits))
