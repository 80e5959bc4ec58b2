"""Pieces of real speech, a few seconds each: which pieces follows from the seed."""

import random
import wave
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from scripts.samples import SAMPLES, sample_path

MIN_S = 3.0
MAX_S = 12.0


@dataclass(frozen=True)
class Cut:
    """A piece of a sample recording, in seconds."""

    number: int  # from 0
    sample: str
    start_s: float
    length_s: float

    @property
    def name(self) -> str:
        """The label by which a job's file name tells what is said in it."""
        return f"speech{self.number:02}"


def plan_cuts(seed: int, count: int, durations_s: Mapping[str, float]) -> list[Cut]:
    """`count` pieces of MIN_S to MAX_S seconds; longer recordings give more of them."""
    draw = random.Random(f"{seed}-cuts")  # noqa: S311 - not a secret
    names = [name for name, duration_s in durations_s.items() if duration_s >= MIN_S]
    weights = [durations_s[name] for name in names]
    cuts = []
    for number, name in enumerate(draw.choices(names, weights, k=count)):
        length_s = round(draw.uniform(MIN_S, min(MAX_S, durations_s[name])), 2)
        start_s = round(draw.uniform(0, durations_s[name] - length_s), 2)
        cuts.append(Cut(number, name, start_s, length_s))
    return cuts


def sample_durations() -> dict[str, float]:
    """Seconds of every sample, each speech once. Fetches what is not here yet."""
    return {
        name: duration_of(sample_path(name)) for name in sorted(SAMPLES) if name.endswith(".wav")
    }


def duration_of(path: Path) -> float:
    """Seconds of a wav."""
    with wave.open(str(path)) as source:
        return float(source.getnframes() / source.getframerate())


def write_cuts(cuts: Sequence[Cut], folder: Path) -> dict[str, Path]:
    """Cut the pieces out as wav files; returns the path of each by its name."""
    return {cut.name: write_cut(cut, sample_path(cut.sample), folder) for cut in cuts}


def write_cut(cut: Cut, source_path: Path, folder: Path) -> Path:
    """Write one piece as a wav."""
    path = folder / f"{cut.name}.wav"
    with wave.open(str(source_path)) as source, wave.open(str(path), "wb") as target:
        target.setparams(source.getparams())
        source.setpos(round(cut.start_s * source.getframerate()))
        target.writeframes(source.readframes(round(cut.length_s * source.getframerate())))
    return path
