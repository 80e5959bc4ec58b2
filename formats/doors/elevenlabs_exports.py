"""What ElevenLabs calls additional formats: the transcript once more, cut for reading."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from html import escape
from typing import Any

from domain.language_codes import three_letters
from domain.transcript import Segment, Transcript, Word
from formats.cues import Layout, make_cues
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
class _Parts:
    """What a format is written from: one segment per part, and how long its lines may be."""

    transcript: Transcript
    parts: Sequence[Sequence[Piece]]
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
    parts = cut(transcript, limits)
    content = render(
        _Parts(
            _with_segments(transcript, parts),
            parts,
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


def cut(transcript: Transcript, limits: Limits) -> list[list[Piece]]:
    """The text in parts that keep to the limits; without any, in Whisper's own segments.

    A part is never cut inside a word, so that one word may be longer than the limits. Blanks
    between two parts are left out.
    """
    if not limits.is_set:
        whole = (replace(transcript, segments=(segment,)) for segment in transcript.segments)
        return [pieces for one in whole if (pieces := make_pieces(one))]
    parts: list[list[Piece]] = []
    blanks: list[Piece] = []
    for piece in make_pieces(transcript):
        if piece.type == "spacing":
            blanks = [piece]
            continue
        if not parts or _is_full(parts[-1], blanks, piece, limits):
            parts.append([piece])
        else:
            parts[-1] += [*blanks, piece]
        blanks = []
    return parts


def _is_full(
    part: Sequence[Piece], blanks: Sequence[Piece], following: Piece, limits: Limits
) -> bool:
    begin, end = _span(part)
    if limits.silence_s is not None and (following.start or 0.0) - end > limits.silence_s:
        return True
    if limits.duration_s is not None and (following.end or 0.0) - begin > limits.duration_s:
        return True
    length = sum(len(piece.text) for piece in (*part, *blanks, following))
    return limits.chars is not None and length > limits.chars


def _span(part: Sequence[Piece]) -> tuple[float, float]:
    return part[0].start or 0.0, part[-1].end or 0.0


def _text(part: Sequence[Piece]) -> str:
    return "".join(piece.text for piece in part)


def _with_segments(transcript: Transcript, parts: Sequence[Sequence[Piece]]) -> Transcript:
    """The same text, one segment for each part."""
    segments = []
    for number, part in enumerate(parts):
        start, end = _span(part)
        words = tuple(Word(p.text, p.start or 0.0, p.end or 0.0) for p in part)
        segments.append(Segment(number, 0, start, end, _text(part), words=words))
    return replace(transcript, segments=tuple(segments))


def _srt(parts: _Parts) -> str:
    return render_srt(parts.transcript, Layout(parts.max_line_width))


def _txt(parts: _Parts) -> str:
    blocks = []
    for cue in make_cues(parts.transcript, Layout(parts.max_line_width)):
        times = f"[{timestamp(cue.start_ms, '.')} --> {timestamp(cue.end_ms, '.')}]"
        blocks.append("\n".join([*([times] if parts.has_times else []), *cue.lines]) + "\n")
    return "\n".join(blocks)


def _html(parts: _Parts) -> str:
    language = escape(parts.transcript.language)
    lines = [
        "<!DOCTYPE html>",
        f'<html lang="{language}">',
        '<head><meta charset="utf-8"><title>Transcript</title></head>',
        "<body>",
    ]
    for cue in make_cues(parts.transcript, Layout()):
        time = f"<time>{timestamp(cue.start_ms, '.')}</time> " if parts.has_times else ""
        lines.append(f"<p>{time}{escape(' '.join(cue.lines))}</p>")
    return "\n".join([*lines, "</body>", "</html>", ""])


def _segmented_json(parts: _Parts) -> str:
    segments = []
    for part in parts.parts:
        start, end = _span(part)
        times = {"start": round(start, 3), "end": round(end, 3)} if parts.has_times else {}
        words = [_word(piece, has_times=parts.has_times) for piece in part]
        segments.append({"text": _text(part), **times, "words": words})
    body = {"language_code": three_letters(parts.transcript.language), "segments": segments}
    return json.dumps(body, ensure_ascii=False, allow_nan=False)


def _word(piece: Piece, *, has_times: bool) -> dict[str, Any]:
    times = {"start": round(piece.start or 0.0, 3), "end": round(piece.end or 0.0, 3)}
    return {"text": piece.text, **(times if has_times else {}), "type": piece.type}


Render = Callable[[_Parts], str]
FORMATS: dict[str, tuple[Render, str, str, Mapping[str, Any]]] = {
    "txt": (_txt, "text/plain", "txt", TXT_DEFAULTS),
    "srt": (_srt, "application/x-subrip", "srt", SRT_DEFAULTS),
    "html": (_html, "text/html", "html", {}),
    "segmented_json": (_segmented_json, "application/json", "json", {}),
}
