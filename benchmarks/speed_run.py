"""A run of `speed`, in memory and in the file of `--json`."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

from benchmarks.machine import Machine
from benchmarks.report import write_json
from benchmarks.speed_sides import CONTENDERS
from benchmarks.speed_turns import Gain, Standing, Turn, median_gain, standings
from benchmarks.word_errors import WordErrors

LONG, SHORT, GAIN = "long", "short", "together"
WORKS = (LONG, SHORT, GAIN)


@dataclass
class Run:
    """What was measured so far, and what with."""

    machine: Machine
    settings: Mapping[str, Any]
    versions: Mapping[str, str]
    recordings: Mapping[str, Sequence[Mapping[str, Any]]] = field(default_factory=dict)
    devices: Mapping[str, str] = field(default_factory=dict)  # by side
    turns: dict[str, dict[str, list[Turn]]] = field(default_factory=dict)  # by work, by side
    gains: dict[str, list[Gain]] = field(default_factory=dict)  # by side
    json_path: Path | None = None

    @classmethod
    def read(cls, path: Path) -> Self:
        """A run out of its file. Raises KeyError and TypeError for a file of another make."""
        content = json.loads(path.read_text())
        return cls(
            machine=Machine(**content["machine"]),
            **{name: content[name] for name in ("settings", "versions", "recordings", "devices")},
            turns={
                work: {name: [_turn(turn) for turn in done] for name, done in sides.items()}
                for work, sides in content["turns"].items()
            },
            gains={
                name: [Gain(**gain) for gain in done] for name, done in content["gains"].items()
            },
        )

    def add_turn(self, work: str, name: str, turn: Turn) -> None:
        """Keep a turn, on disk too: a long run may be cut off."""
        self.turns.setdefault(work, {}).setdefault(name, []).append(turn)
        self.write()

    def add_gain(self, name: str, gain: Gain) -> None:
        """Keep what a side gained, on disk too."""
        self.gains.setdefault(name, []).append(gain)
        self.write()

    def standings(self, work: str) -> dict[str, Standing]:
        """The sides of a work in the order of CONTENDERS, beside the first of them."""
        turns = self.turns[work]
        ordered = {name: turns[name] for name in CONTENDERS if name in turns}
        return standings(ordered, base=next(iter(ordered)))

    def write(self) -> None:
        """Write everything, and what it comes to."""
        content = {name: getattr(self, name) for name in
                   ("settings", "versions", "recordings", "devices")}  # fmt: skip
        content["summary"] = {
            **{
                work: {name: asdict(each) for name, each in self.standings(work).items()}
                for work in self.turns
            },
            GAIN: {name: median_gain(done) for name, done in self.gains.items()},
        }
        content["turns"] = {
            work: {name: [asdict(turn) for turn in done] for name, done in sides.items()}
            for work, sides in self.turns.items()
        }
        content["gains"] = {
            name: [asdict(gain) for gain in done] for name, done in self.gains.items()
        }
        write_json(self.json_path, self.machine, content)


def _turn(data: Mapping[str, Any]) -> Turn:
    counts = data["counts"]
    return Turn(**{**data, "counts": counts and WordErrors(**counts)})
