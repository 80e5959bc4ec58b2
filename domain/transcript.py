"""A transcript as values: what an engine returns, what the database keeps, what formats render."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Self


@dataclass(frozen=True)
class Word:
    """One word with its time span in seconds. `word` keeps Whisper's leading space."""

    word: str
    start: float
    end: float
    probability: float | None = None


@dataclass(frozen=True)
class Segment:
    """One segment as Whisper cuts it. Times in seconds from the start of the recording."""

    id: int
    seek: int  # in mel frames of 10 ms, where the window started
    start: float
    end: float
    text: str
    tokens: tuple[int, ...] = ()
    temperature: float = 0.0
    avg_logprob: float | None = None
    compression_ratio: float | None = None
    no_speech_prob: float | None = None
    words: tuple[Word, ...] | None = None  # None: not asked for


@dataclass(frozen=True)
class Fallback:
    """One rung of the out-of-memory ladder that was taken."""

    rung: str  # smaller_batch, free_idle_models, smaller_model, cpu
    stage: str  # load or decode
    from_model: str
    to_model: str
    reason: str


@dataclass(frozen=True)
class Warning_:  # noqa: N801 - `Warning` is a builtin exception
    """Something the reader of a result must know. The code is stable."""

    code: str
    message: str


@dataclass(frozen=True)
class Gap:
    """Speech without text. Times in seconds from the start of the recording."""

    start_s: float
    end_s: float


@dataclass(frozen=True)
class Suspicion:
    """Text that bears the signs of not having been spoken, or of speech passed over."""

    kind: str  # repetition_loop, hallucination, dropped_speech
    reason: str  # the sign; see domain/coverage.py
    start_s: float
    end_s: float
    segment_ids: tuple[int, ...]


@dataclass(frozen=True)
class Coverage:
    """How much of the speech that was found has text, and which text is suspect."""

    speech_s: float  # of speech in the recording
    transcribed_s: float  # of that, under a segment with text
    share: float | None  # the one over the other; None without speech
    gaps: tuple[Gap, ...] = ()
    suspicions: tuple[Suspicion, ...] = ()


@dataclass(frozen=True)
class Transcript:
    """The outcome of one attempt."""

    segments: tuple[Segment, ...]
    language: str
    language_probability: float | None  # None: the caller chose the language
    task: str
    duration_s: float
    model_requested: str
    model_used: str
    engine: str
    device: str
    fallbacks: tuple[Fallback, ...] = ()
    warnings: tuple[Warning_, ...] = ()
    timings_s: dict[str, float] = field(default_factory=dict)
    coverage: Coverage | None = None  # None: nobody looked for speech

    @property
    def text(self) -> str:
        """The whole text, as Whisper joins it: segment texts carry their own spaces."""
        return "".join(segment.text for segment in self.segments).strip()

    @property
    def word_count(self) -> int:
        """Number of blank-separated words; for languages written without blanks, of runs."""
        return len(self.text.split())

    @property
    def confidence(self) -> float | None:
        """See `confidence`."""
        return confidence(self.segments)

    def with_notes(self, warnings: Sequence[Warning_], timings_s: dict[str, float]) -> Self:
        """The same transcript with these warnings in front of its own, and these timings."""
        return replace(self, warnings=(*warnings, *self.warnings), timings_s=timings_s)


def segments_from_dicts(items: Sequence[dict[str, Any]]) -> tuple[Segment, ...]:
    """Undo `asdict` of segments, as they come back from JSON."""
    return tuple(
        Segment(
            **{
                **item,
                "tokens": tuple(item.get("tokens") or ()),
                "words": None
                if item.get("words") is None
                else tuple(Word(**word) for word in item["words"]),
            }
        )
        for item in items
    )


def coverage_from_dict(item: dict[str, Any]) -> Coverage:
    """Undo `asdict` of a coverage, as it comes back from JSON."""
    return Coverage(
        **{
            **item,
            "gaps": tuple(Gap(**gap) for gap in item["gaps"]),
            "suspicions": tuple(
                Suspicion(**{**suspicion, "segment_ids": tuple(suspicion["segment_ids"])})
                for suspicion in item["suspicions"]
            ),
        }
    )


def confidence(segments: Sequence[Segment]) -> float | None:
    """Geometric mean probability of a token, from 0 to 1, or None when nothing is known.

    exp(sum of avg_logprob_i * n_i / sum of n_i) over the segments, n_i being the number of
    tokens. It says how sure the model was of its own words, not how often it is right.
    """
    known = [(s.avg_logprob, max(1, len(s.tokens))) for s in segments if s.avg_logprob is not None]
    if not known:
        return None
    total = sum(count for _, count in known)
    return math.exp(sum(logprob * count for logprob, count in known) / total)
