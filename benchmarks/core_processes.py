"""The processes of a contender: those that work, and those that submit."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from benchmarks.core_contenders import Contender, Part
from benchmarks.core_recording import store_recording
from benchmarks.core_stack import SUBMITTER, Stack
from benchmarks.errors import BenchmarkFailed
from embedded.process import ROOT, die_with_parent, has_ended, signal_session, spawn

STOP_TIMEOUT_S = 40.0
POLL_S = 0.05

Workers = Mapping[str, subprocess.Popen[bytes]]


@dataclass(frozen=True)
class Load:
    """How much is submitted, and by whom."""

    jobs: int
    processes: int
    threads: int  # of each


class Submitters:
    """Processes that submit when they are told to."""

    def __init__(self, processes: Sequence[subprocess.Popen[str]]) -> None:
        self._processes = processes

    @property
    def pids(self) -> dict[str, int]:
        """Their process ids by name."""
        return {f"submitter {n}": p.pid for n, p in enumerate(self._processes, start=1)}

    def start(self, jobs: int) -> None:
        """Have them submit this many together; returns at once."""
        count = len(self._processes)
        for number, process in enumerate(self._processes):
            share = jobs // count + (number < jobs % count)
            if process.stdin is None:  # never: a pipe was asked for
                raise AssertionError
            print(share, file=process.stdin, flush=True)

    def wait(self) -> float:
        """The seconds that the slowest needed. Raises BenchmarkFailed."""
        return max(self._read(process) for process in self._processes)

    def have_ended(self) -> bool:
        """Whether one is gone: it met an error."""
        return any(process.poll() is not None for process in self._processes)

    def _read(self, process: subprocess.Popen[str]) -> float:
        line = process.stdout.readline() if process.stdout else ""
        if not line:
            raise BenchmarkFailed("a submitter ended; its last words stand above")
        return float(json.loads(line)["wall_s"])


@contextmanager
def worker_process(stack: Stack, name: str, part: Part) -> Iterator[subprocess.Popen[bytes]]:
    """Run a part of a contender until the block is left; what it says goes to a log."""
    with (stack.folder / "logs" / f"{name}.log").open("wb") as log:
        process = spawn(part.argv, environment=stack.environment(part.user), output=log)
    try:
        yield process
    finally:
        _stop(process)


def _stop(process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + STOP_TIMEOUT_S
    if not has_ended(process):
        process.send_signal(signal.SIGTERM)
    while not has_ended(process):
        if time.monotonic() > deadline:
            signal_session(process, signal.SIGKILL)
        time.sleep(POLL_S)


@contextmanager
def submitter_processes(stack: Stack, contender: Contender, load: Load) -> Iterator[Submitters]:
    """Run processes that submit for a contender until the block is left."""
    stored = store_recording(stack)
    argv = [
        *(sys.executable, "-m", "benchmarks.core_submitter"),
        *(contender.kind, str(load.threads), stored),
    ]
    with ExitStack() as exits:
        processes = []
        for _ in range(load.processes):
            process = subprocess.Popen(
                argv,
                cwd=ROOT,
                env=stack.environment(SUBMITTER),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                preexec_fn=die_with_parent(signal.SIGKILL),  # noqa: PLW1509 - no threads here
            )
            exits.callback(_end, process)
            processes.append(process)
        yield Submitters(processes)


def _end(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.wait()
