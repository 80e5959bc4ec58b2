"""Who takes part in `speed`. Imports no network: the parent of the sides needs none."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from importlib.metadata import version
from importlib.util import find_spec
from typing import Any

from benchmarks.errors import BenchmarkFailed

HINT = "faster-whisper is not installed: make faster-whisper"


class Library(StrEnum):
    """What a side calls."""

    ENGINE = "engine"  # one of ours, as the worker calls it
    WHISPER = "openai-whisper"
    FASTER_WHISPER = "faster-whisper"


@dataclass(frozen=True)
class Contender:
    """One way to make text of recordings."""

    name: str
    title: str
    package: Library
    options: Mapping[str, Any] = field(default_factory=dict)  # of `speed_libraries`
    wanted: float | None = None  # how many times as fast our first side shall be, on a CPU

    @property
    def is_ours(self) -> bool:
        """Whether it is this project's."""
        return self.package is Library.ENGINE

    @property
    def may_gain(self) -> bool:
        """Whether jobs that are there together might be faster than one at a time."""
        return self.options.get("decode_mode") == "batched"


FEWER_WINDOWS = (8, 4, 2)  # side by side, by halves: as an engine does that is short of memory
OURS = Contender(
    "ours", "ours", Library.ENGINE, {"engine": "openai_whisper", "decode_mode": "batched"}
)
WHISPER = Contender("whisper", "openai-whisper", Library.WHISPER, wanted=3.0)
PEER_SEQUENTIAL = Contender("fw-sequential", "faster-whisper, sequential", Library.FASTER_WHISPER)
# A word error rate is compared with the better of these: they give up no speech for speed.
CAREFUL = (WHISPER, PEER_SEQUENTIAL)
CONTENDERS = {
    contender.name: contender
    for contender in (
        OURS,
        *(
            Contender(
                f"ours-{windows}", f"ours, {windows} windows at once", Library.ENGINE,
                {"engine": "openai_whisper", "decode_mode": "batched", "most_windows": windows},
            )
            for windows in FEWER_WINDOWS
        ),
        Contender(
            "ours-ctranslate2", "ours, on CTranslate2", Library.ENGINE,
            {"engine": "faster_whisper", "decode_mode": "batched"},
        ),
        Contender(
            "ours-sequential", "ours, sequential", Library.ENGINE,
            {"engine": "openai_whisper", "decode_mode": "sequential"},
        ),
        WHISPER,
        Contender(
            "fw-batched", "faster-whisper, batched", Library.FASTER_WHISPER,
            {"is_batched": True}, wanted=1.2,
        ),
        Contender(
            "fw-batched-greedy", "faster-whisper, batched, greedy", Library.FASTER_WHISPER,
            {"is_batched": True, "beam_size": 1},
        ),
        PEER_SEQUENTIAL,
        Contender(
            "fw-sequential-greedy", "faster-whisper, sequential, greedy", Library.FASTER_WHISPER,
            {"beam_size": 1},
        ),
    )
}  # fmt: skip


def versions_of(contenders: Sequence[Contender]) -> dict[str, str]:
    """Versions of the packages beyond torch and whisper. Raises BenchmarkFailed without them."""
    needs_it = {
        contender.name
        for contender in contenders
        if contender.package is Library.FASTER_WHISPER
        or contender.options.get("engine") == "faster_whisper"
    }
    if not needs_it:
        return {}
    if find_spec("faster_whisper") is None:
        raise BenchmarkFailed(HINT)
    return {name: version(name) for name in ("ctranslate2", "faster-whisper", "numpy")}
