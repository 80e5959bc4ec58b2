"""What goes wrong with files, in words that are safe to show: no path is in them."""

import errno
import os
from typing import NoReturn

from domain.errors import AudioGone, StorageError, StorageFull, UploadTooLarge

FULL = (errno.ENOSPC, errno.EDQUOT)


def fail(error: Exception) -> NoReturn:
    """Raise StorageFull for a full disk, StorageError for anything else."""
    if isinstance(error, OSError) and error.errno in FULL:
        raise full() from error
    # Not str(error): it carries the path.
    reason = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else "closed"
    raise StorageError(f"the store cannot keep or read this file: {reason}") from error


def full() -> StorageFull:
    """The refusal of what does not fit on the disk."""
    return StorageFull("the server's disk has too little room left for this recording")


def too_large(max_bytes: int) -> UploadTooLarge:
    """The refusal of a recording beyond this many bytes."""
    return UploadTooLarge(f"the recording is larger than {max_bytes} bytes", max_bytes=max_bytes)


def gone() -> AudioGone:
    """There is no file by that key."""
    return AudioGone("the recording is no longer in the store")
