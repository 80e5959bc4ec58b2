"""A Whisper model of a few thousand values, in the layouts that packages carry."""

import struct
from pathlib import Path

import numpy as np

from engines.weights.checkpoint import Checkpoint, published_order
from engines.weights.ggml import HEADER

DIMENSIONS = {
    "n_mels": 4,
    "n_vocab": 7,
    "n_audio_ctx": 6,
    "n_audio_state": 64,
    "n_audio_head": 1,
    "n_audio_layer": 2,
    "n_text_ctx": 5,
    "n_text_state": 64,
    "n_text_head": 1,
    "n_text_layer": 1,
}
SHAPES = {  # by the end of the name; other weights are 64 x 64, norms and biases 64
    "decoder.positional_embedding": (5, 64),
    "encoder.positional_embedding": (6, 64),
    "token_embedding.weight": (7, 64),
    "mlp.0.weight": (256, 64),
    "mlp.0.bias": (256,),
    "mlp.2.weight": (64, 256),
    "conv1.weight": (64, 4, 3),
    "conv2.weight": (64, 64, 3),
}


def make_checkpoint():
    rng = np.random.default_rng(1)
    tensors = {
        name: rng.standard_normal(_shape(name)).astype(np.float16)
        for name in published_order(DIMENSIONS)
    }
    return Checkpoint(DIMENSIONS, tensors)


def _shape(name):
    for ending, shape in SHAPES.items():
        if name.endswith(ending):
            return shape
    is_vector = name.endswith(".bias") or "ln" in name
    return (64,) if is_vector else (64, 64)


def write_ggml(checkpoint, path: Path, *, kind=1):
    header = [checkpoint.dimensions.get(name, 1) for name in HEADER]
    out = [struct.pack("<I11i", 0x67676D6C, *header)]
    out.append(struct.pack("<2i", 2, 3) + bytes(2 * 3 * 4))  # mel filters
    out.append(struct.pack("<2i", 1, 2) + b"hi")  # a vocabulary of one word
    for name, values in checkpoint.tensors.items():
        is_column = "conv" in name and name.endswith("bias")
        tensor = values.reshape(-1, 1) if is_column else values
        encoded = name.encode()
        stored_kind = 0 if tensor.ndim == 1 else kind
        out.append(struct.pack("<3i", tensor.ndim, len(encoded), stored_kind))
        out.append(struct.pack(f"<{tensor.ndim}i", *tensor.shape[::-1]) + encoded)
        out.append(tensor.astype(np.float32 if stored_kind == 0 else np.float16).tobytes())
    path.write_bytes(b"".join(out))


def write_ctranslate2(checkpoint, path: Path, *, cast=np.float16, skip=""):
    variables = {
        name: values.astype(cast)
        for name, values in _ctranslate2_variables(checkpoint.tensors).items()
        if name != skip
    }
    out = [struct.pack("<I", 6), _text("WhisperSpec"), struct.pack("<2I", 3, len(variables))]
    numbers = {"float32": 0, "int8": 1, "float16": 4}
    for name, values in sorted(variables.items()):
        shape = struct.pack(f"<B{values.ndim}I", values.ndim, *values.shape)
        out += [_text(name), shape, struct.pack("<BI", numbers[values.dtype.name], values.nbytes)]
        out.append(values.tobytes())
    out.append(struct.pack("<I", 0))  # no aliases
    path.write_bytes(b"".join(out))


def _text(value):
    return struct.pack("<H", len(value) + 1) + value.encode() + b"\0"


def _ctranslate2_variables(t):
    out = {
        "decoder/embeddings/weight": t["decoder.token_embedding.weight"],
        "encoder/position_encodings/encodings": t["encoder.positional_embedding"],
        "decoder/position_encodings/encodings": t["decoder.positional_embedding"],
    }

    def put(to, *sources):
        out[f"{to}/weight"] = np.concatenate([t[f"{s}.weight"] for s in sources])
        none = np.zeros(64, np.float16)
        out[f"{to}/bias"] = np.concatenate([t.get(f"{s}.bias", none) for s in sources])

    def put_norm(to, source):
        out[f"{to}/gamma"], out[f"{to}/beta"] = t[f"{source}.weight"], t[f"{source}.bias"]

    put("encoder/conv1", "encoder.conv1")
    put("encoder/conv2", "encoder.conv2")
    put_norm("encoder/layer_norm", "encoder.ln_post")
    put_norm("decoder/layer_norm", "decoder.ln")
    blocks = [("encoder", 0), ("encoder", 1), ("decoder", 0)]
    for part, layer in blocks:
        ours, theirs = f"{part}.blocks.{layer}", f"{part}/layer_{layer}"
        own = f"{theirs}/self_attention"
        put_norm(f"{own}/layer_norm", f"{ours}.attn_ln")
        put(f"{own}/linear_0", *(f"{ours}.attn.{x}" for x in ("query", "key", "value")))
        put(f"{own}/linear_1", f"{ours}.attn.out")
        put_norm(f"{theirs}/ffn/layer_norm", f"{ours}.mlp_ln")
        put(f"{theirs}/ffn/linear_0", f"{ours}.mlp.0")
        put(f"{theirs}/ffn/linear_1", f"{ours}.mlp.2")
        if part == "decoder":
            cross = f"{theirs}/attention"
            put_norm(f"{cross}/layer_norm", f"{ours}.cross_attn_ln")
            put(f"{cross}/linear_0", f"{ours}.cross_attn.query")
            put(f"{cross}/linear_1", f"{ours}.cross_attn.key", f"{ours}.cross_attn.value")
            put(f"{cross}/linear_2", f"{ours}.cross_attn.out")
    return out
