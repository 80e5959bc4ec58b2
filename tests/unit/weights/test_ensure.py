import hashlib
import json
import os
from threading import Barrier, Thread

import httpx
import pytest

from domain.errors import ModelUnavailable
from engines.weights.catalog import OfficialWeights
from engines.weights.ensure import ensure_official
from engines.weights.store import admit, is_remembered

CONTENT = b"weights " * 1000
SHA256 = hashlib.sha256(CONTENT).hexdigest()
BASE = OfficialWeights("base", f"https://weights.invalid/{SHA256}/base.pt")
SMALL = OfficialWeights("small", f"https://weights.invalid/{SHA256}/small.pt")


def unreachable(_weights, _target, _on_progress):
    raise httpx.ConnectError("no route")


def never(*_arguments):
    raise AssertionError("nothing had to be fetched")


class Source:
    """Writes the same content every time, and counts."""

    def __init__(self, content=CONTENT):
        self.content = content
        self.calls = 0

    def __call__(self, _weights, target, *_on_progress):
        self.calls += 1
        target.write_bytes(self.content)
        return "test packages 1.0"


def test_a_present_file_with_the_right_hash_is_used_as_it_is(tmp_path):
    (tmp_path / "base.pt").write_bytes(CONTENT)

    path = ensure_official(BASE, tmp_path, download=never)

    assert path == tmp_path / "base.pt"


def test_absent_weights_come_from_the_official_address(tmp_path):
    path = ensure_official(BASE, tmp_path / "new", download=Source(), build=never)

    assert path.read_bytes() == CONTENT
    assert json.loads((path.parent / ".base.pt.json").read_text())["source"] == "official address"


@pytest.mark.parametrize("download", [unreachable, Source(b"<html>please log in</html>")])
def test_packages_are_asked_when_the_official_address_does_not_give_the_file(tmp_path, download):
    path = ensure_official(BASE, tmp_path, download=download, build=Source())

    assert path.read_bytes() == CONTENT
    assert json.loads((tmp_path / ".base.pt.json").read_text())["source"] == "test packages 1.0"


def test_a_file_with_a_wrong_hash_is_removed_said_so_and_replaced(tmp_path):
    (tmp_path / "base.pt").write_bytes(b"wrong")
    lines = []

    path = ensure_official(BASE, tmp_path, download=Source(), on_progress=lines.append)

    assert path.read_bytes() == CONTENT
    assert any("wrong SHA-256" in line for line in lines)


def test_a_file_with_a_wrong_hash_is_removed_even_when_no_other_can_be_had(tmp_path):
    (tmp_path / "base.pt").write_bytes(b"wrong")

    with pytest.raises(ModelUnavailable):
        ensure_official(BASE, tmp_path, download=unreachable)

    assert not (tmp_path / "base.pt").exists()


def test_packages_with_a_wrong_hash_are_refused_and_nothing_is_left(tmp_path):
    with pytest.raises(ModelUnavailable, match="SHA-256"):
        ensure_official(BASE, tmp_path, download=unreachable, build=Source(b"wrong"))

    assert [path.name for path in tmp_path.iterdir()] == [".base.pt.lock"]


def test_the_message_for_a_size_that_packages_carry_names_the_command(tmp_path):
    with pytest.raises(ModelUnavailable, match="make models MODEL=base") as caught:
        ensure_official(BASE, tmp_path, download=unreachable)

    assert str(tmp_path) not in caught.value.message


def test_the_message_for_another_size_names_the_file_and_the_models_that_are_there(tmp_path):
    (tmp_path / "tiny.pt").write_bytes(b"present")

    with pytest.raises(ModelUnavailable, match=r"small\.pt into MODEL_DIR") as caught:
        ensure_official(SMALL, tmp_path, download=unreachable, build=never)

    assert "make models" not in caught.value.message
    assert caught.value.details["available"] == ["tiny"]


def test_what_a_killed_process_left_behind_does_not_get_in_the_way(tmp_path):
    (tmp_path / ".fetch-base").mkdir()
    (tmp_path / ".fetch-base" / "base.pt").write_bytes(b"half")

    path = ensure_official(BASE, tmp_path, download=Source())

    assert path.read_bytes() == CONTENT
    assert not (tmp_path / ".fetch-base").exists()


def test_a_checked_file_is_remembered_until_it_changes(tmp_path):
    path = ensure_official(BASE, tmp_path, download=Source())
    was_remembered = is_remembered(path, SHA256)

    path.write_bytes(CONTENT[:-1] + b"!")
    os.utime(path, ns=(0, 1))

    assert was_remembered
    assert not is_remembered(path, SHA256)


def test_a_record_that_cannot_be_read_only_costs_a_hash(tmp_path):
    (tmp_path / "base.pt").write_bytes(CONTENT)
    (tmp_path / ".base.pt.json").write_text("{not json")

    path = ensure_official(BASE, tmp_path, download=never)

    assert is_remembered(path, SHA256)


def test_two_that_want_the_same_weights_at_once_fetch_them_once(tmp_path):
    source, start, paths = Source(), Barrier(2), []

    def want():
        start.wait()
        paths.append(ensure_official(BASE, tmp_path, download=source))

    threads = [Thread(target=want) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert paths == [tmp_path / "base.pt"] * 2
    assert source.calls == 1


def test_a_candidate_with_a_wrong_hash_is_not_admitted_and_removed(tmp_path):
    candidate = tmp_path / "candidate"
    candidate.write_bytes(b"wrong")

    with pytest.raises(ModelUnavailable):
        admit(candidate, BASE, tmp_path, source="test")

    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_a_clear_error(tmp_path):
    (tmp_path / "file").write_bytes(b"")

    with pytest.raises(ModelUnavailable, match="cannot be read or written"):
        ensure_official(BASE, tmp_path / "file" / "models", download=never)
