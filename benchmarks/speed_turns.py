"""What the sides of `speed` did, and how they stand to each other. Computes only."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median

from benchmarks.word_errors import WordErrors


@dataclass(frozen=True)
class Turn:
    """One side through one work, once."""

    audio_s: float
    wall_s: float
    cpu_s: float  # of all cores together
    counts: WordErrors | None  # None where nobody knows the words
    timings_s: Mapping[str, float] = field(default_factory=dict)  # by stage, where a side tells

    @property
    def rtfx(self) -> float:
        """Seconds of audio per second."""
        return self.audio_s / self.wall_s


Turns = Mapping[str, Sequence[Turn]]  # by side, one a round


@dataclass(frozen=True)
class Standing:
    """A side after all rounds."""

    rtfx: float  # the median, as the ratios and processor seconds
    lowest: float
    highest: float
    cpu_s: float
    wer_percent: float | None  # of all words of all rounds
    ratio: float  # how many times as fast the base was in the same round
    cpu_ratio: float  # how many times its processor time the side took


def standings(turns: Turns, base: str) -> dict[str, Standing]:
    """Every side beside `base`; rounds that not all have finished count for nobody."""
    rounds = min(map(len, turns.values()))
    return {
        name: stand(done[:rounds], turns[base][:rounds]) for name, done in turns.items() if rounds
    }


def stand(turns: Sequence[Turn], base: Sequence[Turn]) -> Standing:
    """A side beside another, round by round: neighbours in time saw the same machine."""
    pairs = list(zip(turns, base, strict=True))
    speeds = [turn.rtfx for turn in turns]
    return Standing(
        rtfx=median(speeds),
        lowest=min(speeds),
        highest=max(speeds),
        cpu_s=median(turn.cpu_s for turn in turns),
        wer_percent=error_percent(turns),
        ratio=median(theirs.wall_s / ours.wall_s for theirs, ours in pairs),
        cpu_ratio=median(theirs.cpu_s / max(ours.cpu_s, 1e-9) for theirs, ours in pairs),
    )


def error_percent(turns: Sequence[Turn]) -> float | None:
    """Errors per hundred words over all turns; None where the words are not known."""
    known = [turn.counts for turn in turns if turn.counts is not None]
    total = sum(known, start=WordErrors())
    return total.percent if total.words else None


@dataclass(frozen=True)
class Gain:
    """The same recordings handed over one at a time, and all together."""

    jobs: int
    audio_s: float
    apart_s: float
    together_s: float
    differing: int  # texts that are not the same, letter by letter

    @property
    def ratio(self) -> float:
        """How many times as fast they are together."""
        return self.apart_s / self.together_s


def median_gain(gains: Sequence[Gain]) -> float:
    """The median of the rounds' ratios."""
    return median(gain.ratio for gain in gains)


def in_turn(names: Sequence[str], number: int) -> list[str]:
    """The order of round `number`, from 0: who begins moves on."""
    first = number % len(names)
    return [*names[first:], *names[:first]]
