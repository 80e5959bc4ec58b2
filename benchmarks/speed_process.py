"""A side of `speed` as a child process: see `speed_script`."""

import asyncio
import json
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.errors import BenchmarkFailed
from embedded.process import ROOT, die_with_parent


@dataclass(frozen=True)
class Answer:
    """What a side made of recordings that it got at once."""

    texts: Sequence[str]
    wall_s: float
    cpu_s: float
    timings_s: Mapping[str, float] = field(default_factory=dict)


class SideProcess:
    """A side with its model loaded; idle until it is asked."""

    def __init__(self, name: str, process: subprocess.Popen[str]) -> None:
        self._name = name
        self._process = process
        self.pid = process.pid
        self.device = str(self._read()["device"])

    def transcribe_all(self, paths: Sequence[Path], *, is_decoded: bool) -> Answer:
        """Hand over recordings, all at once; blocks. Raises BenchmarkFailed."""
        if self._process.stdin is None:  # never: a pipe was asked for
            raise AssertionError
        asked = {"paths": [str(path.absolute()) for path in paths], "is_decoded": is_decoded}
        try:
            print(json.dumps(asked), file=self._process.stdin, flush=True)
        except BrokenPipeError as error:
            raise BenchmarkFailed(f"{self._name} is gone") from error
        said = self._read()
        if "error" in said:
            raise BenchmarkFailed(f"{self._name}: {said['error']}")
        return Answer(**said)

    async def transcribe_aside(self, paths: Sequence[Path], *, is_decoded: bool) -> Answer:
        """The same in a thread. Cancelled, it kills the process, or the thread would wait on."""
        try:
            return await asyncio.to_thread(self.transcribe_all, paths, is_decoded=is_decoded)
        except asyncio.CancelledError:
            self._process.kill()
            raise

    def _read(self) -> dict[str, Any]:
        if self._process.stdout is None:  # never: a pipe was asked for
            raise AssertionError
        line = self._process.stdout.readline()
        if not line:
            raise BenchmarkFailed(f"{self._name} ended; its last words stand above")
        content: dict[str, Any] = json.loads(line)
        return content


@contextmanager
def side_process(
    order: Mapping[str, object], environment: Mapping[str, str]
) -> Iterator[SideProcess]:
    """Run a side until the block is left, its model loaded on entry. Raises BenchmarkFailed."""
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.speed_script", json.dumps(dict(order))],
        cwd=ROOT,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=die_with_parent(signal.SIGKILL),  # noqa: PLW1509 - no threads here
    )
    try:
        yield SideProcess(str(order["side"]), process)
    finally:
        process.kill()
        process.wait()
