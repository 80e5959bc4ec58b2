"""The same recording under two keys."""

import errno
import os
from datetime import timedelta
from io import BytesIO
from pathlib import Path

import pytest

from domain.errors import AudioGone, StorageError
from storage.base import Storage
from storage.local import LocalStorage

CAP = 1_000
LONG_AGO_S = 1_000_000_000


class TwinsContract:
    """What every Storage must do. Subclasses provide the `storage` fixture."""

    def test_a_twin_has_the_same_bytes_and_outlives_the_first(self, storage: Storage):
        first = storage.put(BytesIO(b"audio"), max_bytes=CAP)

        twin = storage.duplicate(first.key)

        storage.delete(first.key)
        assert twin != first.key
        with storage.open(twin) as stream:
            assert stream.read() == b"audio"

    def test_the_first_outlives_a_twin(self, storage: Storage):
        first = storage.put(BytesIO(b"audio"), max_bytes=CAP)
        twin = storage.duplicate(first.key)

        storage.delete(twin)

        assert storage.size_of(first.key) == len(b"audio")
        assert storage.size_of(twin) is None

    @pytest.mark.parametrize("key", ["0" * 32, "../../etc/passwd", ""])
    def test_what_is_not_there_has_no_twin(self, storage: Storage, key: str):
        with pytest.raises(AudioGone):
            storage.duplicate(key)


class TestLocalStorage(TwinsContract):
    @pytest.fixture
    def root(self, tmp_path: Path) -> Path:
        return tmp_path / "store"

    @pytest.fixture
    def storage(self, root: Path) -> LocalStorage:
        return LocalStorage(root, min_free_bytes=0)

    def test_a_twin_takes_no_room(self, storage: LocalStorage, root: Path):
        storage.duplicate(storage.put(BytesIO(b"audio"), max_bytes=CAP).key)

        files = {path.stat().st_ino for path in root.rglob("*") if path.is_file()}

        assert len(files) == 1

    def test_a_twin_is_as_young_as_an_upload(self, storage: LocalStorage):
        first = storage.put(BytesIO(b"audio"), max_bytes=CAP)
        with storage.local_path(first.key) as path:
            os.utime(path, (LONG_AGO_S, LONG_AGO_S))

        storage.duplicate(first.key)

        assert list(storage.keys_older_than(timedelta(hours=1))) == []

    @pytest.mark.parametrize("number", [errno.EPERM, errno.EMLINK])
    def test_where_there_are_no_links_a_twin_is_a_copy(
        self, storage: LocalStorage, root: Path, monkeypatch: pytest.MonkeyPatch, number: int
    ):
        refuse_links(monkeypatch, number)
        first = storage.put(BytesIO(b"audio"), max_bytes=CAP)

        twin = storage.duplicate(first.key)

        files = {path.stat().st_ino for path in root.rglob("*") if path.is_file()}
        assert len(files) == 2
        assert storage.size_of(twin) == len(b"audio")

    def test_a_fault_of_the_disk_makes_no_twin(
        self, storage: LocalStorage, root: Path, monkeypatch: pytest.MonkeyPatch
    ):
        refuse_links(monkeypatch, errno.EIO)
        first = storage.put(BytesIO(b"audio"), max_bytes=CAP)

        with pytest.raises(StorageError):
            storage.duplicate(first.key)

        assert [path.name for path in root.rglob("*") if path.is_file()] == [first.key]


def refuse_links(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    def refuse(*_: object) -> None:
        raise OSError(number, "refused")

    monkeypatch.setattr(os, "link", refuse)
