"""How much of the speech a transcript covers, and which of its text nobody may have said.

Whisper writes text for every window that it is given. Over noise or silence it may invent a
sentence (a hallucination), and it may say one thing over and over (a repetition loop). These are
the signs, each a `reason` in a `Suspicion`:

- `no_speech_found`: voice activity detection, a network of its own, found next to none there.
- `no_speech_prob`: Whisper itself took the window for silence and was not sure of its words, and
  less than half of the segment is speech. (Its own rule drops a window below an average log
  probability of -1. By itself the sign errs: clear telephone speech gets 0.81 and -0.52.)
- `compression_ratio`: the text repeats itself beyond Whisper's bound, at the last temperature too.
- `repeated_text`: the same text in three segments running.
- `too_fast`: more letters a second than anybody speaks.
- `too_slow`: seconds of speech under a few letters, so most of what was said is missing.

No phrase is known by its words: what is an invention in one recording is said in another.
"""

from collections.abc import Iterator, Sequence
from itertools import groupby

from domain.speech import (
    Span,
    intersect_spans,
    merge_spans,
    overlap_s,
    pad_spans,
    subtract_spans,
    total_s,
)
from domain.transcript import Coverage, Gap, Segment, Suspicion, Warning_

GAP_S = 1.0  # shorter ones are breaths, laughter, and the edges of what was found
TOLERANCE_S = 0.3  # between where a segment ends and where its speech is found to end

LITTLE_SPEECH_SHARE = 0.1
LITTLE_SPEECH_S = 0.7  # one blip with its padding; a spoken word has more
HALF = 0.5
NO_SPEECH_PROB = 0.6  # Whisper's own threshold
UNSURE_LOGPROB = -0.5  # half-way to Whisper's own; of clear speech most lies above
MAX_COMPRESSION_RATIO = 2.4  # Whisper's own threshold
REPEATS = 3
# Letters, since not every script has blanks between words. In 230 segments of ten languages,
# read, spoken and by telephone, the fastest has 21 and the slowest 3.4 (Chinese 4).
MAX_LETTERS_PER_S = 40.0
MIN_LETTERS_PER_S = 2.0
SHORTEST_SPAN_S = 0.1  # Whisper may let a segment start and end at once
SHORTEST_S = 1.0  # Whisper's times of shorter segments are too rough for a rate
SLOW_SPEECH_S = 5.0  # a hesitating speaker fills less than that with one word

MAX_GAPS_S = 2.0
MAX_GAPS_SHARE = 0.05
SHOWN_PLACES = 3

LOOP, HALLUCINATION, DROPPED = "repetition_loop", "hallucination", "dropped_speech"
KIND_OF_REASON = {
    "no_speech_found": HALLUCINATION,
    "no_speech_prob": HALLUCINATION,
    "too_fast": HALLUCINATION,
    "compression_ratio": LOOP,
    "repeated_text": LOOP,
    "too_slow": DROPPED,
}


def report_coverage(
    speech: Sequence[Span], segments: Sequence[Segment], duration_s: float
) -> Coverage:
    """Compare the speech that was found in a recording with the segments of its transcript.

    `segments` are in order; those without text cover nothing. Times come out in whole ms.
    """
    spans = merge_spans(speech)
    said = [segment for segment in segments if segment.text.strip()]
    covered = pad_spans(
        (_span(segment) for segment in said if segment.start < duration_s), TOLERANCE_S, duration_s
    )
    speech_s = total_s(spans)
    transcribed_s = total_s(intersect_spans(spans, covered))
    return Coverage(
        speech_s=round(speech_s, 3),
        transcribed_s=round(transcribed_s, 3),
        share=round(transcribed_s / speech_s, 4) if speech_s else None,
        gaps=tuple(
            Gap(round(span.start_s, 3), round(span.end_s, 3))
            for span in subtract_spans(spans, covered)
            if span.length_s >= GAP_S
        ),
        suspicions=tuple(_suspicions(said, spans)),
    )


def warnings_of(coverage: Coverage) -> tuple[Warning_, ...]:
    """What the reader of a transcript must know of its coverage; nothing when all is well."""
    found = []
    missing = [(gap.start_s, gap.end_s) for gap in coverage.gaps]
    missing_s = sum(end_s - start_s for start_s, end_s in missing)
    if missing_s > min(MAX_GAPS_S, MAX_GAPS_SHARE * coverage.speech_s):
        found.append(
            Warning_(
                "speech_not_transcribed",
                f"{missing_s:.1f} s of the {coverage.speech_s:.1f} s of speech have no text "
                f"({_places(missing)})",
            )
        )
    dropped = _of_kinds(coverage, DROPPED)
    if dropped:
        found.append(
            Warning_(
                "speech_not_transcribed",
                f"words seem to be missing where speech has little text ({_places(dropped)})",
            )
        )
    invented = _of_kinds(coverage, HALLUCINATION, LOOP)
    if invented:
        found.append(
            Warning_(
                "suspected_hallucination",
                f"some text may never have been said ({_places(invented)})",
            )
        )
    return tuple(found)


def _suspicions(said: Sequence[Segment], speech: Sequence[Span]) -> list[Suspicion]:
    repeated = _repeated(said)
    signs = [{*_signs(segment, speech), *repeated.get(i, ())} for i, segment in enumerate(said)]
    found = []
    for reason, kind in KIND_OF_REASON.items():
        # Neighbours with the same sign are one suspicion: a loop is one thing, not fifty.
        for has_sign, run in groupby(range(len(said)), key=lambda i: reason in signs[i]):
            if has_sign:
                suspects = [said[i] for i in run]
                start_s, end_s = suspects[0].start, max(segment.end for segment in suspects)
                ids = tuple(segment.id for segment in suspects)
                found.append(Suspicion(kind, reason, round(start_s, 3), round(end_s, 3), ids))
    return sorted(found, key=lambda suspicion: suspicion.start_s)


def _signs(segment: Segment, speech: Sequence[Span]) -> Iterator[str]:
    span = _span(segment)
    speech_s = overlap_s(span, speech)
    if speech_s < min(LITTLE_SPEECH_S, LITTLE_SPEECH_SHARE * span.length_s):
        yield "no_speech_found"
    if (
        speech_s < HALF * span.length_s
        and _is_above(segment.no_speech_prob, NO_SPEECH_PROB)
        and _is_above(UNSURE_LOGPROB, segment.avg_logprob)
    ):
        yield "no_speech_prob"
    if _is_above(segment.compression_ratio, MAX_COMPRESSION_RATIO):
        yield "compression_ratio"
    letters = sum(character.isalnum() for character in segment.text)
    if letters > MAX_LETTERS_PER_S * max(SHORTEST_S, span.length_s):
        yield "too_fast"
    if speech_s >= SLOW_SPEECH_S and letters < MIN_LETTERS_PER_S * speech_s:
        yield "too_slow"


def _repeated(said: Sequence[Segment]) -> dict[int, tuple[str, ...]]:
    """Places in `said` whose text stands there at least three times running."""
    found: dict[int, tuple[str, ...]] = {}
    for _, run in groupby(range(len(said)), key=lambda i: _core(said[i].text)):
        places = [*run]
        if len(places) >= REPEATS:
            found.update(dict.fromkeys(places, ("repeated_text",)))
    return found


def _core(text: str) -> str:
    """The text without what a loop may vary: case, blanks, punctuation."""
    return "".join(filter(str.isalnum, text.casefold())) or text.strip()


def _span(segment: Segment) -> Span:
    return Span(segment.start, max(segment.end, segment.start + SHORTEST_SPAN_S))


def _is_above(value: float | None, bound: float | None) -> bool:
    return value is not None and bound is not None and value > bound


def _of_kinds(coverage: Coverage, *kinds: str) -> list[tuple[float, float]]:
    return [(s.start_s, s.end_s) for s in coverage.suspicions if s.kind in kinds]


def _places(spans: Sequence[tuple[float, float]]) -> str:
    shown = ", ".join(f"{start_s:.1f}-{end_s:.1f} s" for start_s, end_s in spans[:SHOWN_PLACES])
    return f"{shown}, ..." if len(spans) > SHOWN_PLACES else shown
