"""A file on a local disk that arrives in pieces."""

import fcntl
import hashlib
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Self

from domain.errors import UploadLocked
from storage.base import StoredFile
from storage.faults import fail, gone, too_large

READ_BYTES = 1024 * 1024
RECHECK_BYTES = 64 * 1024 * 1024  # a disk may fill up under an upload that fitted when it began


class LocalResumable:
    """An unfinished file, open and locked. The lock ends with the process that holds it.

    Nothing is buffered here: what `write` took is in the file, also when this process is killed.
    """

    def __init__(
        self,
        path: Path,
        key: str,
        *,
        max_bytes: int,
        check_room: Callable[[int], None],
        publish: Callable[[Path], str],
    ) -> None:
        self.key = key
        self._path = path
        self._max_bytes = max_bytes
        self._check_room = check_room
        self._publish = publish
        self._unchecked_bytes = RECHECK_BYTES  # the first write looks
        self._descriptor: int | None = _open_locked(path)
        self.size_bytes = os.lseek(self._descriptor, 0, os.SEEK_END)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def write(self, data: bytes) -> None:
        """Append. Raises UploadTooLarge past the cap, StorageFull; what is there then stays."""
        if self.size_bytes + len(data) > self._max_bytes:
            raise too_large(self._max_bytes)
        self._unchecked_bytes += len(data)
        if self._unchecked_bytes >= RECHECK_BYTES:
            self._check_room(len(data))
            self._unchecked_bytes = 0
        left = memoryview(data)
        try:
            while left:
                written = os.write(self._open(), left)
                self.size_bytes += written
                left = left[written:]
        except (OSError, ValueError) as error:
            fail(error)

    def sync(self) -> None:
        """Make what was written durable. Raises StorageError."""
        try:
            os.fsync(self._open())
        except (OSError, ValueError) as error:
            fail(error)

    def truncate(self, size_bytes: int) -> None:
        """Forget everything from this offset on. Raises StorageError."""
        try:
            os.ftruncate(self._open(), size_bytes)
            self.size_bytes = os.lseek(self._open(), 0, os.SEEK_END)
        except (OSError, ValueError) as error:
            fail(error)

    def commit(self, *, sha256: str | None = None) -> StoredFile:
        """Sync it and make it visible. Raises StorageError.

        It is read once for its hash, unless the caller knows that from an earlier time.
        """
        self.sync()
        try:
            found = sha256 or self._hash()
            key = self._publish(self._path)
        except (OSError, ValueError) as error:
            fail(error)
        return StoredFile(key, self.size_bytes, found)

    def discard(self) -> None:
        """Remove the unfinished file, and close. Harmless for what was committed."""
        with suppress(OSError):  # what cannot be removed now is swept later, by its age
            self._path.unlink(missing_ok=True)
        self.close()

    def close(self) -> None:
        """Let others open it. Harmless when called twice."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _hash(self) -> str:
        digest = hashlib.sha256()
        offset = 0
        while data := os.pread(self._open(), READ_BYTES, offset):
            digest.update(data)
            offset += len(data)
        return digest.hexdigest()

    def _open(self) -> int:
        if self._descriptor is None:
            raise ValueError("closed")
        return self._descriptor


def _open_locked(path: Path) -> int:
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError as error:
        raise gone() from error
    except OSError as error:
        fail(error)
    try:
        _lock(descriptor, path)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _lock(descriptor: int, path: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # Whoever held the lock before may have removed the file under this name.
        is_same = path.exists() and os.path.samestat(os.fstat(descriptor), path.stat())
    except BlockingIOError as error:
        raise UploadLocked("another request writes to this upload: try again soon") from error
    except OSError as error:
        fail(error)
    if not is_same:
        raise gone()
