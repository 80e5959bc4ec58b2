"""Attempts as bars in lanes, one lane for each child of a worker at a time. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import pairwise

from chaos.faults import Fault
from chaos.history import Event


class Outcome(StrEnum):
    """How an attempt ended."""

    COMPLETED = "completed"
    LOST = "lost or fenced off"
    RETRIED = "failed, to be retried"
    RELEASED = "handed back"
    OPEN = "unfinished"


_ENDS = {
    "completed": Outcome.COMPLETED,
    "reaped": Outcome.LOST,
    "retry": Outcome.RETRIED,
    "dead_lettered": Outcome.RETRIED,
    "released": Outcome.RELEASED,
}


@dataclass(frozen=True)
class Bar:
    """One attempt. Times are seconds since the epoch."""

    owner: str  # host:parent/child, as it stands in leases
    start: float
    end: float
    outcome: Outcome
    is_cut: bool = False  # its process was killed


@dataclass
class Lane:
    """What one place of a worker did; children that replaced each other share it."""

    slot: int | None  # None: a worker that nobody saw start
    number: int  # within its worker, from 0
    bars: list[Bar] = field(default_factory=list)

    @property
    def end(self) -> float:
        """When its last attempt ended."""
        return max((bar.end for bar in self.bars), default=0.0)


def bars_of(histories: Iterable[Sequence[Event]], faults: Sequence[Fault], end: float) -> list[Bar]:
    """Every attempt in these histories. One without an end lasts until `end`."""
    deaths = {pid: fault.at for fault in faults for pid in fault.killed}
    bars = []
    for events in histories:
        started: Event | None = None
        for event in events:
            if started is not None and event.event in _ENDS:
                bars.append(_bar(started, event.at, _ENDS[event.event], deaths))
                started = None
            if event.event == "started":
                started = event
        if started is not None:
            bars.append(_bar(started, end, Outcome.OPEN, deaths))
    return sorted(bars, key=lambda bar: bar.start)


def lanes_of(bars: Iterable[Bar], slots: Mapping[int, int]) -> list[Lane]:
    """The lanes, worker by worker. `slots` gives each worker's parent process its place."""
    children: dict[str, list[Bar]] = {}
    for bar in bars:
        children.setdefault(bar.owner, []).append(bar)
    lanes: list[Lane] = []
    for owner, owned in sorted(children.items(), key=lambda child: child[1][0].start):
        slot = slots.get(pids_of(owner)[0])
        lane = _free_lane(lanes, slot, owned[0].start)
        lane.bars += owned
    return sorted(lanes, key=lambda lane: (lane.slot is None, lane.slot, lane.number))


def pids_of(owner: str) -> tuple[int, int]:
    """The processes of a lease owner such as `host:12/34`, parent and child; -1 for none."""
    parent, _, child = owner.rpartition(":")[2].partition("/")
    return (int(parent) if parent.isdigit() else -1, int(child) if child.isdigit() else -1)


def slot_of(command: Sequence[str]) -> int:
    """The place, from 0, of a worker with such a command line: that of `--name worker-2` is 1."""
    names = [word for before, word in pairwise(command) if before == "--name"]
    number = names[0].rpartition("-")[2] if names else ""
    return int(number) - 1 if number.isdigit() else 0


def _bar(started: Event, end: float, outcome: Outcome, deaths: Mapping[int, float]) -> Bar:
    died = [
        deaths[pid]
        for pid in pids_of(started.actor)
        if pid in deaths and started.at <= deaths[pid] <= end
    ]
    is_cut = bool(died) and outcome is not Outcome.COMPLETED
    return Bar(started.actor, started.at, min(died) if is_cut else end, outcome, is_cut)


def _free_lane(lanes: list[Lane], slot: int | None, start: float) -> Lane:
    own = [lane for lane in lanes if lane.slot == slot]
    for lane in own:
        if lane.end <= start:
            return lane
    lanes.append(Lane(slot, len(own)))
    return lanes[-1]
