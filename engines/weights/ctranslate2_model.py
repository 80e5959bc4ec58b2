"""Convert official weights to a model folder that CTranslate2 and faster-whisper read.

Made once per model and kept beside the official file, so that nothing is asked of a hub. The
weights stay in float16, byte for byte what Systran publishes under the same names; CTranslate2
makes int8 of them while it loads.
"""

import base64
import gzip
import json
import logging
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import whisper
from ctranslate2.specs import WhisperSpec
from ctranslate2.specs.common_spec import Conv1DSpec, LayerNormSpec, LinearSpec
from filelock import FileLock
from whisper.tokenizer import Tokenizer, get_tokenizer

from domain.errors import ModelUnavailable
from engines.weights.bpe_file import bpe_file, vocabulary
from engines.weights.catalog import official_weights

Tensors = Mapping[str, torch.Tensor]

FOLDER = "ctranslate2"
LOCK_TIMEOUT_S = 600  # the largest model takes a minute on a slow disk
N_VOCAB_MULTILINGUAL = 51865  # of every model up to large-v2; later ones know one more language

logger = logging.getLogger(__name__)


def ensure_ctranslate2(model_size: str, official: Path) -> Path:
    """Return the folder of the converted model, made now when it is not there yet.

    `official` is the checked file of the weights. Raises ModelUnavailable when the folder
    cannot be written to.
    """
    parent = official.parent / FOLDER
    target = parent / f"{model_size}-{official_weights(model_size).sha256[:12]}"
    if target.is_dir():
        return target
    try:
        parent.mkdir(parents=True, exist_ok=True)
        with FileLock(parent / f".{target.name}.lock", timeout=LOCK_TIMEOUT_S):
            if not target.is_dir():  # another process may have been first
                unfinished = parent / f".{target.name}.part"
                shutil.rmtree(unfinished, ignore_errors=True)  # left behind by a killed process
                unfinished.mkdir()
                convert(model_size, official, unfinished)
                unfinished.rename(target)  # atomic: a reader sees all of it or nothing
    except OSError as error:  # among them the lock's timeout
        raise ModelUnavailable(
            f"the weights of {model_size} cannot be converted for CTranslate2 in {parent}: {error}",
            model_size=model_size,
        ) from error
    logger.info("weights_converted", extra={"model_size": model_size, "folder": str(target)})
    return target


def convert(model_size: str, official: Path, folder: Path) -> None:
    """Write model.bin, config.json, vocabulary.json and tokenizer.json into an empty folder."""
    checkpoint: dict[str, Any] = torch.load(
        official, map_location="cpu", weights_only=True, mmap=True
    )
    dims = checkpoint["dims"]
    is_multilingual = dims["n_vocab"] >= N_VOCAB_MULTILINGUAL
    tokenizer = get_tokenizer(
        is_multilingual,
        num_languages=99 + max(0, dims["n_vocab"] - N_VOCAB_MULTILINGUAL),
    )
    spec = _fill(dims, checkpoint["model_state_dict"])
    spec.register_vocabulary(vocabulary(tokenizer.encoding))
    spec.config.alignment_heads = _alignment_heads(model_size, dims)
    spec.config.lang_ids = sorted(tokenizer.all_language_tokens) if is_multilingual else []
    spec.config.suppress_ids = _suppressed(tokenizer)
    spec.config.suppress_ids_begin = [*tokenizer.encode(" "), tokenizer.eot]
    spec.validate()
    # Not spec.optimize(), which finds this out by comparing all weights with each other.
    spec.decoder.projection.weight = "decoder/embeddings/weight"
    spec.save(str(folder))
    (folder / "tokenizer.json").write_text(bpe_file(tokenizer.encoding), encoding="utf-8")
    # faster-whisper takes 80 mel bands for granted; large-v3 and turbo hear 128.
    features = json.dumps({"feature_size": dims["n_mels"]})
    (folder / "preprocessor_config.json").write_text(features, encoding="utf-8")


def _fill(dims: Mapping[str, int], tensors: Tensors) -> WhisperSpec:
    spec = WhisperSpec(
        dims["n_audio_layer"], dims["n_audio_head"], dims["n_text_layer"], dims["n_text_head"]
    )
    for number, conv in enumerate((spec.encoder.conv1, spec.encoder.conv2), start=1):
        _linear(conv, tensors, f"encoder.conv{number}")
    for side, part, last in (("encoder", spec.encoder, "ln_post"), ("decoder", spec.decoder, "ln")):
        part.position_encodings.encodings = tensors[f"{side}.positional_embedding"].half()
        _norm(part.layer_norm, tensors, f"{side}.{last}")
        for number, layer in enumerate(part.layer):
            _layer(layer, tensors, f"{side}.blocks.{number}")
    embeddings = tensors["decoder.token_embedding.weight"].half()
    spec.decoder.embeddings.weight = embeddings
    spec.decoder.projection.weight = embeddings
    return spec


def _layer(layer: Any, tensors: Tensors, block: str) -> None:
    attention = layer.self_attention
    _norm(attention.layer_norm, tensors, f"{block}.attn_ln")
    _linear(attention.linear[0], tensors, *(f"{block}.attn.{p}" for p in ("query", "key", "value")))
    _linear(attention.linear[1], tensors, f"{block}.attn.out")
    if block.startswith("decoder"):
        attention = layer.attention
        _norm(attention.layer_norm, tensors, f"{block}.cross_attn_ln")
        _linear(attention.linear[0], tensors, f"{block}.cross_attn.query")
        _linear(
            attention.linear[1], tensors, f"{block}.cross_attn.key", f"{block}.cross_attn.value"
        )
        _linear(attention.linear[2], tensors, f"{block}.cross_attn.out")
    _norm(layer.ffn.layer_norm, tensors, f"{block}.mlp_ln")
    _linear(layer.ffn.linear_0, tensors, f"{block}.mlp.0")
    _linear(layer.ffn.linear_1, tensors, f"{block}.mlp.2")


def _norm(to: LayerNormSpec, tensors: Tensors, name: str) -> None:
    to.gamma = tensors[f"{name}.weight"].half()
    to.beta = tensors[f"{name}.bias"].half()


def _linear(to: LinearSpec | Conv1DSpec, tensors: Tensors, *names: str) -> None:
    """Join layers that read the same input into one."""
    weights = [tensors[f"{name}.weight"].half() for name in names]
    biases = [
        # Whisper's keys have no bias.
        tensors.get(f"{name}.bias", torch.zeros(len(weight), dtype=torch.float16)).half()
        for name, weight in zip(names, weights, strict=True)
    ]
    to.weight, to.bias = torch.cat(weights), torch.cat(biases)


def _alignment_heads(model_size: str, dims: Mapping[str, int]) -> list[list[int]]:
    """Layer and number of each attention head that follows the words (openai-whisper's list)."""
    packed = whisper._ALIGNMENT_HEADS[model_size]  # noqa: SLF001 - no other source
    flags = torch.frombuffer(bytearray(gzip.decompress(base64.b85decode(packed))), dtype=torch.bool)
    heads: list[list[int]] = (
        flags.view(dims["n_text_layer"], dims["n_text_head"]).nonzero().tolist()
    )
    return heads


def _suppressed(tokenizer: Tokenizer) -> list[int]:
    """Tokens that are never spoken; CTranslate2 adds none of its own."""
    return sorted(
        {
            *tokenizer.non_speech_tokens,
            tokenizer.sot,
            tokenizer.transcribe,
            tokenizer.translate,
            tokenizer.sot_lm,
            tokenizer.sot_prev,
            tokenizer.no_speech,
        }
    )
