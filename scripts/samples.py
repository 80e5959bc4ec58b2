"""Recordings of real speech with known words: `python -m scripts.samples`.

None of them is in the repository: each is fetched out of a registry package when first asked
for, checked by its SHA-256 and kept in `<DATA_DIR>/samples`. The texts are in the public domain,
the packages under free licences; their recordings of protected texts are left out on purpose.
"""

import hashlib
import shutil
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import click
from filelock import FileLock
from rich.console import Console
from rich.table import Table

from config import Settings
from embedded.packages import Package, PackageFetchFailed, PackageFile, fetch_files

DEFAULT = "two_cities.wav"
LOCK_TIMEOUT_S = 600


@dataclass(frozen=True)
class Sample:
    """One recording and what is said in it."""

    name: str
    file: PackageFile
    duration_s: float
    text: str  # as written by its author; None of the samples is unlabelled
    origin: str


MOONSHINE = Package(
    registry="wheel",
    name="moonshine-voice",
    version="0.1.5",
    archive_sha256="1ed9e0ccf94be4845d69e7fa862dcf4c8b5801a758796966494c694f48184496",
    size_bytes=19_897_307,
    licence="MIT",
    platform="manylinux_2_34_x86_64",  # only its data is used, so any machine may fetch it
)
POCKETSPHINX = Package(
    registry="sdist",
    name="pocketsphinx",
    version="5.1.1",
    archive_sha256="675778b309a22dfc9b7d37f7621976bba491d2a5f8c59696bd77fd6d07271355",
    size_bytes=34_158_862,
    licence="BSD-2-Clause",
)
PYWHISPERCPP = Package(
    registry="sdist",
    name="pywhispercpp",
    version="1.5.1",
    archive_sha256="5df897e5dd9d9f16804fc937bd85b9f5880a0b29a55f8843585e0e03d76195e5",
    size_bytes=9_756_087,
    licence="MIT",
)

TWO_CITIES_TEXT = (
    "It was the best of times, it was the worst of times, it was the age of wisdom, it was the "
    "age of foolishness, it was the epoch of belief, it was the epoch of incredulity, it was the "
    "season of Light, it was the season of Darkness, it was the spring of hope, it was the winter "
    "of despair, we had everything before us, we had nothing before us, we were all going direct "
    "to Heaven, we were all going direct the other way - in short, the period was so far like the "
    "present period, that some of its noisiest authorities insisted on its being received, for "
    "good or for evil, in the superlative degree of comparison only."
)
KENNEDY_TEXT = (
    "And so, my fellow Americans: ask not what your country can do for you - ask what you can do "
    "for your country."
)
DICKENS = "Dickens"
AUSTEN = "Austen, by LibriVox"
KENNEDY = "Kennedy"
LIBRIVOX = "pocketsphinx-5.1.1/test/data/librivox/sense_and_sensibility_01_austen_64kb"
JFK = "pywhispercpp-1.5.1/whisper.cpp/samples/jfk"


def _austen(number: str, sha256: str, duration_s: float, text: str) -> Sample:
    file = PackageFile(POCKETSPHINX, f"{LIBRIVOX}-{number}.wav", sha256)
    return Sample(f"austen_{number}.wav", file, duration_s, text, AUSTEN)


SAMPLES = {
    sample.name: sample
    for sample in (
        Sample(
            "two_cities.wav",
            PackageFile(
                MOONSHINE,
                "moonshine_voice/assets/two_cities.wav",
                "f3348494d77cb74a02862f5e685ed09faf3e75832c5cc5c80703282c2cd8b52e",
            ),
            44.4,
            TWO_CITIES_TEXT,
            DICKENS,
        ),
        Sample(
            "jfk.wav",
            PackageFile(
                PYWHISPERCPP,
                f"{JFK}.wav",
                "59dfb9a4acb36fe2a2affc14bacbee2920ff435cb13cc314a08c13f66ba7860e",
            ),
            11.0,
            KENNEDY_TEXT,
            KENNEDY,
        ),
        Sample(
            "jfk.mp3",
            PackageFile(
                PYWHISPERCPP,
                f"{JFK}.mp3",
                "20d3323a2bcce6f25498b8911a397503a0a99fa92b6ba58d62788cb42b6e5459",
            ),
            11.0,
            KENNEDY_TEXT,
            KENNEDY,
        ),
        _austen(
            "0870",
            "b0557cf95c974d930577e58e46b7f068c432a6e3afcc286563d88922b2a5315c",
            7.1,
            "And Mr. John Dashwood had then leisure to consider how much there might be prudently "
            "in his power to do for them.",
        ),
        _austen(
            "0880",
            "fbec491ef00ee734a67f0ee318e98c51c157b479e1629ff4f4426861ecac0414",
            3.0,
            "He was not an ill-disposed young man.",
        ),
        _austen(
            "0890",
            "5793ffbdee55fb8bfd284943a6866864c832d9d4accf2661cabd39915c84ee10",
            5.3,
            "Unless to be rather cold hearted and rather selfish is to be ill-disposed.",
        ),
        _austen(
            "0920",
            "40882414ef4cc51f3ff7a63bad0c8c87e7f595ffeb8209fbf756c8ebc5c28a59",
            6.1,
            "Had he married a more amiable woman, he might have been made still more respectable "
            "than he was.",
        ),
        _austen(
            "0930",
            "954adbf0b56ac8a148cbe77b39ca18d76b5f2a1e1f405565bd786ce3e68a68b7",
            3.3,
            "He might even have been made amiable himself.",
        ),
    )
}


def samples_folder() -> Path:
    """`<DATA_DIR>/samples`, where the recordings are kept."""
    return (Settings().data_dir / "samples").resolve()


def sample_path(
    name: str = DEFAULT,
    *,
    folder: Path | None = None,
    on_progress: Callable[[str], None] = lambda _line: None,
) -> Path:
    """Return the path of a recording, fetching its package first when it is absent.

    Raises KeyError for an unknown name, PackageFetchFailed.
    """
    sample = SAMPLES[name]
    folder = folder or samples_folder()
    path = folder / name
    if is_intact(path, sample):
        return path
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / ".lock", timeout=LOCK_TIMEOUT_S):
        if not is_intact(path, sample):
            _fetch_package_samples(sample.file.package, folder, on_progress)
    return path


def is_intact(path: Path, sample: Sample) -> bool:
    """Whether the file is there with the right hash."""
    return path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() == sample.file.sha256


def _fetch_package_samples(
    package: Package, folder: Path, on_progress: Callable[[str], None]
) -> None:
    # All that the package carries at once: asking for the next one then costs no download.
    wanted = [sample for sample in SAMPLES.values() if sample.file.package == package]
    with tempfile.TemporaryDirectory(dir=folder, prefix=".fetch-") as scratch:
        files = tuple(sample.file for sample in wanted)
        found = fetch_files(files, Path(scratch), what="speech", on_progress=on_progress)
        for sample, path in zip(wanted, found, strict=True):
            shutil.move(path, folder / sample.name)


@click.group()
def cli() -> None:
    """Recordings of real speech for trying out and for tests."""


@cli.command("path")
@click.argument("name", default=DEFAULT, type=click.Choice(list(SAMPLES)), metavar="[NAME]")
def print_path(name: str) -> None:
    """Print the path of a recording, fetching it when needed. Ends with 1 if it cannot be had."""
    try:
        path = sample_path(name, on_progress=lambda line: click.echo(line, err=True))
    except (PackageFetchFailed, OSError) as error:
        click.echo(f"{name} cannot be had: {error}", err=True)
        sys.exit(1)
    click.echo(str(path))


@cli.command("list")
def list_samples() -> None:
    """Show every recording: length, package, licence, origin."""
    table = Table(box=None)
    for title in ("name", "seconds", "here", "origin", "package"):
        table.add_column(title, no_wrap=True)
    for sample in SAMPLES.values():
        package = sample.file.package
        here = "yes" if is_intact(samples_folder() / sample.name, sample) else "no"
        label = f"{package.name} {package.version}, {package.licence}"
        table.add_row(sample.name, f"{sample.duration_s:.1f}", here, sample.origin, label)
    Console().print(table)


if __name__ == "__main__":
    cli()
