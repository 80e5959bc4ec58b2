"""What each side of `speed` does with recordings: inside its own process, see `speed_script`."""

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Any, Protocol

import numpy as np
import torch

from audio.decode import decode
from benchmarks.speed_sides import CONTENDERS, Library
from config import Settings
from domain.options import DecodeMode, TranscriptionOptions
from engines.base import Engine, Samples
from engines.registry import get_loader

Source = Samples | Path  # samples as `Engine.transcribe` takes them, or a file to decode first
SEED = 0  # for every recording, as in the server's engine: temperatures above 0 draw
COMPUTE_TYPES = {"cpu": "int8", "cuda": "float16"}  # of faster-whisper
DECODE_TIMEOUT_S = 600.0
SHAREABLE = ("openai_whisper", "batched")  # whose recordings share the steps of the decoder
MOST_AT_ONCE = 16
LARGEST_BATCH = 64  # windows that an engine decodes side by side, on any device


@dataclass(frozen=True)
class Order:
    """What a side is started with."""

    side: str  # a name in CONTENDERS
    model_size: str
    model_dir: str
    device: str  # auto, cpu, cuda
    threads: int
    batch_size: int  # of faster-whisper's batched pipeline
    ffmpeg: str


@dataclass(frozen=True)
class Heard:
    """What became of one recording."""

    text: str
    timings_s: Mapping[str, float] = field(default_factory=dict)  # by stage, where a side tells


class Side(Protocol):
    """A model in memory."""

    device: str

    def transcribe_all(self, recordings: Sequence[Source]) -> list[Heard]:
        """The texts of recordings that are all there at once, in their order.

        The only thing that is timed. A side may hear them side by side, or one by one.
        """
        ...


class EngineSide:
    """One of this project's engines, as a worker's child calls it."""

    def __init__(
        self,
        order: Order,
        *,
        engine: str,
        decode_mode: DecodeMode,
        most_windows: int | None = None,  # side by side; as many as pay without it
    ) -> None:
        self._settings = Settings().model_copy(
            update={
                "model_dir": Path(order.model_dir),
                "device": order.device,
                "torch_threads": order.threads,
            }
        )
        self._ffmpeg = order.ffmpeg
        loader = get_loader(engine, self._settings)
        self.device = loader.devices()[0]
        self._engine = loader.load(order.model_size, self.device)
        self._options = TranscriptionOptions(order.model_size, decode_mode=decode_mode)
        self._is_shareable = (engine, decode_mode) == SHAREABLE
        self._most_windows = most_windows

    def transcribe_all(self, recordings: Sequence[Source]) -> list[Heard]:
        """Side by side where the engine lets recordings share its steps, else one by one."""
        if self._most_windows:  # each time: the decoder is made when it first hears something
            shrink_batch(self._engine, self._most_windows)
        if not self._is_shareable:
            return [self._hear(recording) for recording in recordings]
        with ThreadPoolExecutor(max_workers=min(len(recordings), MOST_AT_ONCE)) as threads:
            return list(threads.map(self._hear, recordings))

    def _hear(self, recording: Source) -> Heard:
        transcript = self._engine.transcribe(
            self._decoded(recording),
            self._options,
            on_progress=lambda _: None,
            should_stop=lambda: False,
        )
        return Heard(transcript.text, transcript.timings_s)

    def _decoded(self, recording: Source) -> Samples:
        if not isinstance(recording, Path):
            return recording
        return decode(
            recording,
            ffmpeg=self._ffmpeg,
            max_duration_s=self._settings.max_audio_duration_s,
            timeout_s=DECODE_TIMEOUT_S,
        ).samples


def shrink_batch(engine: Engine, most_windows: int) -> None:
    """Have an engine decode at most so many windows side by side, a power of two."""
    below = LARGEST_BATCH
    while below > most_windows:
        engine.shrink_batch(below)
        below //= 2


class WhisperSide:
    """openai-whisper's own `transcribe`."""

    def __init__(self, order: Order, **options: Any) -> None:
        import whisper  # late, like every library here: a side brings in only its own

        self.device = free_device(order.device)
        self._model = whisper.load_model(
            order.model_size, device=self.device, download_root=order.model_dir
        )
        self._options = options

    def transcribe_all(self, recordings: Sequence[Source]) -> list[Heard]:
        """One after another: it takes one recording."""
        return [self._hear(recording) for recording in recordings]

    def _hear(self, recording: Source) -> Heard:
        torch.manual_seed(SEED)
        source = str(recording) if isinstance(recording, Path) else recording
        return Heard(self._model.transcribe(source, **self._options)["text"])


class FasterWhisperSide:
    """faster-whisper on official weights, sequential or by its batched pipeline."""

    def __init__(self, order: Order, *, is_batched: bool = False, **options: Any) -> None:
        import ctranslate2
        from faster_whisper import BatchedInferencePipeline, WhisperModel

        from engines.weights.ctranslate2_model import ensure_ctranslate2
        from engines.weights.ensure import ensure_weights

        self.device = free_device(order.device)
        official = ensure_weights(order.model_size, Path(order.model_dir))
        model = WhisperModel(
            str(ensure_ctranslate2(order.model_size, official)),
            device=self.device,
            compute_type=COMPUTE_TYPES[self.device],
            cpu_threads=order.threads,
            local_files_only=True,
        )
        self._set_seed = ctranslate2.set_random_seed
        self._model = BatchedInferencePipeline(model) if is_batched else model
        self._options = {**options, **({"batch_size": order.batch_size} if is_batched else {})}

    def transcribe_all(self, recordings: Sequence[Source]) -> list[Heard]:
        """One after another: it takes one recording, and batches the windows of that one."""
        return [self._hear(recording) for recording in recordings]

    def _hear(self, recording: Source) -> Heard:
        self._set_seed(SEED)
        source = str(recording) if isinstance(recording, Path) else recording
        segments, _ = self._model.transcribe(source, **self._options)
        return Heard("".join(segment.text for segment in segments))  # decodes as it is read


def free_device(name: str) -> str:
    """`cuda` or `cpu` behind `auto`."""
    if name != "auto":
        return name
    return "cuda" if torch.cuda.is_available() else "cpu"


def load_side(order: Order) -> Side:
    """Load the model of a side. Raises what its library raises."""
    contender = CONTENDERS[order.side]
    torch.set_num_threads(order.threads)
    if contender.package is Library.ENGINE:
        return EngineSide(order, **contender.options)
    if contender.package is Library.WHISPER:
        return WhisperSide(order, **contender.options)
    return FasterWhisperSide(order, **contender.options)


def take_turn(side: Side, paths: Sequence[str], *, is_decoded: bool) -> dict[str, Any]:
    """Texts, seconds and processor seconds; or the error's name."""
    recordings = [np.load(path) if is_decoded else Path(path) for path in paths]
    cpu_before_s, started_at = cpu_seconds(), perf_counter()
    try:
        heard = side.transcribe_all(recordings)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is this side's answer
        return {"error": f"{type(error).__name__}: {' '.join(str(error).split())[-200:]}"}
    wall_s, cpu_s = perf_counter() - started_at, cpu_seconds() - cpu_before_s
    timings_s: dict[str, float] = {}
    for one in heard:
        for stage, spent_s in one.timings_s.items():
            timings_s[stage] = timings_s.get(stage, 0.0) + spent_s
    texts = [one.text for one in heard]
    return {"texts": texts, "wall_s": wall_s, "cpu_s": cpu_s, "timings_s": timings_s}


def cpu_seconds() -> float:
    """Processor time of this process and its ended children (ffmpeg), in seconds."""
    return sum(os.times()[:4])
