"""Where finished transcripts go: into files, or to standard output in the order of the inputs."""

import asyncio
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from client.files import write_output
from client.progress import Display

Write = Callable[[bytes], None]


class Delivery:
    """Takes each transcript, or the news that there is none, once per input."""

    def __init__(
        self,
        names: Sequence[str],
        outputs: Sequence[Path] | None,
        display: Display,
        *,
        force: bool,
        has_headings: bool,
        write: Write | None = None,
    ) -> None:
        self._names = names
        self._outputs = outputs
        self._display = display
        self._force = force
        self._has_headings = has_headings
        self._write = write or write_stdout
        self._waiting: dict[int, bytes | None] = {}
        self._next = 0
        self._printed = 0
        self._is_out = [asyncio.Event() for _ in names]

    async def deliver(self, index: int, content: bytes) -> str | None:
        """Bring the transcript to its place; the path, or None for standard output.

        Returns once it is there, which on standard output is after the inputs before it.
        Raises OutputNotWritten.
        """
        if self._outputs is not None:
            path = self._outputs[index]
            await asyncio.to_thread(write_output, path, content, force=self._force)
            return str(path)
        self._hand_over(index, content)
        await self._is_out[index].wait()
        return None

    def skip(self, index: int) -> None:
        """There will be no transcript of this input: the next one need not wait for it."""
        if self._outputs is None:
            self._hand_over(index, None)

    def flush(self) -> None:
        """Print what is there although inputs before it are missing."""
        for index in sorted(self._waiting):
            self._print(index, self._waiting[index])
        self._waiting.clear()

    def _hand_over(self, index: int, content: bytes | None) -> None:
        self._waiting.setdefault(index, content)
        while self._next in self._waiting:
            self._print(self._next, self._waiting.pop(self._next))
            self._next += 1

    def _print(self, index: int, content: bytes | None) -> None:
        if content is not None:
            with self._display.aside():
                self._write(self._with_heading(index, content))
            self._printed += 1
        self._is_out[index].set()

    def _with_heading(self, index: int, content: bytes) -> bytes:
        if not content.endswith(b"\n"):
            content += b"\n"
        if not self._has_headings:
            return content
        gap = "\n" if self._printed else ""
        return f"{gap}==> {self._names[index]} <==\n".encode() + content


def write_stdout(content: bytes) -> None:
    """Write bytes to standard output as they are."""
    sys.stdout.flush()
    sys.stdout.buffer.write(content)
    sys.stdout.buffer.flush()
