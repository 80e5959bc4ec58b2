"""Lines of many processes on one stream, each with the name of its process before it."""

import os
from collections.abc import Sequence
from typing import IO, TextIO

CHUNK_BYTES = 65_536
LINE_LIMIT_BYTES = 32_768  # a longer line comes out in pieces
# Cyan, green, yellow, magenta, blue, and their bright forms; red is left to errors.
COLOURS = (36, 32, 33, 35, 34, 96, 92, 93, 95, 94)
# A recording's name may end up in a log line: no escape sequence of its reaches the terminal.
CONTROL_CHARACTERS = dict.fromkeys((*range(9), *range(10, 32), 127), "\N{REPLACEMENT CHARACTER}")


class LineReader:
    """Turns what a pipe gives into whole lines, without ever waiting for it."""

    def __init__(self, pipe: IO[bytes]) -> None:
        os.set_blocking(pipe.fileno(), False)
        self._pipe = pipe
        self._rest = b""

    def fileno(self) -> int:
        """The descriptor, for a selector."""
        return self._pipe.fileno()

    def read_lines(self) -> list[str] | None:
        """The lines that are complete now; None at the end of the stream."""
        try:
            chunk = os.read(self._pipe.fileno(), CHUNK_BYTES)
        except BlockingIOError:
            return []
        if not chunk:
            return None
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        if len(self._rest) > LINE_LIMIT_BYTES:
            lines.append(self._rest)
            self._rest = b""
        return [clean(line) for line in lines]

    def close(self) -> list[str]:
        """Close the pipe and return the unfinished last line, if there is one."""
        self._pipe.close()
        last, self._rest = self._rest, b""
        return [clean(last)] if last else []


def clean(line: bytes) -> str:
    """One line as text: of a progress bar only its last state, and no control characters."""
    text = line.decode(errors="replace").rstrip("\r").rpartition("\r")[2]
    return text.translate(CONTROL_CHARACTERS).rstrip()


class PrefixedPrinter:
    """Writes `name | line`; the names have one width, and one colour each on a terminal."""

    def __init__(self, stream: TextIO, names: Sequence[str], *, colour: bool) -> None:
        self._stream = stream
        self._width = max(map(len, names), default=0)
        self._colours = dict(zip(names, COLOURS * len(names), strict=False)) if colour else {}
        self.is_broken = False

    def write(self, name: str, line: str) -> None:
        """Write one line. A reader that went away is noted in `is_broken`."""
        if self.is_broken:
            return
        prefix = f"{name:<{self._width}} |"
        if name in self._colours:
            prefix = f"\x1b[{self._colours[name]}m{prefix}\x1b[0m"
        try:
            self._stream.write(f"{prefix} {line}\n")
            self._stream.flush()
        except (BrokenPipeError, ValueError):
            self.is_broken = True
