"""What `gpu` measures: rates by batch, from samples to text, jobs together, and single kernels."""

import time
from collections.abc import Callable
from statistics import median
from typing import Any

import numpy as np
import torch
from torch.nn.attention import SDPBackend
from whisper.audio import FRAMES_PER_SECOND, HOP_LENGTH

from benchmarks.gpu_models import frames_of, random_mels, synchronize
from benchmarks.gpu_run import GpuRun, speed_of
from benchmarks.gpu_sides import PEERS, Ours, Work
from engines.batched.alignment import Text, TextAligner
from engines.batched.device_encoder import DeviceEncoder
from engines.batched.device_operations import StepOperations
from engines.mel import log_mel

JOB_SHARE = 2 / 3  # of a window: 20 s
SETTINGS = ((32, 4), (64, 4), (128, 4), (64, 8), (128, 8), (32, 2))  # places at a time, warps
KERNEL_CALLS = 20
GIGA = 1e9


def rate_ours(run: GpuRun, work: Work, batches: list[int]) -> list[dict[str, Any]]:
    """From spectrograms on the device to tokens, for every batch; with the encoder's share."""
    ours = Ours(work, batches[0])
    rows: list[dict[str, Any]] = []
    for batch in batches:
        if rows and run.left_s <= 0:
            break
        ours.decoder.resize(batch)
        rows.append(_rate(run, work, batch, ours))
    return rows


def _rate(run: GpuRun, work: Work, batch: int, ours: Ours) -> dict[str, Any]:
    mels = random_mels(batch, work.dims, work.device)
    encode_s = median(run.timed(lambda: ours.decoder.encoder.encode(mels)))
    peak_mb = run.peak_mb(lambda: ours(mels))
    written: list[int] = []
    times_s = run.timed(lambda: written.extend(ours(mels)))
    return {
        "side": "ours",
        "batch": batch,
        **speed_of(times_s, batch * _window_s(work)),
        "tokens": sorted(set(written)),
        "encode_ms_per_window": 1000 * encode_s / batch,
        "step_ms": 1000 * (median(times_s) - encode_s) / work.tokens,
        "peak_mb": peak_mb,
        "graphs": ours.decoder.has_graphs,
        "operations": type(ours.decoder.operations).__name__,
    }


def _window_s(work: Work) -> float:
    return frames_of(work.dims) / float(FRAMES_PER_SECOND)


def rate_peer(run: GpuRun, work: Work, name: str, batches: list[int]) -> list[dict[str, Any]]:
    """The same windows by a peer, for as many batches as there is time for."""
    decode = PEERS[name](work)
    rows: list[dict[str, Any]] = []
    for batch in batches:
        if rows and run.left_s <= 0:
            break
        mels = random_mels(batch, work.dims, work.device)
        written: list[int] = []
        times_s = run.timed(lambda m=mels, w=written: w.extend(decode(m)))  # type: ignore[misc]
        speed = speed_of(times_s, batch * _window_s(work))
        rows.append({"side": name, "batch": batch, **speed, "tokens": sorted(set(written))})
    return rows


def rate_from_samples(run: GpuRun, work: Work, batch: int) -> dict[str, Any]:
    """From samples in memory to text: spectrogram, windows of 30 s, tokens, and their text."""
    ours = Ours(work, batch)
    frames = frames_of(work.dims)
    audio = _noise(batch * frames * HOP_LENGTH)

    def transcribe() -> list[str]:
        mel = log_mel(audio, work.dims.n_mels, device=work.device)
        windows = [mel[:, n * frames : (n + 1) * frames] for n in range(batch)]
        return _texts(ours, windows)

    return {"batch": batch, **speed_of(run.timed(transcribe), batch * _window_s(work))}


def _texts(ours: Ours, windows: list[torch.Tensor]) -> list[str]:
    end = ours.tokenizer.eot
    written = ours.decode(torch.stack(windows))
    return [ours.tokenizer.decode([t for t in each.tokens if t < end]) for each in written]


def rate_together(run: GpuRun, work: Work, count: int) -> dict[str, Any]:
    """`count` jobs of 20 s from samples to text: one after another, and all at once."""
    length = round(work.tokens * JOB_SHARE)
    frames = frames_of(work.dims)
    ours = Ours(Work(work.dims, work.device, length), count)
    jobs = [_noise(round(frames * HOP_LENGTH * JOB_SHARE), seed) for seed in range(count)]

    def window_of(audio: np.ndarray[Any, np.dtype[np.float32]]) -> torch.Tensor:
        return log_mel(audio, work.dims.n_mels, device=work.device)[:, :frames]

    apart_s = median(run.timed(lambda: [_texts(ours, [window_of(job)]) for job in jobs]))
    together_s = median(run.timed(lambda: _texts(ours, [window_of(job) for job in jobs])))
    return {
        "jobs": count,
        "apart_s": apart_s,
        "together_s": together_s,
        "ratio": apart_s / together_s,
    }


def _noise(samples: int, seed: int = 0) -> np.ndarray[Any, np.dtype[np.float32]]:
    return np.random.default_rng(seed).normal(0, 0.1, samples).astype(np.float32)


def rate_words(run: GpuRun, work: Work, count: int) -> dict[str, float]:
    """Alignment of `count` full windows with their texts, by as many heads as large-v3 has."""
    ours = Ours(work, count)
    layers, heads = work.dims.n_text_layer, work.dims.n_text_head
    chosen = [(layers // 2 + n % (layers - layers // 2), n % heads) for n in range(10)]
    aligner = TextAligner(ours.network, chosen, ours.tokenizer)
    features = ours.decoder.encoder.encode(random_mels(count, work.dims, work.device))
    tokens = [1000 + 7 * n for n in range(work.tokens)]
    texts = [Text(tokens, each, work.dims.n_audio_ctx) for each in features]
    times_s = run.timed(lambda: aligner(texts))
    return {"windows": count, "ms_per_window": 1000 * median(times_s) / count}


def compare_backends(run: GpuRun, work: Work) -> dict[str, Any]:
    """Milliseconds of the encoder per window, by who computes its attention."""
    ours = Ours(work, 1)
    mels = random_mels(16 if work.device.type == "cuda" else 1, work.dims, work.device)
    found: dict[str, Any] = {}
    for backend in (
        SDPBackend.CUDNN_ATTENTION,
        SDPBackend.FLASH_ATTENTION,
        SDPBackend.EFFICIENT_ATTENTION,
    ):
        encoder = DeviceEncoder(ours.network, ours.decoder.operations, [backend, SDPBackend.MATH])
        found[backend.name] = 1000 * median(run.timed(lambda e=encoder: e.encode(mels))) / len(mels)  # type: ignore[misc]
    return found


def compare_kernels(work: Work, rows: int) -> dict[str, Any]:
    """What attention to a recording reads per second, GB, by how the kernel is set."""
    device, dims = work.device, work.dims
    shape = (rows, dims.n_text_head, dims.n_audio_ctx, 64)
    keys, values = (torch.randn(shape, dtype=work.dtype, device=device) for _ in range(2))
    queries = torch.randn(rows, dims.n_text_state, dtype=work.dtype, device=device)
    lengths = torch.full((rows,), dims.n_audio_ctx, device=device)
    read = 2 * keys.numel() * keys.element_size()
    found: dict[str, Any] = {}
    for name, operations in _kernel_settings(device):
        seconds = _seconds_of(
            lambda o=operations: o.attend(queries, keys, values, lengths),  # type: ignore[misc]
            device,
        )
        found[name] = read / seconds / GIGA
    return found


def _kernel_settings(device: torch.device) -> list[tuple[str, StepOperations]]:
    from engines.batched.device_operations import TorchOperations

    found: list[tuple[str, StepOperations]] = [("torch", TorchOperations())]
    if device.type == "cuda":
        from engines.batched.triton_operations import TritonOperations  # late: needs Triton

        found += [
            (f"{block} places, {warps} warps", TritonOperations(block=block, warps=warps))
            for block, warps in SETTINGS
        ]
    return found


def _seconds_of(call: Callable[[], object], device: torch.device) -> float:
    for _ in range(3):
        call()
    synchronize(device)
    started = time.perf_counter()
    for _ in range(KERNEL_CALLS):
        call()
    synchronize(device)
    return (time.perf_counter() - started) / KERNEL_CALLS
