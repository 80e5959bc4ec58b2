"""Write a checkpoint byte for byte as OpenAI published it.

The published files are zip archives of torch 1.x: a pickle that describes the tensors, one
uncompressed record per tensor, a version record. Values alone do not make the hash: order,
padding and the transposed storage of linear layers count too.
"""

import pickle
import struct
import zlib
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from domain.errors import ModelUnavailable

Half = NDArray[np.float16]

DIMENSIONS = (
    "n_mels",
    "n_vocab",
    "n_audio_ctx",
    "n_audio_state",
    "n_audio_head",
    "n_audio_layer",
    "n_text_ctx",
    "n_text_state",
    "n_text_head",
    "n_text_layer",
)
RECORD_ALIGNMENT_BYTES = 64  # torch maps records into memory
FLAGS = 0x0808  # sizes follow the data; names are UTF-8


@dataclass(frozen=True)
class Checkpoint:
    """A Whisper model: its dimensions and its float16 tensors under openai-whisper's names."""

    dimensions: Mapping[str, int]
    tensors: Mapping[str, Half]


def published_order(dimensions: Mapping[str, int]) -> list[str]:
    """Tensor names in the order of the published files."""
    modules = []
    for layer in range(dimensions["n_text_layer"]):
        modules += _block(f"decoder.blocks.{layer}", has_cross_attention=True)
    modules += ["decoder.ln", "encoder.conv1", "encoder.conv2"]
    for layer in range(dimensions["n_audio_layer"]):
        modules += _block(f"encoder.blocks.{layer}", has_cross_attention=False)
    modules.append("encoder.ln_post")
    names = [
        "decoder.positional_embedding",
        "encoder.positional_embedding",
        "decoder.token_embedding.weight",
    ]
    for module in modules:
        names.append(f"{module}.weight")
        if not module.endswith("attn.key"):  # Whisper's keys have no bias
            names.append(f"{module}.bias")
    return names


def write_checkpoint(checkpoint: Checkpoint, target: Path) -> None:
    """Write the archive. Raises ModelUnavailable when tensors are missing or too many."""
    names = published_order(checkpoint.dimensions)
    if set(names) != set(checkpoint.tensors):
        odd = sorted(set(names) ^ set(checkpoint.tensors))[:3]
        raise ModelUnavailable(f"these are not the tensors of a Whisper model: {', '.join(odd)}")
    with target.open("wb") as out:
        _write_zip(_records(checkpoint, names), out)


def _block(prefix: str, *, has_cross_attention: bool) -> list[str]:
    parts = ["mlp_ln", "mlp.0", "mlp.2", "attn_ln"]
    parts += [f"attn.{part}" for part in ("query", "key", "value", "out")]
    if has_cross_attention:
        parts.append("cross_attn_ln")
        parts += [f"cross_attn.{part}" for part in ("query", "key", "value", "out")]
    return [f"{prefix}.{part}" for part in parts]


def _records(checkpoint: Checkpoint, names: list[str]) -> Iterator[tuple[str, bytes]]:
    yield "archive/data.pkl", _pickle(checkpoint, names)
    for key in sorted(map(str, range(len(names)))):  # as text: 0, 1, 10, 100, 101 ...
        name = names[int(key)]
        tensor = checkpoint.tensors[name]
        yield (
            f"archive/data/{key}",
            (tensor.T if _is_transposed(name, tensor) else tensor).tobytes(),
        )
    yield "archive/version", b"3\n"


def _is_transposed(name: str, tensor: Half) -> bool:
    is_linear = name.endswith(".weight") and tensor.ndim == 2  # noqa: PLR2004 - a matrix
    return is_linear and "token_embedding" not in name


class _Storage:
    """Stands for the bytes of one record."""

    def __init__(self, key: str, n_values: int) -> None:
        self.key = key
        self.n_values = n_values


class _Tensor:
    """Pickles as the call by which torch rebuilds a tensor from a record."""

    def __init__(self, key: str, name: str, array: Half) -> None:
        self.storage = _Storage(key, array.size)
        self.shape = tuple(array.shape)
        steps = np.ascontiguousarray(array).strides
        self.stride = tuple(step // array.itemsize for step in steps)
        if _is_transposed(name, array):
            self.stride = (1, array.shape[0])

    def __reduce__(self) -> tuple[object, ...]:
        from torch._utils import _rebuild_tensor_v2  # late: torch takes seconds to load

        backward_hooks: OrderedDict[str, object] = OrderedDict()
        rebuilt = (self.storage, 0, self.shape, self.stride, False, backward_hooks)
        return _rebuild_tensor_v2, rebuilt


class _Pickler(pickle.Pickler):
    def persistent_id(self, obj: object) -> tuple[object, ...] | None:
        if not isinstance(obj, _Storage):
            return None
        import torch

        return ("storage", torch.HalfStorage, obj.key, "cpu", obj.n_values)


def _pickle(checkpoint: Checkpoint, names: list[str]) -> bytes:
    buffer = BytesIO()
    tensors = {
        name: _Tensor(str(index), name, checkpoint.tensors[name])
        for index, name in enumerate(names)
    }
    dimensions = {name: checkpoint.dimensions[name] for name in DIMENSIONS}
    _Pickler(buffer, protocol=2).dump({"dims": dimensions, "model_state_dict": tensors})
    return buffer.getvalue()


def _write_zip(records: Iterator[tuple[str, bytes]], out: BinaryIO) -> None:
    """Zip as torch's writer does: aligned records, sizes after the data, zip64 at the end."""
    directory = []
    for name, data in records:
        start, encoded, crc = out.tell(), name.encode(), zlib.crc32(data)
        padding = -(start + 30 + len(encoded) + 4) % RECORD_ALIGNMENT_BYTES
        extra = struct.pack("<2sH", b"FB", padding) + b"Z" * padding
        out.write(
            struct.pack(
                "<4s5H3I2H", b"PK\3\4", 0, FLAGS, 0, 0, 0, 0, 0, 0, len(encoded), len(extra)
            )
        )
        out.write(encoded + extra + data)
        out.write(struct.pack("<4s3I", b"PK\7\10", crc, len(data), len(data)))
        sizes = (crc, len(data), len(data), len(encoded))
        directory.append(
            struct.pack(
                "<4s6H3I5H2I", b"PK\1\2", 0, 0, FLAGS, 0, 0, 0, *sizes, 0, 0, 0, 0, 0, start
            )
            + encoded
        )
    start, size, count = out.tell(), sum(map(len, directory)), len(directory)
    out.write(b"".join(directory))
    end = out.tell()
    out.write(struct.pack("<4sQ2H2I4Q", b"PK\6\6", 44, 0x031E, 45, 0, 0, count, count, size, start))
    out.write(struct.pack("<4sIQI", b"PK\6\7", 0, end, 1))
    out.write(struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, count, count, size, start, 0))
