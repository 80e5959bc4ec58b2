"""What ElevenLabs calls additional formats: the transcript once more, cut for reading."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from html import escape
from typing import Any

from domain.language_codes import three_letters
from domain.transcript import Segment, Transcript, Word
from formats.breaking import chunks, clean
from formats.cues import Layout
from formats.doors.elevenlabs_words import Piece, make_pieces
from formats.subtitles import render_srt, timestamp

# ElevenLabs' own, as its published specification has them; the other formats have none.
SRT_DEFAULTS = {
    "max_characters_per_line": 42,
    "segment_on_silence_longer_than_s": 0.8,
    "max_segment_duration_s": 4.0,
    "max_segment_chars": 84,
}
TXT_DEFAULTS = {"max_characters_per_line": 100}


@dataclass(frozen=True)
class Limits:
    """Where one part of the text ends and the next begins; None sets no limit."""

    silence_s: float | None = None
    duration_s: float | None = None
    chars: int | None = None

    @property
    def is_set(self) -> bool:
        """Whether there is any limit."""
        return (self.silence_s, self.duration_s, self.chars) != (None, None, None)


@dataclass(frozen=True)
class Part:
    """A stretch of the text that stands by itself. Times in seconds."""

    pieces: Sequence[Piece]

    @property
    def start(self) -> float:
        """When its first word begins."""
        return self.pieces[0].start or 0.0

    @property
    def end(self) -> float:
        """When its last word ends."""
        return self.pieces[-1].end or 0.0

    @property
    def text(self) -> str:
        """Its words and what stands between them."""
        return "".join(piece.text for piece in self.pieces)


@dataclass(frozen=True)
class _Work:
    """What a format is written from, and how long its lines may be."""

    transcript: Transcript
    parts: Sequence[Part]
    max_line_width: int | None
    has_times: bool


def render_export(transcript: Transcript, wanted: Mapping[str, Any]) -> dict[str, Any]:
    """One additional format: `wanted` is its name under `format` and its options.

    The transcript has words with times. Raises KeyError for a format that there is not.
    """
    name = wanted["format"]
    render, content_type, extension, defaults = FORMATS[name]
    given = {key: value for key, value in wanted.items() if value is not None}
    options = {**defaults, **given}
    limits = Limits(
        options.get("segment_on_silence_longer_than_s"),
        options.get("max_segment_duration_s"),
        options.get("max_segment_chars"),
    )
    content = render(
        _Work(
            transcript,
            cut(transcript, limits),
            options.get("max_characters_per_line"),
            options.get("include_timestamps", True),
        )
    )
    return {
        "requested_format": name,
        "file_extension": extension,
        "content_type": content_type,
        "is_base64_encoded": False,
        "content": content,
    }


def cut(transcript: Transcript, limits: Limits) -> list[Part]:
    """The text in parts that keep to the limits; without any, in Whisper's own segments.

    A part is never cut inside a word, so that one word may be longer than the limits. Blanks
    between two parts are left out.
    """
    if not limits.is_set:
        whole = (replace(transcript, segments=(segment,)) for segment in transcript.segments)
        return [Part(pieces) for one in whole if (pieces := make_pieces(one))]
    parts: list[list[Piece]] = []
    blanks: list[Piece] = []
    length = 0  # of the last part, counted on: adding it up for each word takes too long
    for piece in make_pieces(transcript):
        if piece.type == "spacing":
            blanks = [piece]
            continue
        following = sum(len(blank.text) for blank in blanks) + len(piece.text)
        if not parts or _is_full(parts[-1], length + following, piece, limits):
            parts.append([piece])
            length = len(piece.text)
        else:
            parts[-1] += [*blanks, piece]
            length += following
        blanks = []
    return [Part(pieces) for pieces in parts]


def _is_full(part: Sequence[Piece], length: int, following: Piece, limits: Limits) -> bool:
    """Whether a word, with which the part would have `length` characters, begins another one."""
    begin, end = part[0].start or 0.0, part[-1].end or 0.0
    return (
        (limits.silence_s is not None and (following.start or 0.0) - end > limits.silence_s)
        or (limits.duration_s is not None and (following.end or 0.0) - begin > limits.duration_s)
        or (limits.chars is not None and length > limits.chars)
    )


def _srt(work: _Work) -> str:
    segments = []
    for number, part in enumerate(work.parts):
        words = tuple(Word(p.text, p.start or 0.0, p.end or 0.0) for p in part.pieces)
        segments.append(Segment(number, 0, part.start, part.end, part.text, words=words))
    cut_up = replace(work.transcript, segments=tuple(segments))
    return render_srt(cut_up, Layout(work.max_line_width))


def _txt(work: _Work) -> str:
    blocks = []
    for part in work.parts:
        times = f"[{_clock(part.start)} --> {_clock(part.end)}]"
        lines = _lines(clean(part.text), work.max_line_width)
        blocks.append("\n".join([*([times] if work.has_times else []), *lines]) + "\n")
    return "\n".join(blocks)


def _html(work: _Work) -> str:
    language = escape(work.transcript.language)
    lines = [
        "<!DOCTYPE html>",
        f'<html lang="{language}">',
        '<head><meta charset="utf-8"><title>Transcript</title></head>',
        "<body>",
    ]
    for part in work.parts:
        time = f"<time>{_clock(part.start)}</time> " if work.has_times else ""
        lines.append(f"<p>{time}{escape(clean(part.text))}</p>")
    return "\n".join([*lines, "</body>", "</html>", ""])


def _segmented_json(work: _Work) -> str:
    segments = []
    for part in work.parts:
        times = {"start": round(part.start, 3), "end": round(part.end, 3)}
        words = [_word(piece, has_times=work.has_times) for piece in part.pieces]
        segments.append({"text": part.text, **(times if work.has_times else {}), "words": words})
    body = {"language_code": three_letters(work.transcript.language), "segments": segments}
    return json.dumps(body, ensure_ascii=False, allow_nan=False)


def _word(piece: Piece, *, has_times: bool) -> dict[str, Any]:
    times = {"start": round(piece.start or 0.0, 3), "end": round(piece.end or 0.0, 3)}
    return {"text": piece.text, **(times if has_times else {}), "type": piece.type}


def _clock(seconds: float) -> str:
    return timestamp(round(seconds * 1000), ".")


def _lines(text: str, max_width: int | None) -> list[str]:
    """The text in lines, filled from the front."""
    spans: list[tuple[int, int]] = []
    for begin, stop in chunks(text, max_width=max_width or max(1, len(text))):
        if spans and (max_width is None or stop - spans[-1][0] <= max_width):
            spans[-1] = (spans[-1][0], stop)
        else:
            spans.append((begin, stop))
    return [text[begin:stop] for begin, stop in spans]


Render = Callable[[_Work], str]
FORMATS: dict[str, tuple[Render, str, str, Mapping[str, Any]]] = {
    "txt": (_txt, "text/plain", "txt", TXT_DEFAULTS),
    "srt": (_srt, "application/x-subrip", "srt", SRT_DEFAULTS),
    "html": (_html, "text/html", "html", {}),
    "segmented_json": (_segmented_json, "application/json", "json", {}),
}
