"""What a store of recordings promises."""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import BinaryIO, Protocol


@dataclass(frozen=True)
class StoredFile:
    """A file that is safely in the store."""

    key: str  # of our own making, never the client's file name
    size_bytes: int
    sha256: str  # hex


@dataclass(frozen=True)
class Usage:
    """How full the place is that the files live in."""

    used_bytes: int  # by everything that lives there, not by recordings alone
    free_bytes: int


class Upload(Protocol):
    """A file on its way into the store. Nothing of it is visible before `commit`."""

    size_bytes: int

    def write(self, data: bytes) -> int:
        """Append. Raises UploadTooLarge past the cap, StorageFull when the disk is."""
        ...

    def seek(self, offset: int, whence: int = 0) -> int:
        """Move the reading position: form parsers rewind what they have written."""
        ...

    def read(self, size: int = -1) -> bytes:
        """Read back from the reading position."""
        ...

    def commit(self) -> StoredFile:
        """Make it durable (file and folder synced) and visible under its key."""
        ...

    def discard(self) -> None:
        """Leave nothing behind. Harmless after `commit`, and when called twice."""
        ...


class Resumable(Protocol):
    """A file that arrives in pieces, over many openings. One writer has it open at a time.

    It has a key of its own from the beginning. Nothing of it is visible before `commit`.
    """

    key: str
    size_bytes: int

    def write(self, data: bytes) -> None:
        """Append. Raises UploadTooLarge past the cap, StorageFull; what is there then stays."""
        ...

    def sync(self) -> None:
        """Make what was written durable."""
        ...

    def truncate(self, size_bytes: int) -> None:
        """Forget everything from this offset on."""
        ...

    def commit(self, *, sha256: str | None = None) -> StoredFile:
        """Make it visible under a key that follows from its own.

        It is read once for its hash, unless the caller knows that from an earlier time.
        The unfinished file stays too, until `discard`: committing again gives the same file.
        """
        ...

    def discard(self) -> None:
        """Remove the unfinished file, and close. Harmless for what was committed."""
        ...

    def close(self) -> None:
        """Let others open it; what was written stays. Harmless when called twice."""
        ...


class Storage(Protocol):
    """Where recordings live."""

    def new_upload(self, *, max_bytes: int, expected_bytes: int | None = None) -> Upload:
        """Begin a file. Raises StorageFull when `expected_bytes` would not fit."""
        ...

    def put(self, stream: BinaryIO, *, max_bytes: int) -> StoredFile:
        """Store a whole stream. On any error nothing is left."""
        ...

    def new_resumable(self, *, expected_bytes: int) -> str:
        """Begin an empty file that arrives in pieces; its key. Raises StorageFull."""
        ...

    def resume(self, key: str, *, max_bytes: int) -> Resumable:
        """Open it to go on. Raises UploadLocked while another one has it open, AudioGone."""
        ...

    def local_path(self, key: str) -> AbstractContextManager[Path]:
        """A path that ffmpeg can read, for as long as the context lasts."""
        ...

    def duplicate(self, key: str) -> str:
        """The same bytes under a key of their own, to be deleted apart. Raises AudioGone."""
        ...

    def open(self, key: str) -> BinaryIO:
        """Open for reading. Raises AudioGone when there is no such file."""
        ...

    def delete(self, key: str) -> bool:
        """Remove; False when there was nothing. Never raises for a missing file."""
        ...

    def size_of(self, key: str) -> int | None:
        """Bytes of a stored file or an abandoned upload; None when there is none by that key."""
        ...

    def keys_older_than(self, age: timedelta) -> Iterator[str]:
        """Keys of stored files and of abandoned uploads that are at least this old."""
        ...

    def check(self) -> None:
        """Raise StorageError or StorageFull unless a file could be written now."""
        ...

    def usage(self) -> Usage:
        """How full it is. Raises StorageError."""
        ...
