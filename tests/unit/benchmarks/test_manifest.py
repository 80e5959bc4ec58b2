from pathlib import Path

import pytest

from benchmarks.errors import BenchmarkFailed
from benchmarks.manifest import Recording, read_manifest, select

HEADER = "path,split,kind,text,language,speakers,duration\n"


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    folder = tmp_path / "speech" / "dev"
    folder.mkdir(parents=True)
    (folder / "a.wav").touch()
    path = folder / "manifest.csv"
    path.write_text(HEADER + "dev/a.wav,dev,read,hello there,en,1,2.5\ndev/b.wav,dev,music,,,,9\n")
    return path


def recording(name: str, kind: str, duration_s: float = 1.0) -> Recording:
    return Recording(name, Path(name), kind, "text", "en", duration_s)


def test_rows_without_a_text_are_left_out(manifest: Path):
    found = read_manifest(manifest)

    assert [(item.name, item.text, item.duration_s) for item in found] == [
        ("dev/a.wav", "hello there", 2.5)
    ]


def test_paths_start_two_folders_above_the_manifest(manifest: Path):
    found = read_manifest(manifest)

    assert found[0].path == manifest.parent / "a.wav"


def test_paths_may_start_elsewhere(manifest: Path, tmp_path: Path):
    elsewhere = tmp_path / "other"
    (elsewhere / "dev").mkdir(parents=True)
    (elsewhere / "dev" / "a.wav").touch()

    found = read_manifest(manifest, elsewhere)

    assert found[0].path == elsewhere / "dev" / "a.wav"


def test_a_missing_file_is_named(manifest: Path):
    (manifest.parent / "a.wav").unlink()

    with pytest.raises(BenchmarkFailed, match=r"dev/a\.wav"):
        read_manifest(manifest)


def test_a_missing_column_is_named(manifest: Path):
    manifest.write_text("path,text\ndev/a.wav,hello\n")

    with pytest.raises(BenchmarkFailed, match="kind"):
        read_manifest(manifest)


def test_the_limit_counts_each_kind_for_itself():
    recordings = [recording("1", "read"), recording("2", "read"), recording("3", "phone")]

    chosen = select(recordings, per_kind=1, max_duration_s=None)

    assert [item.name for item in chosen] == ["1", "3"]


def test_a_recording_that_is_too_long_takes_no_place():
    recordings = [recording("1", "read", 60.0), recording("2", "read", 5.0)]

    chosen = select(recordings, per_kind=1, max_duration_s=10.0)

    assert [item.name for item in chosen] == ["2"]
