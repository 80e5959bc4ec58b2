"""Where the model hosts of a machine are found: a private folder of sockets, locks and a key."""

import fcntl
import hashlib
import os
import secrets
import socket
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from domain.errors import ConfigurationError
from hosting.forks import no_fork

KEY_BYTES = 32
MAX_SOCKET_PATH = 100  # characters; the kernel's own bound is 107, or 103 on a Mac
SOCKET_SUFFIX = ".sock"
LOOK_S = 0.05

Place = int | str


@dataclass(frozen=True)
class HostFolder:
    """A host serves one device and is known by its place: 0, 1 ...; or by a name, where it
    serves one caller alone.
    """

    path: Path
    key: bytes  # whoever does not know it is not served

    def socket(self, place: Place) -> Path:
        """Where the host of a place listens."""
        return self.path / f"{place}{SOCKET_SUFFIX}"

    def places(self) -> list[int]:
        """The places where a host listens, or listened before it was killed."""
        return sorted(int(path.stem) for path in self.path.glob(f"[0-9]*{SOCKET_SUFFIX}"))

    @contextmanager
    def held(self, place: int) -> Iterator[bool]:
        """Hold a place as its host; False when another process does. The kernel lets go of the
        lock when the holder dies.
        """
        with self._lock_file(place).open("a+") as stream:
            is_ours = _lock(stream) or _lock_again(stream)
            if is_ours:
                stream.truncate(0)
                stream.write(str(os.getpid()))
                stream.flush()
            yield is_ours

    def holder(self, place: int) -> int | None:
        """The process that holds a place, or None."""
        path = self._lock_file(place)
        if not path.exists():
            return None
        with no_fork(), path.open() as stream:  # a child would keep the lock that we try
            pid = stream.read()
            return None if _lock(stream) or not pid else int(pid)

    def _lock_file(self, place: int) -> Path:
        return self.path / f"{place}.lock"


def _lock(stream: IO[str]) -> bool:
    """Whether nobody else holds it; ours until it is closed."""
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _lock_again(stream: IO[str]) -> bool:
    """Whether it was only looked at: `holder` has the lock for a moment, too."""
    time.sleep(LOOK_S)
    return _lock(stream)


def open_folder(run_path: Path) -> HostFolder:
    """The folder for the hosts of this machine, made on first use.

    Containers that share a volume have names of their own, and so folders of their own: each
    sees other devices. Raises ConfigurationError when others could read the folder.
    """
    path = run_path / f"models-{socket.gethostname()}"
    if len(str(path)) > MAX_SOCKET_PATH - len(f"/alone-0000000{SOCKET_SUFFIX}"):
        digest = hashlib.sha256(str(path).encode()).hexdigest()[:16]
        path = Path(tempfile.gettempdir()) / f"scriptorium-{os.getuid()}-{digest}"
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = path.lstat()  # a link that somebody put there would lead elsewhere
    if found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise ConfigurationError(f"{path} must belong to this user and be closed to all others")
    return HostFolder(path, _read_key(path / "key"))


def _read_key(path: Path) -> bytes:
    """The key of the folder; whoever comes first draws it."""
    if not path.exists():
        draft = path.with_name(f"key-{os.getpid()}")
        draft.touch(mode=0o600)
        draft.write_bytes(secrets.token_bytes(KEY_BYTES))
        with suppress(FileExistsError):
            os.link(draft, path)  # complete or not there, and never over another's
        draft.unlink()
    return path.read_bytes()
