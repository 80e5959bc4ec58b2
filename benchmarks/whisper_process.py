"""The plain script as a child process: see `whisper_script`."""

import asyncio
import json
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.errors import BenchmarkFailed
from benchmarks.recordings import server_ffmpeg
from config import Settings
from embedded.process import ROOT, child_environment, die_with_parent


@dataclass(frozen=True)
class PlainAnswer:
    """What openai-whisper made of one recording."""

    text: str
    wall_s: float
    error: str | None = None


class PlainWhisper:
    """openai-whisper in a process of its own, its model loaded."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.pid = process.pid
        about = self._read()
        self.device = str(about["device"])
        self.threads = int(about["threads"])

    def transcribe(self, path: Path) -> PlainAnswer:
        """Transcribe one recording; blocks. Raises BenchmarkFailed when the process is gone."""
        if self._process.stdin is None:  # never: a pipe was asked for
            raise AssertionError
        try:
            print(json.dumps(str(path.absolute())), file=self._process.stdin, flush=True)
        except BrokenPipeError as error:
            raise BenchmarkFailed("the plain script is gone") from error
        said = self._read()
        return PlainAnswer(said.get("text", ""), said.get("wall_s", 0.0), said.get("error"))

    async def transcribe_aside(self, path: Path) -> PlainAnswer:
        """The same in a thread. Cancelled, it kills the process, or the thread would wait on."""
        try:
            return await asyncio.to_thread(self.transcribe, path)
        except asyncio.CancelledError:
            self._process.kill()
            raise

    def _read(self) -> dict[str, Any]:
        if self._process.stdout is None:  # never: a pipe was asked for
            raise AssertionError
        line = self._process.stdout.readline()
        if not line:
            raise BenchmarkFailed("the plain script ended; its last words stand above")
        content: dict[str, Any] = json.loads(line)
        return content


@contextmanager
def plain_whisper(
    folder: Path, *, model_size: str, threads: int, options: Mapping[str, object]
) -> Iterator[PlainWhisper]:
    """Run the plain script until the block is left, with the very ffmpeg of the server.

    `folder` takes a link to it; `options` are keyword arguments for `whisper.transcribe`.
    """
    model_dir = str((ROOT / Settings().model_path).resolve())
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.whisper_script",
         model_size, model_dir, str(threads), json.dumps(dict(options))],
        cwd=ROOT,
        env=plain_environment(folder),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=die_with_parent(signal.SIGKILL),  # noqa: PLW1509 - no threads here
    )  # fmt: skip
    try:
        yield PlainWhisper(process)
    finally:
        process.kill()
        process.wait()


def plain_environment(folder: Path) -> dict[str, str]:
    """The environment of a script that finds the server's ffmpeg; `folder` takes a link to it."""
    # openai-whisper runs whatever PATH calls `ffmpeg`; the one of the wheel has another name.
    link = folder / "bin" / "ffmpeg"
    link.parent.mkdir(exist_ok=True)
    link.unlink(missing_ok=True)
    link.symlink_to(server_ffmpeg())
    environment = child_environment()
    environment["PATH"] = f"{link.parent}:{environment.get('PATH', '')}"
    # Set by hand, it would rule over the number of threads that was asked for.
    environment.pop("OMP_NUM_THREADS", None)
    return environment
