"""Walk through a binary file whose layout is only known while reading."""

import math
import mmap
import struct

import numpy as np
from numpy.typing import DTypeLike, NDArray

from domain.errors import ModelUnavailable


class Cursor:
    """A place in little-endian data. Every read raises ModelUnavailable past the end."""

    def __init__(self, data: bytes | mmap.mmap, what: str) -> None:
        self._data = data
        self._what = what
        self._at = 0

    def is_at_end(self) -> bool:
        """Whether every byte was read."""
        return self._at == len(self._data)

    def skip(self, n_bytes: int) -> int:
        """Go on by `n_bytes` and return the place before."""
        start = self._at
        if n_bytes < 0 or start + n_bytes > len(self._data):
            raise ModelUnavailable(f"{self._what} is damaged or cut off after {start} bytes")
        self._at = start + n_bytes
        return start

    def number(self, code: str) -> int:
        """Read one integer; `code` is its letter in the struct module."""
        start = self.skip(struct.calcsize(f"<{code}"))
        value: int = struct.unpack_from(f"<{code}", self._data, start)[0]
        return value

    def text(self, n_bytes: int) -> str:
        """Read a name of `n_bytes`; NULs at its end do not count."""
        start = self.skip(n_bytes)
        return self._data[start : self._at].rstrip(b"\0").decode("utf-8", "replace")

    def array(self, dtype: DTypeLike, shape: tuple[int, ...]) -> NDArray[np.generic]:
        """Read an array as a copy, in C order."""
        kind = np.dtype(dtype)
        n_values = math.prod(shape)
        start = self.skip(n_values * kind.itemsize)
        # A copy: a view would keep the mapped file from being closed.
        return np.frombuffer(self._data, kind, n_values, start).reshape(shape).copy()
