import os
import signal
import subprocess
from collections import deque

from embedded.output import LineReader
from embedded.process import has_ended, signal_session, spawn
from embedded.service import Service

TAIL_LINES = 15
BACKOFF_BASE_S = 1.0
BACKOFF_CAP_S = 30.0
STEADY_AFTER_S = 60.0  # a process that ran this long starts with the shortest pause again


class Child:
    """One service under supervision: its process now, its last lines, its next restart."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.tail: deque[str] = deque(maxlen=TAIL_LINES)
        self.restart_at: float | None = None  # on the monotonic clock; None: not due
        self._process: subprocess.Popen[bytes] | None = None
        self._started_at = 0.0
        self._failures = 0

    def start(self, now: float) -> LineReader:
        """Start the process and return the reader of what it says."""
        self._process = spawn(
            self.service.argv,
            environment=self.service.environment,
            output=subprocess.PIPE,
            death_signal=self.service.death_signal,
        )
        self._started_at = now
        self.restart_at = None
        if self._process.stdout is None:  # never: a pipe was asked for
            raise AssertionError
        return LineReader(self._process.stdout)

    @property
    def pid(self) -> int | None:
        """The process id; None before the first start."""
        return self._process.pid if self._process else None

    @property
    def exit_code(self) -> int | None:
        """The exit code, negative for a signal; None while it runs or before it was started."""
        if self._process is None or not has_ended(self._process):
            return None
        return self._process.returncode

    @property
    def is_running(self) -> bool:
        """Whether there is a process now."""
        return self._process is not None and not has_ended(self._process)

    def schedule_restart(self, now: float) -> float:
        """Set the time of the next start and return the pause before it in seconds."""
        self._failures = 1 if now - self._started_at >= STEADY_AFTER_S else self._failures + 1
        pause_s: float = min(BACKOFF_BASE_S * 2 ** (self._failures - 1), BACKOFF_CAP_S)
        self.restart_at = now + pause_s
        return pause_s

    def ask_to_stop(self) -> None:
        """Signal the leader alone: a worker's children must live to finish their jobs."""
        if self._process is not None and self.is_running:
            os.kill(self._process.pid, self.service.stop_signal)

    def kill(self) -> None:
        """End the process and what belongs to its session at once."""
        if self._process is not None and self.is_running:
            signal_session(self._process, signal.SIGKILL)
            # A process that runs as another user may refuse to be in the group's signal.
            os.kill(self._process.pid, signal.SIGKILL)
