"""A run of `speed` as its tests want it."""

from pathlib import Path

from benchmarks.speed_run import LONG, Run
from benchmarks.speed_turns import Gain, Turn
from benchmarks.word_errors import WordErrors
from tests.unit.benchmarks.test_wer import MACHINE

SETTINGS = {
    "model_size": "tiny", "device": "auto", "batch_size": 8, "from_file": False, "threads": 2,
}  # fmt: skip


def turn_of(wall_s: float, *, errors: int = 0, cpu_s: float = 2.0) -> Turn:
    """Of 60 s of audio with 100 words."""
    return Turn(60.0, wall_s, cpu_s, WordErrors(words=100, deletions=errors), {"decode_s": wall_s})


def run_of(json_path: Path | None = None, **turns: list[Turn]) -> Run:
    """A run of one long recording; names of sides are written with `_` for `-`."""
    names = {name.replace("_", "-"): done for name, done in turns.items()}
    run = Run(MACHINE, SETTINGS, {"ctranslate2": "4.8.5"}, json_path=json_path)
    run.recordings = {LONG: [{"name": "a.flac", "audio_s": 60.0}]}
    run.devices = dict.fromkeys(names, "cpu")
    for name, done in names.items():
        for turn in done:
            run.add_turn(LONG, name, turn)
    return run


def gain_of(apart_s: float, together_s: float, *, differing: int = 0) -> Gain:
    """Of 16 jobs of 20 s."""
    return Gain(16, 320.0, apart_s, together_s, differing)
