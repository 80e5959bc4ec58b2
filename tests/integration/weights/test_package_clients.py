import hashlib
import zipfile

import pytest

from embedded.packages import Package, PackageFetchFailed, PackageFile, fetch_files

CONTENT = b"carried by a package"
DEMO_METADATA = "Metadata-Version: 2.1\nName: scriptorium-demo\nVersion: 1.0\n"
DEMO_WHEEL = "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"


@pytest.fixture
def wheel(tmp_path, monkeypatch):
    """A wheel in a folder that pip takes for its only source."""
    source = tmp_path / "source"
    source.mkdir()
    path = source / "scriptorium_demo-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("demo/file.bin", CONTENT)
        archive.writestr("scriptorium_demo-1.0.dist-info/METADATA", DEMO_METADATA)
        archive.writestr("scriptorium_demo-1.0.dist-info/WHEEL", DEMO_WHEEL)
        archive.writestr("scriptorium_demo-1.0.dist-info/RECORD", "")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(source))
    return path


def demo_file(archive_sha256):
    package = Package(
        registry="wheel",
        name="scriptorium-demo",
        version="1.0",
        archive_sha256=archive_sha256,
        size_bytes=2_000_000,
        licence="MIT",
    )
    return PackageFile(package, "demo/file.bin", hashlib.sha256(CONTENT).hexdigest())


def test_a_file_comes_out_of_a_package_by_way_of_pip(wheel, tmp_path):
    file = demo_file(hashlib.sha256(wheel.read_bytes()).hexdigest())
    lines = []

    found = fetch_files((file,), tmp_path / "out", what="demo", on_progress=lines.append)

    assert [path.read_bytes() for path in found] == [CONTENT]
    assert lines == ["fetching demo (1/1) 2 MB, PyPI scriptorium-demo 1.0"]


def test_a_package_with_another_hash_is_refused(wheel, tmp_path):
    file = demo_file("0" * 64)

    with pytest.raises(PackageFetchFailed, match="Expected sha256"):
        fetch_files((file,), tmp_path / "out", what="demo", on_progress=print)


def test_a_package_that_is_not_there_is_a_clear_error(tmp_path, monkeypatch):
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    file = demo_file("0" * 64)

    with pytest.raises(PackageFetchFailed, match="scriptorium-demo"):
        fetch_files((file,), tmp_path / "out", what="demo", on_progress=print)
