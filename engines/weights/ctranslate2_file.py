"""Read a float16 Whisper model in CTranslate2's layout (`model.bin`, binary version 6).

Little endian: version, specification name and revision, then the variables, each with name,
shape, type and data, then aliases. A text is its length with the final NUL, then its bytes.
Source: CTranslate2, python/ctranslate2/specs/model_spec.py.
"""

import mmap
import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from domain.errors import ModelUnavailable
from engines.weights.checkpoint import Checkpoint, Half
from engines.weights.cursor import Cursor

VERSION = 6
DTYPES = {0: "<f4", 1: "<i1", 2: "<i2", 3: "<i4", 4: "<f2"}  # CTranslate2's numbers
STATE_PER_HEAD = 64  # in every Whisper model; old files do not say how many heads there are

Variables = Mapping[str, NDArray[np.generic]]


def read_ctranslate2(path: Path) -> Checkpoint:
    """Read the whole model. Raises ModelUnavailable when damaged or quantised."""
    with path.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
        cursor = Cursor(data, "the CTranslate2 file")
        variables = _read_variables(cursor)
    try:
        return _Translation(variables).checkpoint()
    except KeyError as error:
        raise ModelUnavailable(f"the CTranslate2 file lacks {error}") from error


def _read_variables(cursor: Cursor) -> dict[str, NDArray[np.generic]]:
    version, specification = cursor.number("I"), cursor.text(cursor.number("H"))
    if (version, specification) != (VERSION, "WhisperSpec"):
        raise ModelUnavailable("the CTranslate2 file is not a Whisper model of binary version 6")
    cursor.number("I")  # revision of the specification
    variables = {}
    for _ in range(cursor.number("I")):
        name = cursor.text(cursor.number("H"))
        shape = tuple(cursor.number("I") for _ in range(cursor.number("B")))
        kind = cursor.number("B")
        if kind not in DTYPES:
            raise ModelUnavailable(f"{name} has a type that is not supported")
        cursor.number("I")  # bytes that follow, known from shape and type
        variables[name] = cursor.array(DTYPES[kind], shape)
    return variables


class _Translation:
    """From CTranslate2's names, with query, key and value joined, to openai-whisper's."""

    def __init__(self, variables: Variables) -> None:
        self._from = variables
        self._to: dict[str, Half] = {}

    def checkpoint(self) -> Checkpoint:
        for number in (1, 2):
            self._linear(f"encoder.conv{number}", f"encoder/conv{number}")
        for part, norm in (("encoder", "ln_post"), ("decoder", "ln")):
            for layer in range(self._n_layers(part)):
                self._layer(f"{part}.blocks.{layer}", f"{part}/layer_{layer}")
            self._norm(f"{part}.{norm}", f"{part}/layer_norm")
            positions = self._half(f"{part}/position_encodings/encodings")
            self._to[f"{part}.positional_embedding"] = positions
        self._to["decoder.token_embedding.weight"] = self._half("decoder/embeddings/weight")
        return Checkpoint(self._dimensions(), self._to)

    def _dimensions(self) -> dict[str, int]:
        n_vocab, n_state = self._to["decoder.token_embedding.weight"].shape
        dimensions = {"n_mels": self._to["encoder.conv1.weight"].shape[1], "n_vocab": n_vocab}
        for part, ours in (("encoder", "audio"), ("decoder", "text")):
            dimensions[f"n_{ours}_ctx"] = self._to[f"{part}.positional_embedding"].shape[0]
            dimensions[f"n_{ours}_state"] = n_state
            dimensions[f"n_{ours}_head"] = n_state // STATE_PER_HEAD
            dimensions[f"n_{ours}_layer"] = self._n_layers(part)
        return dimensions

    def _n_layers(self, part: str) -> int:
        return len({m[1] for name in self._from if (m := re.match(rf"{part}/layer_(\d+)/", name))})

    def _layer(self, to: str, source: str) -> None:
        attention = f"{source}/self_attention"
        self._norm(f"{to}.attn_ln", f"{attention}/layer_norm")
        self._split(f"{to}.attn", f"{attention}/linear_0", ("query", "key", "value"))
        self._linear(f"{to}.attn.out", f"{attention}/linear_1")
        if to.startswith("decoder"):
            attention = f"{source}/attention"
            self._norm(f"{to}.cross_attn_ln", f"{attention}/layer_norm")
            self._split(f"{to}.cross_attn", f"{attention}/linear_0", ("query",))
            self._split(f"{to}.cross_attn", f"{attention}/linear_1", ("key", "value"))
            self._linear(f"{to}.cross_attn.out", f"{attention}/linear_2")
        self._norm(f"{to}.mlp_ln", f"{source}/ffn/layer_norm")
        self._linear(f"{to}.mlp.0", f"{source}/ffn/linear_0")
        self._linear(f"{to}.mlp.2", f"{source}/ffn/linear_1")

    def _norm(self, to: str, source: str) -> None:
        self._to[f"{to}.weight"] = self._half(f"{source}/gamma")
        self._to[f"{to}.bias"] = self._half(f"{source}/beta")

    def _linear(self, to: str, source: str) -> None:
        self._to[f"{to}.weight"] = self._half(f"{source}/weight")
        self._to[f"{to}.bias"] = self._half(f"{source}/bias")

    def _split(self, to: str, source: str, parts: tuple[str, ...]) -> None:
        weights = np.split(self._half(f"{source}/weight"), len(parts))
        biases = np.split(self._half(f"{source}/bias"), len(parts))
        for part, weight, bias in zip(parts, weights, biases, strict=True):
            self._to[f"{to}.{part}.weight"] = weight
            if part != "key":  # Whisper's keys have no bias: the file holds zeros there
                self._to[f"{to}.{part}.bias"] = bias

    def _half(self, name: str) -> Half:
        stored = self._from[name]
        if stored.dtype != np.float16:
            raise ModelUnavailable(f"{name} is {stored.dtype}: only float16 files are exact")
        return stored.astype(np.float16, copy=False)
