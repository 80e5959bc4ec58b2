"""Processor time by part of the system: who spends what on a job."""

from collections.abc import Mapping
from dataclasses import dataclass

import psutil

from benchmarks.processes import cpu_seconds

POOL = "worker"  # of this part, parent and children are told apart
PARENT, CHILDREN = "worker parent", "worker children"


@dataclass(frozen=True)
class Watched:
    """Root processes by name of their part."""

    pids: Mapping[str, int]

    def read(self) -> dict[str, float]:
        """Processor seconds of each part since its start."""
        found: dict[str, float] = {}
        for name, pid in self.pids.items():
            total_s = cpu_seconds(pid)
            if name == POOL:
                own_s = _own_seconds(pid)
                found |= {PARENT: own_s, CHILDREN: total_s - own_s}
            else:
                found[name] = total_s
        return found


def spent(before: Mapping[str, float], after: Mapping[str, float]) -> dict[str, float]:
    """Processor seconds between two readings."""
    return {name: max(0.0, after[name] - before.get(name, 0.0)) for name in after}


def _own_seconds(pid: int) -> float:
    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)
