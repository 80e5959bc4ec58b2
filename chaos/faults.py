"""The kinds of faults, and which come when: all of it follows from the seed."""

import random
from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID


class FaultKind(StrEnum):
    """What is done to the running server. The value is the words of the report."""

    WORKER = "kill -9 worker"
    CHILD = "kill -9 prefork child"
    HOST = "kill -9 model host"
    RECONCILER = "kill -9 reconciler that leads"
    API = "kill -9 API"
    FLUSH = "FLUSHALL"
    BROKER = "kill -9 Valkey, file kept"
    BROKER_EMPTY = "kill -9 Valkey, file lost"
    DATABASE = "Postgres immediate restart"
    FREEZE = "worker frozen past its lease"
    TWICE = "every message twice"

    @property
    def short(self) -> str:
        """The label in the picture."""
        return _SHORT[self]


_SHORT = {
    FaultKind.WORKER: "worker",
    FaultKind.CHILD: "child",
    FaultKind.HOST: "model host",
    FaultKind.RECONCILER: "reconciler",
    FaultKind.API: "API",
    FaultKind.FLUSH: "FLUSHALL",
    FaultKind.BROKER: "Valkey",
    FaultKind.BROKER_EMPTY: "Valkey, empty",
    FaultKind.DATABASE: "Postgres",
    FaultKind.FREEZE: "frozen",
    FaultKind.TWICE: "twice",
}


@dataclass(frozen=True)
class Fault:
    """One fault as it happened. Times are seconds since the epoch, by the clock of the machine
    that the database runs on, too.
    """

    number: int  # from 1
    kind: FaultKind
    at: float
    slot: int | None = None  # of the worker that was hit, from 0
    hit: tuple[UUID, ...] = ()  # jobs whose lease the victim held, or whose message was lost
    killed: tuple[int, ...] = ()  # process ids
    thawed_at: float | None = None  # when a frozen worker was woken
    back_after_s: float | None = None  # until the part that was hit works again
    note: str = ""


def plan_faults(seed: int, count: int) -> list[FaultKind]:
    """`count` faults in rounds of all kinds, each round in an order of its own.

    Raises ValueError when not every kind would come at least once.
    """
    kinds = list(FaultKind)
    if count < len(kinds):
        raise ValueError(f"{count} faults cannot hold each of the {len(kinds)} kinds once")
    draw = random.Random(f"{seed}-faults")  # noqa: S311 - not a secret
    plan: list[FaultKind] = []
    while len(plan) < count:
        plan += draw.sample(kinds, len(kinds))
    return plan[:count]


def released_by(jobs: int, faults: int, round_number: int) -> int:
    """How many of the jobs may have been submitted by this round (from 0), one round per fault.

    So the recordings last until the last fault, and each fault meets work.
    """
    return -(-jobs * (round_number + 1) // faults)
