import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from embedded.process import child_environment


def ready_at_once() -> bool:
    """The readiness check of a process that nothing else waits for."""
    return True


@dataclass(frozen=True)
class Service:
    """How one child process is started, known to be ready, and stopped."""

    name: str
    argv: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=child_environment, repr=False)
    is_ready: Callable[[], bool] = ready_at_once
    start_timeout_s: float = 60.0
    stop_signal: signal.Signals = signal.SIGTERM
    stop_group: str = ""  # neighbours of one group are asked to stop at once
    stop_timeout_s: float = 10.0
    # What is left of stop_timeout_s after a second Ctrl-C. A store gets a little: it then
    # needs no recovery at the next start.
    hurried_stop_timeout_s: float = 0.0
    death_signal: signal.Signals = signal.SIGKILL
