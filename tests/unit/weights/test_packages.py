import hashlib
import io
import tarfile
import zipfile

import pytest

from embedded.packages import Package, PackageFetchFailed, PackageFile, extract_file

CONTENT = b"from a package"
SHA256 = hashlib.sha256(CONTENT).hexdigest()
PACKAGE = Package(
    registry="wheel",
    name="demo",
    version="1.0",
    archive_sha256="0" * 64,
    size_bytes=1,
    licence="MIT",
)


@pytest.fixture(params=["demo.whl", "demo.tgz", "demo.tar.gz"])
def archive(request, tmp_path):
    path = tmp_path / request.param
    if path.suffix == ".whl":
        with zipfile.ZipFile(path, "w") as wheel:
            wheel.writestr("demo/file.bin", CONTENT)
    else:
        with tarfile.open(path, "w:gz") as tar:
            info = tarfile.TarInfo("demo/file.bin")
            info.size = len(CONTENT)
            tar.addfile(info, io.BytesIO(CONTENT))
            folder = tarfile.TarInfo("demo/folder")
            folder.type = tarfile.DIRTYPE
            tar.addfile(folder)
    return path


def test_a_file_is_taken_out_of_its_archive(archive, tmp_path):
    extract_file(archive, PackageFile(PACKAGE, "demo/file.bin", SHA256), tmp_path / "out")

    assert (tmp_path / "out").read_bytes() == CONTENT


def test_a_file_with_a_wrong_hash_is_refused_and_removed(archive, tmp_path):
    with pytest.raises(PackageFetchFailed, match="SHA-256"):
        extract_file(archive, PackageFile(PACKAGE, "demo/file.bin", "1" * 64), tmp_path / "out")

    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("member", ["demo/absent.bin", "demo/folder"])
def test_a_member_that_is_no_file_of_the_archive_is_a_clear_error(archive, tmp_path, member):
    with pytest.raises(PackageFetchFailed, match=member):
        extract_file(archive, PackageFile(PACKAGE, member, SHA256), tmp_path / "out")


def test_an_archive_that_is_damaged_is_a_clear_error(archive, tmp_path):
    archive.write_bytes(archive.read_bytes()[:40])

    with pytest.raises(PackageFetchFailed, match="cannot read"):
        extract_file(archive, PackageFile(PACKAGE, "demo/file.bin", SHA256), tmp_path / "out")
