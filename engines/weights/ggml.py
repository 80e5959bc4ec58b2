"""Read an unquantised Whisper model in ggml's layout, as whisper.cpp publishes them.

Little endian: magic, 11 numbers, the mel filters, the vocabulary, then the tensors under
openai-whisper's names. Source: whisper.cpp, the loader in src/whisper.cpp.
"""

import mmap
from pathlib import Path

import numpy as np

from domain.errors import ModelUnavailable
from engines.weights.checkpoint import Checkpoint, Half
from engines.weights.cursor import Cursor

MAGIC = 0x67676D6C  # "ggml"
HEADER = (
    "n_vocab",
    "n_audio_ctx",
    "n_audio_state",
    "n_audio_head",
    "n_audio_layer",
    "n_text_ctx",
    "n_text_state",
    "n_text_head",
    "n_text_layer",
    "n_mels",
    "ftype",
)
FLOAT_TYPES = {0: "<f4", 1: "<f2"}  # ggml's numbers; others are quantised


def read_ggml(path: Path) -> Checkpoint:
    """Read the whole model. Raises ModelUnavailable when damaged or quantised."""
    with path.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
        cursor = Cursor(data, "the ggml file")
        if cursor.number("I") != MAGIC:
            raise ModelUnavailable("the ggml file does not start as one")
        dimensions = {name: cursor.number("i") for name in HEADER}
        del dimensions["ftype"]
        n_filters, n_bins = cursor.number("i"), cursor.number("i")
        cursor.skip(n_filters * n_bins * 4)
        for _ in range(cursor.number("i")):
            cursor.skip(cursor.number("i"))
        tensors = {}
        while not cursor.is_at_end():
            name, tensor = _read_tensor(cursor)
            tensors[name] = tensor
    return Checkpoint(dimensions, tensors)


def _read_tensor(cursor: Cursor) -> tuple[str, Half]:
    rank, name_bytes, kind = (cursor.number("i") for _ in range(3))
    shape = tuple(cursor.number("i") for _ in range(rank))[::-1]
    name = cursor.text(name_bytes)
    if kind not in FLOAT_TYPES:
        raise ModelUnavailable(f"{name} is quantised: the published values cannot be had from it")
    stored = cursor.array(FLOAT_TYPES[kind], shape)
    if name in ("encoder.conv1.bias", "encoder.conv2.bias"):  # kept as columns there
        stored = stored.reshape(-1)
    half = stored.astype(np.float16)
    if not np.array_equal(half, stored):
        raise ModelUnavailable(f"{name} has values that float16 cannot hold")
    return name, half
