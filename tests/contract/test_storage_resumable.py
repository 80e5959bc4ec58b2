"""Recordings that arrive in pieces, over many openings of one file."""

import errno
import hashlib
import os
import shutil
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest

from domain.errors import AudioGone, StorageError, StorageFull, UploadLocked, UploadTooLarge
from storage.base import Storage
from storage.local import LocalStorage
from tests.contract.test_storage import MALFORMED_KEYS

MIB = 1024 * 1024
CAP = 10 * MIB
NO_AGE = timedelta(0)


class ResumableContract:
    """What every Storage must do. Subclasses provide the `storage` fixture."""

    def test_a_resumable_file_grows_over_several_openings(self, storage: Storage):
        key = storage.new_resumable(expected_bytes=6)
        for piece in (b"one", b"two"):
            file = storage.resume(key, max_bytes=CAP)
            file.write(piece)
            file.sync()
            file.close()

        file = storage.resume(key, max_bytes=CAP)
        stored = file.commit()
        file.discard()

        with storage.open(stored.key) as stream:
            assert stream.read() == b"onetwo"
        assert stored.size_bytes == file.size_bytes == 6
        assert stored.sha256 == hashlib.sha256(b"onetwo").hexdigest()
        assert list(storage.keys_older_than(NO_AGE)) == [stored.key]

    def test_a_resumable_file_of_several_buffers_has_the_hash_of_the_whole(self, storage: Storage):
        data = os.urandom(3 * MIB + 17)
        file = storage.resume(storage.new_resumable(expected_bytes=len(data)), max_bytes=CAP)
        for begin in range(0, len(data), 1_000_003):
            file.write(data[begin : begin + 1_000_003])

        stored = file.commit()

        file.close()
        with storage.open(stored.key) as stream:
            assert stream.read() == data
        assert stored.sha256 == hashlib.sha256(data).hexdigest()

    def test_a_resumable_file_is_nobodys_to_read_before_it_is_committed(self, storage: Storage):
        key = storage.new_resumable(expected_bytes=4)
        with closing(storage.resume(key, max_bytes=CAP)) as file:
            file.write(b"half")

        listed = list(storage.keys_older_than(NO_AGE))

        assert listed == [key]
        assert storage.size_of(key) == 4
        with pytest.raises(AudioGone):
            storage.open(key)

    def test_a_resumable_file_has_one_writer_at_a_time(self, storage: Storage):
        key = storage.new_resumable(expected_bytes=4)
        first = storage.resume(key, max_bytes=CAP)

        with pytest.raises(UploadLocked):
            storage.resume(key, max_bytes=CAP)
        first.close()
        first.close()
        with closing(storage.resume(key, max_bytes=CAP)) as second:
            second.write(b"free")

        assert storage.size_of(key) == 4

    def test_a_resumable_file_can_be_cut_back_and_goes_on_from_there(self, storage: Storage):
        key = storage.new_resumable(expected_bytes=6)
        with closing(storage.resume(key, max_bytes=CAP)) as file:
            file.write(b"onexxx")
            file.truncate(3)
            file.write(b"two")
            stored = file.commit()

        with storage.open(stored.key) as stream:
            assert stream.read() == b"onetwo"

    def test_a_piece_past_the_cap_is_refused_and_what_was_there_stays(self, storage: Storage):
        key = storage.new_resumable(expected_bytes=8)
        with closing(storage.resume(key, max_bytes=8)) as file:
            file.write(b"12345678")

            with pytest.raises(UploadTooLarge):
                file.write(b"9")

        assert storage.size_of(key) == 8

    def test_a_resumable_file_larger_than_the_room_is_refused_at_once(self, storage: Storage):
        with pytest.raises(StorageFull):
            storage.new_resumable(expected_bytes=2**61)

        assert list(storage.keys_older_than(NO_AGE)) == []

    def test_a_discarded_resumable_file_is_gone(self, storage: Storage):
        key = storage.new_resumable(expected_bytes=4)
        file = storage.resume(key, max_bytes=CAP)
        file.write(b"half")

        file.discard()
        file.discard()

        assert list(storage.keys_older_than(NO_AGE)) == []
        with pytest.raises(AudioGone):
            storage.resume(key, max_bytes=CAP)
        with pytest.raises(StorageError):
            file.write(b"more")

    def test_a_file_that_is_committed_twice_is_one_file(self, storage: Storage):
        key = storage.new_resumable(expected_bytes=5)
        with closing(storage.resume(key, max_bytes=CAP)) as file:
            file.write(b"audio")
            first = file.commit()
        with closing(storage.resume(key, max_bytes=CAP)) as file:  # after a crash, say
            second = file.commit()
            file.discard()

        listed = list(storage.keys_older_than(NO_AGE))

        assert first == second
        assert listed == [first.key]

    def test_a_file_whose_hash_is_known_is_not_hashed_again(self, storage: Storage):
        file = storage.resume(storage.new_resumable(expected_bytes=5), max_bytes=CAP)
        file.write(b"audio")

        stored = file.commit(sha256="as it was")

        file.discard()
        assert (stored.sha256, stored.size_bytes) == ("as it was", 5)

    def test_a_committed_file_that_is_removed_can_be_committed_again(self, storage: Storage):
        file = storage.resume(storage.new_resumable(expected_bytes=5), max_bytes=CAP)
        file.write(b"audio")
        first = file.commit()
        storage.delete(first.key)

        again = file.commit()

        file.discard()
        with storage.open(again.key) as stream:
            assert stream.read() == b"audio"

    @pytest.mark.parametrize("key", MALFORMED_KEYS)
    def test_a_malformed_key_cannot_be_resumed(self, storage: Storage, key: str):
        with pytest.raises(AudioGone):
            storage.resume(key, max_bytes=CAP)


class TestLocalResumable(ResumableContract):
    @pytest.fixture
    def root(self, tmp_path: Path) -> Path:
        return tmp_path / "uploads"

    @pytest.fixture
    def storage(self, root: Path) -> LocalStorage:
        return LocalStorage(root, min_free_bytes=0)

    def test_a_store_without_hard_links_moves_the_committed_file(
        self, storage: LocalStorage, root: Path, monkeypatch: pytest.MonkeyPatch
    ):
        def refuse(*_: object) -> None:
            raise OSError(errno.EPERM, "Operation not permitted")

        monkeypatch.setattr(os, "link", refuse)
        file = storage.resume(storage.new_resumable(expected_bytes=5), max_bytes=CAP)
        file.write(b"audio")

        stored = file.commit()

        file.discard()
        assert [path.name for path in root.rglob("*") if path.is_file()] == [stored.key]

    def test_a_disk_that_is_too_full_ends_a_resumed_upload_and_keeps_what_came(
        self, storage: LocalStorage, monkeypatch: pytest.MonkeyPatch
    ):
        key = storage.new_resumable(expected_bytes=8)
        with closing(storage.resume(key, max_bytes=CAP)) as file:
            file.write(b"kept")
        monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=0))

        with (
            closing(storage.resume(key, max_bytes=CAP)) as file,
            pytest.raises(StorageFull),
        ):
            file.write(b"lost")

        assert storage.size_of(key) == 4
