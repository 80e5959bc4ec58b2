"""Recordings on a local disk: `<root>/<aa>/<key>`, and `<root>/incoming/` while they arrive."""

import errno
import hashlib
import os
import re
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import IO, BinaryIO, Self

from domain.errors import StorageError
from storage.base import StoredFile, Usage
from storage.faults import fail, full, gone, too_large
from storage.local_resumable import LocalResumable

INCOMING = "incoming"
KEY = re.compile(r"[0-9a-f]{32}")
INCOMING_KEY = re.compile(rf"{INCOMING}/[0-9a-f]{{32}}")
COPY_BYTES = 1024 * 1024
NO_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS)  # some network file systems
RECHECK_BYTES = 64 * 1024 * 1024  # a disk may fill up under an upload that fitted when it began


class LocalUpload:
    """A file in `incoming/`, hashed as it is written. A failed write leaves nothing behind."""

    def __init__(self, storage: "LocalStorage", *, max_bytes: int) -> None:
        self.size_bytes = 0
        self._storage = storage
        self._max_bytes = max_bytes
        self._unchecked_bytes = 0
        self._is_at_end = True
        self._hash = hashlib.sha256()
        self._key = secrets.token_hex(16)
        self._path = storage.root / INCOMING / self._key
        self._file: IO[bytes] = _create(self._path)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.discard()

    def write(self, data: bytes) -> int:
        """Append, wherever the reading position is. Returns the number of bytes taken.

        Raises UploadTooLarge past the cap, StorageFull when the disk is, StorageError otherwise.
        """
        try:
            self._append(data)
        except BaseException:
            self.discard()
            raise
        return len(data)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move the reading position; returns it in bytes from the start."""
        self._is_at_end = False
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """The reading position in bytes from the start."""
        return self._file.tell()

    def read(self, size: int = -1) -> bytes:
        """Up to `size` bytes from the reading position; all that is left when negative."""
        self._is_at_end = False
        return self._file.read(size)

    def commit(self) -> StoredFile:
        """Sync the file, move it under its key and sync the folder. Raises StorageError."""
        try:
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            _move(self._path, self._storage.root, self._key)
        except (OSError, ValueError) as error:  # ValueError: discarded before
            self.discard()
            with suppress(StorageError):  # moved, but the folder could not be synced
                self._storage.delete(self._key)
            fail(error)
        return StoredFile(self._key, self.size_bytes, self._hash.hexdigest())

    def discard(self) -> None:
        """Leave nothing behind. Harmless after `commit`, and when called twice."""
        with suppress(OSError):  # closing flushes, which a full disk refuses
            self._file.close()
        with suppress(OSError):  # what cannot be removed now is swept later, by its age
            self._path.unlink(missing_ok=True)

    close = discard  # what form parsers call at the end of a request

    def _append(self, data: bytes) -> None:
        if self.size_bytes + len(data) > self._max_bytes:
            raise too_large(self._max_bytes)
        self._unchecked_bytes += len(data)
        if self._unchecked_bytes >= RECHECK_BYTES:
            self._storage.check_room(len(data))
            self._unchecked_bytes = 0
        try:
            if not self._is_at_end:  # every seek flushes, which would undo the buffering
                self._file.seek(0, os.SEEK_END)
                self._is_at_end = True
            self._file.write(data)
        except (OSError, ValueError) as error:
            fail(error)
        self._hash.update(data)
        self.size_bytes += len(data)


class LocalStorage:
    """A store in one folder. Readable by its owner alone; keys are random, never a client's."""

    def __init__(self, root: Path, *, min_free_bytes: int) -> None:
        self.root = root
        self._min_free_bytes = min_free_bytes

    def new_upload(self, *, max_bytes: int, expected_bytes: int | None = None) -> LocalUpload:
        """Begin a file of at most `max_bytes`.

        Raises UploadTooLarge or StorageFull at once when `expected_bytes` would not fit, and
        StorageError when the folder cannot be written.
        """
        if expected_bytes is not None and expected_bytes > max_bytes:
            raise too_large(max_bytes)
        try:
            _make_folder(self.root / INCOMING)
            self.check_room(expected_bytes or 0)
            return LocalUpload(self, max_bytes=max_bytes)
        except OSError as error:
            fail(error)

    def put(self, stream: BinaryIO, *, max_bytes: int) -> StoredFile:
        """Store a whole stream. On any error, the stream's own too, nothing is left."""
        with self.new_upload(max_bytes=max_bytes) as upload:
            while data := stream.read(COPY_BYTES):
                upload.write(data)
            return upload.commit()

    def new_resumable(self, *, expected_bytes: int) -> str:
        """Begin an empty file that arrives in pieces: its key, `incoming/...`.

        Raises StorageFull when so much would not fit, StorageError.
        """
        key = f"{INCOMING}/{secrets.token_hex(16)}"
        try:
            _make_folder(self.root / INCOMING)
            self.check_room(expected_bytes)
            _create(self.root / key).close()
            _sync_folder(self.root / INCOMING)
        except OSError as error:
            fail(error)
        return key

    def resume(self, key: str, *, max_bytes: int) -> LocalResumable:
        """Open a file of `new_resumable` to go on. Raises UploadLocked, AudioGone, StorageError."""
        if not INCOMING_KEY.fullmatch(key):
            raise gone()
        return LocalResumable(
            self.root / key,
            key,
            max_bytes=max_bytes,
            check_room=self.check_room,
            publish=lambda path: self._publish(path, path.name),
        )

    @contextmanager
    def local_path(self, key: str) -> Iterator[Path]:
        """The file's own path. Raises AudioGone when there is no such file."""
        path = self._stored_path(key)
        if path is None or not path.is_file():
            raise gone()
        yield path

    def duplicate(self, key: str) -> str:
        """The same bytes under another key; without a copy where the disk has links.

        Raises AudioGone when there is no such file, StorageError, StorageFull.
        """
        with self.local_path(key) as path:
            twin = secrets.token_hex(16)
            try:
                os.utime(path)  # what was stored just now is not yet to be taken for an orphan
                _make_folder(self.root / twin[:2])
                os.link(path, self.root / twin[:2] / twin)
                for folder in (self.root / twin[:2], self.root):
                    _sync_folder(folder)
            except FileNotFoundError as error:
                raise gone() from error
            except OSError as error:
                if error.errno not in (*NO_LINKS, errno.EMLINK):
                    fail(error)
                with path.open("rb") as stream:
                    return self.put(stream, max_bytes=path.stat().st_size).key
        return twin

    def open(self, key: str) -> BinaryIO:
        """Open for reading. Raises AudioGone when there is no such file."""
        path = self._stored_path(key)
        if path is None:
            raise gone()
        try:
            return path.open("rb")
        except FileNotFoundError as error:
            raise gone() from error
        except OSError as error:
            fail(error)

    def delete(self, key: str) -> bool:
        """Remove a file or an abandoned upload; False when there was nothing by that key."""
        path = self._any_path(key)
        if path is None:
            return False
        try:
            path.unlink()
        except FileNotFoundError:
            return False
        except OSError as error:
            fail(error)
        return True

    def size_of(self, key: str) -> int | None:
        """Bytes of a file or an abandoned upload; None when there is none by that key."""
        path = self._any_path(key)
        if path is None:
            return None
        try:
            return path.stat().st_size
        except FileNotFoundError:
            return None
        except OSError as error:
            fail(error)

    def keys_older_than(self, age: timedelta) -> Iterator[str]:
        """Keys of files last written at least `age` ago; abandoned uploads as `incoming/...`."""
        limit = time.time() - age.total_seconds()
        for folder in _entries(self.root):
            for entry in _entries(Path(folder.path)):
                key = f"{INCOMING}/{entry.name}" if folder.name == INCOMING else entry.name
                if not (KEY.fullmatch(key) or INCOMING_KEY.fullmatch(key)):
                    continue
                with suppress(FileNotFoundError):  # removed while we look
                    if entry.stat().st_mtime <= limit:
                        yield key

    def check(self) -> None:
        """Write and remove a small file. Raises StorageError, or StorageFull below the reserve."""
        with self.new_upload(max_bytes=1) as upload:
            upload.write(b"\0")
            upload.seek(0)  # flushes: a full disk shows here, not at the write
            upload.read(1)

    def check_room(self, size_bytes: int) -> None:
        """Raise StorageFull unless this many bytes fit and the reserve stays free."""
        try:
            free_bytes = shutil.disk_usage(self.root).free
        except OSError as error:
            fail(error)
        if free_bytes < size_bytes + self._min_free_bytes:
            raise full()

    def usage(self) -> Usage:
        """How full the disk is; what is reserved counts as free. Raises StorageError."""
        try:
            _make_folder(self.root / INCOMING)
            disk = shutil.disk_usage(self.root)
        except OSError as error:
            fail(error)
        return Usage(used_bytes=disk.used, free_bytes=disk.free)

    def _publish(self, path: Path, key: str) -> str:
        _link(path, self.root, key)
        return key

    def _any_path(self, key: str) -> Path | None:
        return self.root / key if INCOMING_KEY.fullmatch(key) else self._stored_path(key)

    def _stored_path(self, key: str) -> Path | None:
        return self.root / key[:2] / key if KEY.fullmatch(key) else None


def _create(path: Path) -> IO[bytes]:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    return os.fdopen(descriptor, "w+b", buffering=COPY_BYTES)


def _make_folder(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    path.mkdir(exist_ok=True, mode=0o700)


def _move(source: Path, root: Path, key: str) -> None:
    folder = root / key[:2]
    _make_folder(folder)
    source.rename(folder / key)
    # The file is safe only when the names that lead to it are: its own, and its folder's.
    for synced in (folder, root):
        _sync_folder(synced)


def _link(source: Path, root: Path, key: str) -> None:
    """Make the file visible under its key beside its old name; twice does no harm."""
    folder = root / key[:2]
    _make_folder(folder)
    with suppress(FileExistsError):
        try:
            os.link(source, folder / key)
        except OSError as error:
            if error.errno not in NO_LINKS:
                raise
            source.rename(folder / key)
    for synced in (folder, root):
        _sync_folder(synced)


def _sync_folder(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _entries(folder: Path) -> list["os.DirEntry[str]"]:
    try:
        with os.scandir(folder) as found:
            return list(found)
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        fail(error)
