import errno
import hashlib
import os
import shutil
import stat
from datetime import timedelta
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace

import pytest

from domain.errors import AudioGone, StorageError, StorageFull, UploadTooLarge
from storage import local
from storage.base import Storage
from storage.local import LocalStorage

MIB = 1024 * 1024
CAP = 10 * MIB
NO_AGE = timedelta(0)
MALFORMED_KEYS = [
    "",
    "..",
    "../../etc/passwd",
    "/etc/passwd",
    "ab/../../secret",
    "incoming/../secret",
    "a" * 31,
    "A" * 32,
    "a" * 32 + "\n",
    "a" * 32 + "\0",
]


class HungUp(Exception):
    """A client that went away."""


class BreakingStream:
    """Gives some bytes, then fails as a closed connection does."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def read(self, size: int = -1) -> bytes:
        if not self._data:
            raise HungUp
        data, self._data = self._data[:size], self._data[size:]
        return data


class CountingStream:
    """Notes how much of it is asked for at once."""

    def __init__(self, size: int) -> None:
        self._left = BytesIO(bytes(size))
        self.asked: list[int] = []

    def read(self, size: int = -1) -> bytes:
        self.asked.append(size)
        return self._left.read(size)


class StorageContract:
    """What every Storage must do. Subclasses provide the `storage` fixture."""

    def test_what_was_put_can_be_read_back(self, storage: Storage):
        stored = storage.put(BytesIO(b"audio"), max_bytes=CAP)

        with storage.open(stored.key) as stream:
            content = stream.read()

        assert content == b"audio"
        assert stored.size_bytes == 5
        assert stored.sha256 == hashlib.sha256(b"audio").hexdigest()

    def test_a_file_of_several_buffers_keeps_its_bytes_and_hash(self, storage: Storage):
        data = os.urandom(3 * MIB + 17)

        stored = storage.put(BytesIO(data), max_bytes=CAP)

        with storage.local_path(stored.key) as path:
            assert path.read_bytes() == data
        assert stored.sha256 == hashlib.sha256(data).hexdigest()

    def test_an_upload_never_stands_in_memory_as_a_whole(self, storage: Storage):
        stream = CountingStream(8 * MIB)

        storage.put(stream, max_bytes=CAP)

        assert min(stream.asked) > 0  # -1 would read it to its end
        assert max(stream.asked) <= MIB

    def test_two_equal_files_get_keys_of_their_own(self, storage: Storage):
        first = storage.put(BytesIO(b"same"), max_bytes=CAP)
        second = storage.put(BytesIO(b"same"), max_bytes=CAP)

        storage.delete(first.key)

        with storage.open(second.key) as stream:
            assert stream.read() == b"same"

    def test_an_upload_can_be_rewound_read_and_written_on(self, storage: Storage):
        upload = storage.new_upload(max_bytes=CAP)

        upload.write(b"one")
        upload.seek(0)
        read_back = upload.read(2)
        upload.write(b"two")
        upload.seek(0)
        whole = upload.read()
        stored = upload.commit()

        assert read_back == b"on"
        assert whole == b"onetwo"
        assert stored.size_bytes == upload.size_bytes == 6
        assert stored.sha256 == hashlib.sha256(b"onetwo").hexdigest()

    def test_a_file_may_be_exactly_as_large_as_the_cap(self, storage: Storage):
        stored = storage.put(BytesIO(b"12345678"), max_bytes=8)

        assert stored.size_bytes == 8

    def test_a_byte_past_the_cap_is_refused_and_nothing_is_left(self, storage: Storage):
        with pytest.raises(UploadTooLarge):
            storage.put(BytesIO(b"123456789"), max_bytes=8)

        assert list(storage.keys_older_than(NO_AGE)) == []

    def test_an_announced_size_past_the_cap_is_refused_at_once(self, storage: Storage):
        with pytest.raises(UploadTooLarge):
            storage.new_upload(max_bytes=8, expected_bytes=9)

        assert list(storage.keys_older_than(NO_AGE)) == []

    def test_an_announced_size_larger_than_the_room_is_refused_at_once(self, storage: Storage):
        with pytest.raises(StorageFull):
            storage.new_upload(max_bytes=2**62, expected_bytes=2**61)

        assert list(storage.keys_older_than(NO_AGE)) == []

    def test_a_stream_that_breaks_leaves_nothing(self, storage: Storage):
        with pytest.raises(HungUp):
            storage.put(BreakingStream(b"half"), max_bytes=CAP)  # type: ignore[arg-type]

        assert list(storage.keys_older_than(NO_AGE)) == []

    def test_a_discarded_upload_leaves_nothing(self, storage: Storage):
        upload = storage.new_upload(max_bytes=CAP)
        upload.write(b"half")

        upload.discard()
        upload.discard()

        assert list(storage.keys_older_than(NO_AGE)) == []
        with pytest.raises(StorageError):
            upload.commit()

    def test_discarding_after_the_commit_keeps_the_file(self, storage: Storage):
        upload = storage.new_upload(max_bytes=CAP)
        upload.write(b"kept")
        stored = upload.commit()

        upload.discard()

        with storage.open(stored.key) as stream:
            assert stream.read() == b"kept"

    def test_a_deleted_file_is_gone(self, storage: Storage):
        stored = storage.put(BytesIO(b"audio"), max_bytes=CAP)

        deleted = [storage.delete(stored.key), storage.delete(stored.key)]

        assert deleted == [True, False]
        with pytest.raises(AudioGone):
            storage.open(stored.key)
        with pytest.raises(AudioGone), storage.local_path(stored.key):
            pass

    @pytest.mark.parametrize("key", MALFORMED_KEYS)
    def test_a_malformed_key_names_nothing(self, storage: Storage, key: str):
        deleted = storage.delete(key)

        assert not deleted
        assert storage.size_of(key) is None
        with pytest.raises(AudioGone):
            storage.open(key)
        with pytest.raises(AudioGone), storage.local_path(key):
            pass

    def test_the_size_of_a_file_is_known_as_long_as_it_is_there(self, storage: Storage):
        stored = storage.put(BytesIO(b"audio"), max_bytes=CAP)

        size_bytes = storage.size_of(stored.key)
        storage.delete(stored.key)

        assert size_bytes == 5
        assert storage.size_of(stored.key) is None

    def test_it_says_how_full_it_is_before_anything_is_in_it(self, storage: Storage):
        usage = storage.usage()

        assert usage.used_bytes >= 0
        assert usage.free_bytes > 0

    def test_an_abandoned_upload_is_listed_and_can_be_deleted(self, storage: Storage):
        upload = storage.new_upload(max_bytes=CAP)
        upload.write(b"half")

        upload.seek(0)  # writes down what is still in a buffer
        (key,) = storage.keys_older_than(NO_AGE)
        size_bytes = storage.size_of(key)
        deleted = storage.delete(key)

        assert (size_bytes, deleted) == (4, True)
        assert list(storage.keys_older_than(NO_AGE)) == []
        with pytest.raises(AudioGone):
            storage.open(key)

    def test_young_files_are_not_listed(self, storage: Storage):
        stored = storage.put(BytesIO(b"audio"), max_bytes=CAP)

        young = list(storage.keys_older_than(timedelta(hours=1)))

        assert young == []
        assert list(storage.keys_older_than(NO_AGE)) == [stored.key]

    def test_a_sound_store_passes_its_check_and_keeps_nothing_of_it(self, storage: Storage):
        storage.check()

        assert list(storage.keys_older_than(NO_AGE)) == []


class TestLocalStorage(StorageContract):
    @pytest.fixture
    def root(self, tmp_path: Path) -> Path:
        return tmp_path / "uploads"

    @pytest.fixture
    def storage(self, root: Path) -> LocalStorage:
        return LocalStorage(root, min_free_bytes=0)

    def test_files_and_folders_are_for_their_owner_alone(self, storage: LocalStorage, root: Path):
        stored = storage.put(BytesIO(b"audio"), max_bytes=CAP)

        with storage.local_path(stored.key) as path:
            modes = [stat.S_IMODE(p.stat().st_mode) for p in (path, path.parent, root)]

        assert modes == [0o600, 0o700, 0o700]
        assert path == root / stored.key[:2] / stored.key

    def test_an_upload_grows_in_the_incoming_folder(self, storage: LocalStorage, root: Path):
        upload = storage.new_upload(max_bytes=CAP)
        upload.write(b"half")

        names = [path.parent.name for path in root.rglob("*") if path.is_file()]

        assert names == ["incoming"]
        upload.discard()

    def test_the_age_of_a_file_is_that_of_its_last_write(self, storage: LocalStorage, root: Path):
        stored = storage.put(BytesIO(b"audio"), max_bytes=CAP)
        os.utime(root / stored.key[:2] / stored.key, (0, 0))

        old = list(storage.keys_older_than(timedelta(days=1)))

        assert old == [stored.key]

    def test_files_that_are_not_ours_are_never_listed(self, storage: LocalStorage, root: Path):
        (root / "ab").mkdir(parents=True)
        (root / "ab" / "notes.txt").touch()
        (root / "README").touch()

        assert list(storage.keys_older_than(NO_AGE)) == []

    def test_a_disk_below_the_reserve_takes_no_upload(self, root: Path):
        storage = LocalStorage(root, min_free_bytes=2**62)

        with pytest.raises(StorageFull):
            storage.new_upload(max_bytes=CAP)
        with pytest.raises(StorageFull):
            storage.check()

    def test_a_disk_that_fills_up_under_an_upload_ends_it(
        self, root: Path, monkeypatch: pytest.MonkeyPatch
    ):
        free = SimpleNamespace(bytes=100 * MIB)
        usage = lambda _: SimpleNamespace(free=free.bytes)  # noqa: E731
        monkeypatch.setattr(shutil, "disk_usage", usage)
        monkeypatch.setattr(local, "RECHECK_BYTES", 2 * MIB)
        storage = LocalStorage(root, min_free_bytes=50 * MIB)
        upload = storage.new_upload(max_bytes=CAP)
        upload.write(bytes(MIB))

        free.bytes = 40 * MIB

        with pytest.raises(StorageFull):
            upload.write(bytes(MIB))
        assert [path for path in root.rglob("*") if path.is_file()] == []

    def test_a_full_disk_is_told_from_other_faults(
        self, storage: LocalStorage, monkeypatch: pytest.MonkeyPatch
    ):
        def refuse(_: int) -> None:
            raise OSError(errno.ENOSPC, "No space left on device", "/srv/secret/path")

        monkeypatch.setattr(os, "fsync", refuse)

        with pytest.raises(StorageFull) as caught:
            storage.put(BytesIO(b"audio"), max_bytes=CAP)

        assert "secret" not in str(caught.value)
        assert list(storage.keys_older_than(NO_AGE)) == []

    def test_a_file_whose_folder_cannot_be_synced_is_not_kept(
        self, storage: LocalStorage, monkeypatch: pytest.MonkeyPatch
    ):
        def refuse(_: Path) -> None:
            raise OSError(errno.EIO, "Input/output error")

        monkeypatch.setattr(local, "_sync_folder", refuse)

        with pytest.raises(StorageError):
            storage.put(BytesIO(b"audio"), max_bytes=CAP)

        assert list(storage.keys_older_than(NO_AGE)) == []

    def test_a_real_full_device_is_reported_as_full(
        self, storage: LocalStorage, monkeypatch: pytest.MonkeyPatch
    ):
        monkeypatch.setattr(local, "_create", lambda _: Path("/dev/full").open("wb"))  # noqa: SIM115 - the upload closes it
        upload = storage.new_upload(max_bytes=CAP)

        with pytest.raises(StorageFull):
            upload.write(bytes(MIB))

    def test_a_folder_that_cannot_be_made_is_a_storage_error(self, tmp_path: Path):
        (tmp_path / "file").touch()
        storage = LocalStorage(tmp_path / "file" / "uploads", min_free_bytes=0)

        with pytest.raises(StorageError) as caught:
            storage.check()
        with pytest.raises(StorageError):
            storage.usage()
        with pytest.raises(StorageError):
            storage.size_of("a" * 32)

        assert str(tmp_path) not in str(caught.value)
