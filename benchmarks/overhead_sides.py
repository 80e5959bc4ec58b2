"""The two sides of `overhead`: the server, and what is compared with it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from benchmarks.engine_alone import engine_alone
from benchmarks.errors import BenchmarkFailed
from benchmarks.processes import cpu_seconds
from benchmarks.server import RunningServer
from benchmarks.speed_process import SideProcess
from benchmarks.submit import Finished, transcribe_file
from benchmarks.whisper_process import PlainWhisper, plain_whisper
from client.api import Server
from engines.cpu_share import usable_cores

ENGINE, WHISPER = "engine", "whisper"
TITLES = {ENGINE: "our engine alone", WHISPER: "whisper.transcribe"}


@dataclass(frozen=True)
class Alone:
    """What a side without a server made of a recording, decoding the file included."""

    text: str
    wall_s: float
    cpu_s: float  # of all cores together


class Contender(Protocol):
    """Who is compared with the server: a process of its own, its model loaded."""

    async def transcribe(self, path: Path) -> Alone:
        """One recording, from its file. Raises BenchmarkFailed."""
        ...


class EngineAlone:
    """Our own engine, called as the model host calls it."""

    def __init__(self, side: SideProcess) -> None:
        self._side = side

    async def transcribe(self, path: Path) -> Alone:
        """See `Contender`."""
        answer = await self._side.transcribe_aside([path], is_decoded=False)
        return Alone(answer.texts[0], answer.wall_s, answer.cpu_s)


class WhisperAlone:
    """openai-whisper in a plain script."""

    def __init__(self, plain: PlainWhisper) -> None:
        self._plain = plain

    async def transcribe(self, path: Path) -> Alone:
        """See `Contender`."""
        before_s = cpu_seconds(self._plain.pid)
        answer = await self._plain.transcribe_aside(path)
        if answer.error:
            raise BenchmarkFailed(f"the plain script: {answer.error}")
        return Alone(answer.text, answer.wall_s, cpu_seconds(self._plain.pid) - before_s)


@dataclass(frozen=True)
class Sides:
    """The two that are compared."""

    running: RunningServer
    server: Server
    contender: Contender

    async def run_server(self, recording: Path) -> tuple[Finished, float]:
        """The job, and the processor time it took in seconds. Raises BenchmarkFailed."""
        before_s = self.running.cpu_seconds()
        finished = await transcribe_file(self.server, recording, {})
        if finished.error:
            raise BenchmarkFailed(f"server: {finished.error}")
        return finished, self.running.cpu_seconds() - before_s


@contextmanager
def contender_process(
    name: str, folder: Path, *, model_size: str, best_of: int | None
) -> Iterator[Contender]:
    """Run one of TITLES on all cores until the block is left. `best_of` is for openai-whisper."""
    if name == WHISPER:
        options = {"best_of": best_of} if best_of else {}
        with plain_whisper(
            folder, model_size=model_size, threads=usable_cores(), options=options
        ) as plain:
            yield WhisperAlone(plain)
        return
    with engine_alone(folder, model_size) as side:
        yield EngineAlone(side)
