"""One turn of one contender: N jobs from the first submission until the last one is done."""

import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from benchmarks.core_contenders import Contender
from benchmarks.core_cpu import Watched, spent
from benchmarks.core_processes import (
    POLL_S,
    Load,
    Submitters,
    Workers,
    submitter_processes,
    worker_process,
)
from benchmarks.core_stack import Stack
from benchmarks.errors import BenchmarkFailed
from embedded.process import has_ended

WARM_UP_JOBS = 40  # both children have had theirs, and every late import is done
TURN_TIMEOUT_S = 900.0
SETTLE_S = 0.5  # the last child reports, the pools fall idle
LOG_TAIL_CHARS = 3_000


@dataclass(frozen=True)
class Turn:
    """What one turn took."""

    contender: str
    jobs: int
    wall_s: float  # from the first submission until the last one was done
    submit_s: float  # until the last one was taken
    cpu_s: Mapping[str, float]  # by part, meanwhile

    @property
    def rate(self) -> float:
        """Jobs per second."""
        return self.jobs / self.wall_s

    @property
    def cpu_ms(self) -> dict[str, float]:
        """Processor milliseconds of a job by part."""
        return {name: 1000 * spent_s / self.jobs for name, spent_s in self.cpu_s.items()}


@dataclass(frozen=True)
class Track:
    """A contender that runs, warm, and is measured as often as wanted."""

    stack: Stack
    contender: Contender
    submitters: Submitters
    watched: Watched
    workers: Workers

    def run(self, jobs: int) -> Turn:
        """Submit and wait until all are done. Raises BenchmarkFailed."""
        before = self.watched.read()
        # The database's clock and ours are one: same machine.
        started_at = time.time()
        self.submitters.start(jobs)
        ended_at = self._wait_until_done(started_at, jobs)
        submit_s = self.submitters.wait()
        cpu_s = spent(before, self.watched.read())
        return Turn(self.contender.name, jobs, ended_at - started_at, submit_s, merge(cpu_s))

    def _wait_until_done(self, since: float, jobs: int) -> float:
        deadline = time.monotonic() + TURN_TIMEOUT_S
        with self.stack.connect() as connection, connection.cursor() as cursor:
            while True:
                cursor.execute(self.contender.done_sql, {"since": since})
                done, last_at, failed = cursor.fetchone() or (0, None, 0)
                if failed:
                    raise BenchmarkFailed(f"{failed} jobs failed:\n{self.last_words('worker')}")
                if done >= jobs:
                    return float(last_at)
                self._check(deadline, f"{done} of {jobs} jobs were done")
                time.sleep(POLL_S)

    def _check(self, deadline: float, state: str) -> None:
        for name, process in self.workers.items():
            if has_ended(process):
                raise BenchmarkFailed(f"the {name} ended when {state}:\n{self.last_words(name)}")
        if self.submitters.have_ended():
            raise BenchmarkFailed("a submitter ended; its last words stand above")
        if time.monotonic() > deadline:
            raise BenchmarkFailed(f"no end: only {state} after {TURN_TIMEOUT_S:.0f} s")

    def last_words(self, name: str) -> str:
        """The end of a worker's log."""
        path = self.stack.folder / "logs" / f"{name}.log"
        return path.read_text(errors="replace")[-LOG_TAIL_CHARS:]


def merge(cpu_s: Mapping[str, float]) -> dict[str, float]:
    """The same with all submitters as one part."""
    merged: dict[str, float] = {}
    for name, value in cpu_s.items():
        part = "submitters" if name.startswith("submitter ") else name
        merged[part] = merged.get(part, 0.0) + value
    return merged


@contextmanager
def running(stack: Stack, contender: Contender, load: Load) -> Iterator[Track]:
    """Start a contender's workers and submitters, warm; stop them on leaving."""
    stack.settle()
    with ExitStack() as exits:
        workers = {
            name: exits.enter_context(worker_process(stack, name, part))
            for name, part in contender.parts.items()
        }
        submitters = exits.enter_context(submitter_processes(stack, contender, load))
        pids = {name: process.pid for name, process in workers.items()}
        services = {"postgres": stack.postgres_pid, "valkey": stack.valkey_pid}
        watched = Watched({**submitters.pids, **pids, **services})
        track = Track(stack, contender, submitters, watched, workers)
        track.run(WARM_UP_JOBS)
        time.sleep(SETTLE_S)
        yield track


def take_turn(stack: Stack, contender: Contender, load: Load) -> Turn:
    """Start, warm up, measure once, stop."""
    with running(stack, contender, load) as track:
        return track.run(load.jobs)
