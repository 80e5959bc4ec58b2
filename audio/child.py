"""One ffmpeg process: its limits, its folder, its pipes, its end."""

import math
import os
import resource
import selectors
import signal
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from tempfile import TemporaryDirectory
from time import monotonic
from typing import IO

from audio.isolation import start_without_network
from domain.errors import AudioDecodeTimeout, ConfigurationError, Stopped, StorageError

READ_BYTES = 256 * 1024
POLL_S = 0.2  # how late `should_stop` may be noticed

# Measured need: 0.7 GB for ffmpeg 9 with its threads, 0.3 GB for ffmpeg 6.
MAX_ADDRESS_SPACE_BYTES = 2 * 1024**3
CPU_PER_WALL = 4  # ffmpeg 7 and later demux, decode and filter in threads of their own

MAX_OPEN_FILES = 64

# An empty environment: no proxy, no FFREPORT file, and no secret of ours in the child's memory.
ENVIRONMENT = {"LC_ALL": "C"}

OnBytes = Callable[[bytes], None]


def run_child(
    command: Sequence[str],
    *,
    timeout_s: float,
    on_output: OnBytes,
    on_log: OnBytes,
    should_stop: Callable[[], bool] | None = None,
) -> int:
    """Run ffmpeg, hand over its stdout and stderr as they come, and return its exit status.

    It has no network, an empty folder of its own as working and temporary folder, and is killed,
    with its group, whenever this function is left early. Raises
    AudioDecodeTimeout past `timeout_s`, or when something other than us killed the process;
    Stopped within about `POLL_S` of `should_stop` turning true; ConfigurationError when the
    program cannot be run; StorageError without a folder; and whatever `on_output` raises.
    """
    deadline = monotonic() + timeout_s
    with _private_folder() as folder, _start(command, folder) as process:
        try:
            _limit(process.pid, timeout_s)
            _pump(process, deadline, on_output, on_log, should_stop)
            code = process.wait(max(POLL_S, deadline - monotonic()))
        except subprocess.TimeoutExpired as error:
            raise _too_slow() from error
        finally:
            _kill(process)
    if code in (-signal.SIGXCPU, -signal.SIGKILL, -signal.SIGTERM):
        # The machine's out-of-memory killer or an operator: no fault of the recording.
        raise AudioDecodeTimeout("the decoder was killed before it was done")
    return code


@contextmanager
def _private_folder() -> Iterator[str]:
    try:
        folder = TemporaryDirectory(prefix="scriptorium-ffmpeg-", ignore_cleanup_errors=True)
    except OSError as error:
        raise StorageError("there is no place for the decoder's temporary folder") from error
    with folder as path:
        yield path


def _start(command: Sequence[str], folder: str) -> subprocess.Popen[bytes]:
    def start() -> subprocess.Popen[bytes]:
        # No preexec_fn: it is unsafe beside threads and would copy the worker's page tables.
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            cwd=folder,
            env={**ENVIRONMENT, "TMPDIR": folder},
            process_group=0,
        )

    try:
        return start_without_network(start)
    except (FileNotFoundError, PermissionError) as error:
        raise ConfigurationError("ffmpeg cannot be run") from error


def _limit(pid: int, timeout_s: float) -> None:
    """Bound the process from outside, at once after its start and before it has read much."""
    limits = {
        resource.RLIMIT_AS: MAX_ADDRESS_SPACE_BYTES,
        # Ends a decoder whose parent was killed while it wrote nothing.
        resource.RLIMIT_CPU: CPU_PER_WALL * math.ceil(timeout_s) + 1,
        resource.RLIMIT_NOFILE: MAX_OPEN_FILES,
        resource.RLIMIT_FSIZE: 0,  # it writes to pipes; a file would be somebody's trick
        resource.RLIMIT_CORE: 0,  # a core file would hold the recording
    }
    with suppress(ProcessLookupError):
        for kind, wanted in limits.items():
            _, hard = resource.prlimit(pid, kind)
            value = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
            resource.prlimit(pid, kind, (value, value))


def _pump(
    process: subprocess.Popen[bytes],
    deadline: float,
    on_output: OnBytes,
    on_log: OnBytes,
    should_stop: Callable[[], bool] | None,
) -> None:
    with selectors.DefaultSelector() as selector:
        for stream, sink in ((process.stdout, on_output), (process.stderr, on_log)):
            selector.register(_pipe(stream), selectors.EVENT_READ, sink)
        next_poll = monotonic()
        while selector.get_map():
            now = monotonic()
            if now >= deadline:
                raise _too_slow()
            if should_stop is not None and now >= next_poll:
                next_poll = now + POLL_S
                if should_stop():
                    raise Stopped
            for key, _ in selector.select(min(POLL_S, deadline - now)):
                data = os.read(key.fd, READ_BYTES)
                if data:
                    key.data(data)
                else:
                    selector.unregister(key.fileobj)


def _pipe(stream: IO[bytes] | None) -> IO[bytes]:
    if stream is None:
        raise ValueError("the process was started without this pipe")
    return stream


def _too_slow() -> AudioDecodeTimeout:
    return AudioDecodeTimeout("decoding the recording took too long")


def _kill(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        # Not yet waited for, so the group's number cannot belong to anyone else.
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
