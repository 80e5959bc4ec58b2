"""The weights of Silero's voice activity network, out of the package that carries them.

They lie in an ONNX file, which is a Protocol Buffers message: fields of (number << 3 | kind) and
a value (https://protobuf.dev/programming-guides/encoding/). Only the named float tensors are
read (https://github.com/onnx/onnx/blob/main/onnx/onnx.proto: ModelProto.graph,
GraphProto.initializer, TensorProto.dims, name, raw_data); nothing in the file is executed.
"""

from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, distribution

import numpy as np
from numpy.typing import NDArray

from domain.errors import ConfigurationError

PACKAGE = "silero-vad"
# The one of its files that keeps each tensor apart and under a name.
FILE = "silero_vad/data/silero_vad_16k_sequence.onnx"

MODEL_GRAPH, GRAPH_INITIALIZER = 7, 5
TENSOR_DIMS, TENSOR_NAME, TENSOR_RAW_DATA = 1, 8, 9
VARINT, FIXED_64, FIXED_32 = 0, 1, 5

Weights = dict[str, NDArray[np.float32]]


def read_weights() -> Weights:
    """Every named tensor of the 16 kHz network. Raises ConfigurationError without the package."""
    try:
        # Not by importing the package: that would import torch.
        path = distribution(PACKAGE).locate_file(FILE)
        content = memoryview(path.read_bytes())  # type: ignore[attr-defined] # a Path in fact
    except (PackageNotFoundError, OSError) as error:
        raise ConfigurationError(
            f"the package {PACKAGE} is not installed whole: {error}"
        ) from error
    return parse_weights(content)


def parse_weights(content: memoryview) -> Weights:
    """Every named float32 tensor of an ONNX file, read-only views in its own shape."""
    weights = {}
    for number, graph in _fields(content):
        if number == MODEL_GRAPH:
            for inner_number, tensor in _fields(_bytes(graph)):
                if inner_number == GRAPH_INITIALIZER:
                    name, values = _tensor(_bytes(tensor))
                    weights[name] = values
    return weights


def _tensor(message: memoryview) -> tuple[str, NDArray[np.float32]]:
    name, raw, shape = "", memoryview(b""), []
    for number, value in _fields(message):
        if number == TENSOR_DIMS and isinstance(value, int):
            shape.append(value)
        elif number == TENSOR_NAME:
            name = bytes(_bytes(value)).decode()
        elif number == TENSOR_RAW_DATA:
            raw = _bytes(value)
    return name, np.frombuffer(raw, "<f4").reshape(shape)


def _fields(message: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    position = 0
    while position < len(message):
        key, position = _varint(message, position)
        kind = key & 7
        if kind == VARINT:
            value, position = _varint(message, position)
            yield key >> 3, value
            continue
        if kind in {FIXED_64, FIXED_32}:
            length = 8 if kind == FIXED_64 else 4
        else:
            length, position = _varint(message, position)
        yield key >> 3, message[position : position + length]
        position += length


def _varint(message: memoryview, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:  # noqa: PLR2004 - the highest bit says that more follow
            return value, position
        shift += 7


def _bytes(value: int | memoryview) -> memoryview:
    if isinstance(value, int):
        raise ConfigurationError(f"{FILE} of {PACKAGE} is not the file that this version reads")
    return value
