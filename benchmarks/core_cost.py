"""What one job costs the database: statements, round trips, transactions, waits for the disk."""

import re
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from benchmarks.core_contenders import SCRIPTORIUM
from benchmarks.core_fill import remove_waiting
from benchmarks.core_processes import Load, Workers, submitter_processes, worker_process
from benchmarks.core_stack import RECONCILER, SUBMITTER, WORKER, Stack
from benchmarks.errors import BenchmarkFailed

POLL_S = 0.5  # each look is a transaction, too
TIMEOUT_S = 900.0
SHOWN_CHARS = 64
WARM_UP_JOBS = 40
WAITING = "SELECT count(*) FROM transcription_jobs WHERE status IN ('pending', 'processing')"
# The driver sends each of these in a round trip of its own, and they ask nothing of ours.
FRAME = re.compile(r"^(BEGIN|COMMIT|ROLLBACK|SET |SHOW |SELECT \$1$|SELECT 1$)", re.IGNORECASE)
STATEMENTS = """
SELECT query, calls, total_exec_time FROM pg_stat_statements AS seen
JOIN pg_roles ON pg_roles.oid = seen.userid WHERE rolname = %s ORDER BY calls DESC, query
"""
COUNTERS = """
SELECT (SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()),
    (SELECT sum(fsyncs) FROM pg_stat_io WHERE object = 'wal'),
    (SELECT wal_bytes FROM pg_stat_wal)
"""


@dataclass(frozen=True)
class Counted:
    """One kind of statement. Per job."""

    text: str
    calls: float
    ms: float  # in Postgres


@dataclass(frozen=True)
class Cost:
    """What one side of a job costs. Per job."""

    side: str
    statements: float  # that ask something
    round_trips: float  # those, and what the driver sends around them
    commits: float  # of transactions, those that only read too
    disk_syncs: float  # of the write-ahead log; commits at the same time share one
    wal_kb: float
    postgres_ms: float  # of execution
    details: Sequence[Counted]


def measure_cost(stack: Stack, load: Load) -> list[Cost]:
    """Submit with nobody at work, then let the worker and the reconciler at it."""
    stack.settle()
    submitting = _submit(stack, load)
    working = _work(stack, load.jobs)
    return [submitting, *working]


def _submit(stack: Stack, load: Load) -> Cost:
    with ExitStack() as exits:
        submitters = exits.enter_context(submitter_processes(stack, SCRIPTORIUM, load))
        submitters.start(WARM_UP_JOBS)
        submitters.wait()
        remove_waiting(stack)
        stack.settle()
        stack.count_statements(is_on=True)
        before = _read_counters(stack)
        submitters.start(load.jobs)
        submitters.wait()
    # Processes that ended have told Postgres' statistics everything.
    counters = _difference(before, _settled_counters(stack))
    return _cost("submission", stack, SUBMITTER, load.jobs, counters)


def _work(stack: Stack, jobs: int) -> list[Cost]:
    stack.count_statements(is_on=True)
    before = _read_counters(stack)
    with ExitStack() as exits:
        workers: Workers = {
            name: exits.enter_context(worker_process(stack, name, part))
            for name, part in SCRIPTORIUM.parts.items()
        }
        _wait_until_nobody_waits(stack, workers)
    counters = _difference(before, _settled_counters(stack))
    alone = dict.fromkeys(counters, 0.0)
    costs = [
        _cost("work", stack, WORKER, jobs, counters),
        # What it committed is in the line above.
        _cost("sweeps", stack, RECONCILER, jobs, alone),
    ]
    stack.count_statements(is_on=False)
    return costs


def _wait_until_nobody_waits(stack: Stack, workers: Workers) -> None:
    deadline = time.monotonic() + TIMEOUT_S
    with stack.connect() as connection, connection.cursor() as cursor:
        while True:
            cursor.execute(WAITING)
            waiting = (cursor.fetchone() or (0,))[0]
            if not waiting:
                return
            if time.monotonic() > deadline or any(p.poll() is not None for p in workers.values()):
                raise BenchmarkFailed(f"{waiting} jobs were never done: see the worker's log")
            time.sleep(POLL_S)


def _cost(side: str, stack: Stack, user: str, jobs: int, counters: Mapping[str, float]) -> Cost:
    with stack.connect() as connection, connection.cursor() as cursor:
        cursor.execute(STATEMENTS, (user,))
        rows = cursor.fetchall()
    details = [
        Counted(shorten(text), calls / jobs, total_ms / jobs) for text, calls, total_ms in rows
    ]
    return Cost(
        side=side,
        statements=sum(line.calls for line in details if not is_frame(line.text)),
        round_trips=sum(line.calls for line in details),
        commits=counters["commits"] / jobs,
        disk_syncs=counters["disk_syncs"] / jobs,
        wal_kb=counters["wal_bytes"] / jobs / 1024,
        postgres_ms=sum(line.ms for line in details),
        details=details,
    )


def shorten(text: str) -> str:
    """A statement on one short line."""
    line = " ".join(text.split())
    return line if len(line) <= SHOWN_CHARS else f"{line[: SHOWN_CHARS - 1]}…"


def is_frame(text: str) -> bool:
    """Whether a statement only begins, ends or tests something, on behalf of the driver."""
    return FRAME.match(text) is not None


def _settled_counters(stack: Stack) -> dict[str, float]:
    """Read once nothing changes them any more: processes report on their way out."""
    last = _read_counters(stack)
    while True:
        time.sleep(POLL_S)
        now = _read_counters(stack)
        if now["wal_bytes"] == last["wal_bytes"]:
            return now
        last = now


def _read_counters(stack: Stack) -> dict[str, float]:
    with stack.connect() as connection, connection.cursor() as cursor:
        cursor.execute(COUNTERS)
        row = cursor.fetchone() or (0, 0, 0)
    names = ("commits", "disk_syncs", "wal_bytes")
    return {name: float(value) for name, value in zip(names, row, strict=True)}


def _difference(before: Mapping[str, float], after: Mapping[str, float]) -> dict[str, float]:
    return {name: after[name] - before[name] for name in after}
