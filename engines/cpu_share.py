"""Share the cores of one machine between the processes that transcribe on it.

An engine at work holds one byte of a file that all processes lock. The kernel frees the
byte of a process that dies, so nobody has to clean up after a kill.
"""

import fcntl
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock

logger = logging.getLogger(__name__)

PLACES = 64  # engines at work that one machine can count; more than that share one core each
CGROUP_FILES = (  # version 2, then version 1
    (Path("/sys/fs/cgroup/cpu.max"), None),
    (
        Path("/sys/fs/cgroup/cpu/cpu.cfs_quota_us"),
        Path("/sys/fs/cgroup/cpu/cpu.cfs_period_us"),
    ),
)


class Places:
    """The bytes of one lock file. POSIX locks belong to a process: one object per process."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Never closed: closing any descriptor of the file would drop all our locks on it.
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._lock = Lock()
        self._ours: set[int] = set()

    def take(self) -> int | None:
        """Hold a free place, or None when all are taken."""
        with self._lock:
            for place in range(PLACES):
                if place not in self._ours and self._try(fcntl.LOCK_EX, place):
                    self._ours.add(place)
                    return place
        return None

    def give_back(self, place: int) -> None:
        """Free a place that `take` returned."""
        with self._lock:
            fcntl.lockf(self._descriptor, fcntl.LOCK_UN, 1, place)
            self._ours.discard(place)

    def count(self) -> int:
        """How many places are held on this machine, ours included."""
        with self._lock:
            return len(self._ours) + sum(map(self._is_foreign, range(PLACES)))

    def _is_foreign(self, place: int) -> bool:
        if place in self._ours:
            return False  # a lock on our own byte would replace the one we hold
        if not self._try(fcntl.LOCK_SH, place):
            return True
        fcntl.lockf(self._descriptor, fcntl.LOCK_UN, 1, place)
        return False

    def _try(self, kind: int, place: int) -> bool:
        try:
            fcntl.lockf(self._descriptor, kind | fcntl.LOCK_NB, 1, place)
        except (BlockingIOError, PermissionError):
            return False
        return True


_places: dict[tuple[int, Path], Places] = {}


class CpuShare:
    """Says how many threads an engine may use right now."""

    def __init__(self, lock_file: Path, *, fixed_threads: int = 0, cores: int = 0) -> None:
        self._lock_file = lock_file
        self._fixed_threads = fixed_threads
        self._cores = cores or usable_cores()

    @property
    def most_threads(self) -> int:
        """What a lone engine may use; stays the same."""
        return self._fixed_threads or self._cores

    @contextmanager
    def busy(self) -> Iterator[None]:
        """Count as an engine at work while the block runs."""
        places = self._places()
        place = places.take() if places else None
        try:
            yield
        finally:
            if places and place is not None:
                places.give_back(place)

    def threads(self) -> int:
        """Usable cores divided by the engines at work, at least 1; or the number set by hand."""
        if self._fixed_threads:
            return self._fixed_threads
        places = self._places()
        engines = places.count() if places else 1
        return max(1, self._cores // max(1, engines))

    def _places(self) -> Places | None:
        if self._fixed_threads:
            return None
        key = (os.getpid(), self._lock_file)  # locks do not survive a fork
        if key not in _places:
            try:
                # Another thread may have been first: two would take each other's places for free.
                _places.setdefault(key, Places(self._lock_file))
            except OSError as error:
                logger.warning("cpu_share_unavailable", extra={"reason": str(error)})
                return None
        return _places[key]


def usable_cores() -> int:
    """Cores that this process may use: its affinity, cut down to the container's quota."""
    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    else:
        cores = os.cpu_count() or 1
    quota = _cgroup_quota()
    return cores if quota is None else max(1, min(cores, int(quota)))


def _cgroup_quota() -> float | None:
    """Cores' worth of time that the control group grants, None for no limit."""
    for quota_file, period_file in CGROUP_FILES:
        try:
            fields = quota_file.read_text().split()
            if period_file is not None:
                fields.append(period_file.read_text())
            return parse_quota(fields)
        except (OSError, ValueError, IndexError):
            continue
    return None


def parse_quota(fields: list[str]) -> float | None:
    """Cores from [quota, period] in microseconds; `max` and -1 mean no limit."""
    if fields[0] in ("max", "-1"):
        return None
    return int(fields[0]) / int(fields[1])
