"""Whether the decoder for GPUs computes what openai-whisper does, before anything is timed."""

import wave
from pathlib import Path
from typing import Any

import numpy as np
import torch
import whisper
from whisper.audio import HOP_LENGTH, N_SAMPLES, SAMPLE_RATE
from whisper.model import ModelDimensions, Whisper
from whisper.tokenizer import get_tokenizer

from benchmarks.errors import BenchmarkFailed
from benchmarks.gpu_models import frames_of, random_mels, random_model
from benchmarks.gpu_sides import Ours, Work
from engines.batched.device_choice import differences, operations_for
from engines.batched.device_operations import TorchOperations
from engines.batched.device_slots import DeviceSlotDecoder
from engines.batched.network import FusedWhisper
from engines.batched.requests import WindowRequest
from engines.batched.rules import RuleState
from engines.batched.slots import SlotDecoder
from engines.mel import log_mel

WINDOWS = 4
FEATURES_TOLERANCE = 0.02  # relative error of features in float16
BEST_SHARE = 0.9  # of the tokens shall be the best by float32, the rest near-ties
CPU = torch.device("cpu")
TINY = ModelDimensions(80, 1500, 384, 6, 4, 51865, 448, 384, 6, 4)
TINIER = ModelDimensions(80, 100, 64, 1, 1, 51865, 448, 64, 1, 1)


def check_operations(device: torch.device) -> dict[str, Any]:
    """Our kernels against torch, each operation's largest difference; and who will compute."""
    used = operations_for(device)
    found: dict[str, Any] = {"used": type(used).__name__}
    if not isinstance(used, TorchOperations):
        found["differences"] = differences(used, device)
    return found


def check_mel(device: torch.device) -> dict[str, float]:
    """The spectrogram made on the device against that of the CPU."""
    audio = np.random.default_rng(0).normal(0, 0.1, 2 * N_SAMPLES).astype(np.float32)
    expected = log_mel(audio, 128)
    found = log_mel(audio, 128, device=device).cpu()
    return {"difference": float((found - expected).abs().max())}


@torch.inference_mode()
def check_networks(work: Work) -> dict[str, Any]:
    """Features and tokens of random weights of a true shape, against openai-whisper's modules on
    the same device in float32.
    """
    ours = Ours(work, WINDOWS)
    mels = random_mels(WINDOWS, work.dims, work.device)
    features = ours.decoder.encoder.encode(mels).float()
    tokens = [window.tokens for window in ours.decode(mels)]
    model = random_model(work.dims, work.device)
    expected = model.encoder(mels)
    error = float((features - expected).norm() / expected.norm())
    gaps = _gaps(ours, model, expected, tokens)
    best_share = float((gaps == 0).float().mean())
    options = whisper.DecodingOptions(
        language="en",
        fp16=False,
        sample_len=work.tokens,
        suppress_tokens=[-1, ours.tokenizer.eot],
    )
    theirs = [each.tokens for each in whisper.decode(model, mels, options)]
    finite = gaps[gaps.isfinite()]
    return {
        "features_error": error,
        "best_share": best_share,
        "largest_gap": float(finite.max()) if len(finite) else None,
        "same_beginning": _same_beginning(tokens, theirs),
        "graphs": ours.decoder.has_graphs,
        "passed": error <= FEATURES_TOLERANCE and best_share >= BEST_SHARE,
    }


def _gaps(
    ours: Ours, model: Whisper, features: torch.Tensor, tokens: list[list[int]]
) -> torch.Tensor:
    """(windows, tokens): how far each token's logit is below the best that Whisper's rules allow
    there, by openai-whisper's network after the tokens before it; infinite where the rules ask
    for another kind of token.
    """
    device = features.device
    prompt = torch.tensor([ours.tokenizer.sot_sequence], device=device).expand(len(tokens), -1)
    written = torch.tensor(tokens, device=device)
    logits = model.logits(torch.cat([prompt, written], dim=1), features).float()
    rules, state = ours.decoder.rules, RuleState.fresh(len(tokens), device)
    gaps = []
    for number in range(written.shape[1]):
        allowed = rules.apply(logits[:, prompt.shape[1] - 1 + number], state)
        chosen = allowed.gather(1, written[:, number, None])[:, 0]
        gaps.append(allowed.amax(dim=-1) - chosen)
        rules.advance(state, written[:, number])
    return torch.stack(gaps, dim=1)


def check_cpu_path(
    device: torch.device, weights: Path | None, recording: Path | None, *, is_small: bool
) -> dict[str, Any]:
    """Tokens of the decoder for CPUs in float32 against those of the device's, of float32 and of
    its own type; with random weights of tiny's shape where no official file is given.
    """
    if weights is not None:
        model = whisper.load_model(str(weights), device="cpu")
    else:
        model = random_model(TINIER if is_small else TINY, CPU)
    mels = _mels_of(model, recording)
    plain = _tokens(model, mels, CPU, torch.float32)
    found: dict[str, Any] = {"weights": weights.name if weights else "random", "windows": len(mels)}
    model.to(device)
    dtypes = [torch.float32] if device.type == "cpu" else [torch.float32, torch.float16]
    for dtype in dtypes:
        tokens = _tokens(model, mels, device, dtype, is_device=True)
        found[str(dtype).removeprefix("torch.")] = {
            "same_windows": sum(a == b for a, b in zip(plain, tokens, strict=True)),
            "same_beginning": _same_beginning(tokens, plain),
        }
    return found


def _mels_of(model: Whisper, recording: Path | None) -> torch.Tensor:
    """Windows (n, bins, 3000) of the recording, or random ones."""
    if recording is None:
        return random_mels(WINDOWS, model.dims, CPU)
    with wave.open(str(recording)) as opened:
        if (opened.getframerate(), opened.getnchannels()) != (SAMPLE_RATE, 1):
            raise BenchmarkFailed(f"{recording} is not mono at {SAMPLE_RATE} Hz")
        pcm = np.frombuffer(opened.readframes(opened.getnframes()), "<i2")
    samples = (pcm / 32768).astype(np.float32)
    mel = log_mel(samples, model.dims.n_mels)
    frames = frames_of(model.dims)
    count = max(1, len(samples) // (frames * HOP_LENGTH))
    return torch.stack([mel[:, n * frames :][:, :frames] for n in range(count)])


@torch.inference_mode()
def _tokens(
    model: Whisper,
    mels: torch.Tensor,
    device: torch.device,
    dtype: torch.dtype,
    *,
    is_device: bool = False,
) -> list[list[int]]:
    network = FusedWhisper(model, dtype=dtype, rows=len(mels))
    languages = model.num_languages
    tokenizer = get_tokenizer(
        model.is_multilingual, num_languages=languages, language="en", task="transcribe"
    )
    kind = DeviceSlotDecoder if is_device else SlotDecoder
    decoder = kind(network, tokenizer, slots=len(mels))
    prompt = tuple(tokenizer.sot_sequence)
    slots = [
        decoder.admit(WindowRequest(features, prompt, sot_index=0))
        for features in network.encode(mels.to(device))
    ]
    ended: dict[int, list[int]] = {}
    while len(ended) < len(slots):
        ended |= {slot: window.tokens for slot, window in decoder.step()}
    return [ended[slot] for slot in slots]


def _same_beginning(found: list[list[int]], expected: list[list[int]]) -> float:
    """The share of the expected tokens before the first that differs, over all windows."""
    same = 0
    for ours, theirs in zip(found, expected, strict=True):
        pairs = zip(ours, theirs, strict=False)
        same += next((n for n, (a, b) in enumerate(pairs) if a != b), min(len(ours), len(theirs)))
    return same / max(1, sum(map(len, expected)))
