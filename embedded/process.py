"""Child processes that cannot outlive their parent."""

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO

ROOT = Path(__file__).resolve().parent.parent

PR_SET_PDEATHSIG = 1  # linux/prctl.h

# Loaded before any fork: loading a library between fork and exec may deadlock.
_LIBC = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def child_environment(**extra: str) -> dict[str, str]:
    """The environment of this process with `extra` laid over it, for a child."""
    return {**os.environ, "PYTHONUNBUFFERED": "1", **extra}


def die_with_parent(death_signal: signal.Signals) -> Callable[[], None]:
    """Return a preexec function: the kernel sends `death_signal` when this process is gone.

    The kernel watches the *thread* that forks, so only a thread that lives as long as the
    process may spawn.
    """
    parent_pid = os.getpid()

    def arm() -> None:
        if _LIBC is None:
            return
        _LIBC.prctl(PR_SET_PDEATHSIG, death_signal)
        if os.getppid() != parent_pid:  # it died between the fork and the line above
            os._exit(1)

    return arm


def spawn(
    argv: Sequence[str],
    *,
    environment: Mapping[str, str],
    output: int | IO[bytes],
    death_signal: signal.Signals = signal.SIGKILL,
    folder: Path = ROOT,
) -> subprocess.Popen[bytes]:
    """Start a child in a session of its own, with stdout and stderr going to `output`.

    The session keeps a terminal's Ctrl-C away from it: the parent decides who stops when.
    """
    return subprocess.Popen(
        argv,
        env=environment,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        preexec_fn=die_with_parent(death_signal),  # noqa: PLW1509 - no threads here
    )


def has_ended(process: subprocess.Popen[bytes]) -> bool:
    """Say whether the child is gone; what it left of its session is killed before it is reaped.

    The unreaped leader keeps the process group number from being given to strangers.
    """
    if process.returncode is not None:
        return True
    if os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
        return False
    signal_session(process, signal.SIGKILL)
    process.wait()
    return True


def signal_session(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    """Signal the child and everything that stayed in its process group."""
    try:
        os.killpg(process.pid, number)
    except (ProcessLookupError, PermissionError):
        return  # gone already, or only processes of another user are left: postgres's own


def is_alive(pid: int) -> bool:
    """Say whether a process with this id runs; one that is dead but not reaped does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return False
    return state not in "ZX"


def command_line(pid: int) -> str:
    """The words a process was started with, joined by spaces; empty when it is gone."""
    try:
        return (
            Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        )
    except OSError:
        return ""
