"""The engine that runs openai-whisper's own networks and decoder."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from threading import Lock

import torch
import whisper

from audio.speech import SpeechMap, find_speech
from domain.coverage import report_coverage, warnings_of
from domain.errors import Stopped
from domain.options import TranscriptionOptions
from domain.transcript import Transcript
from domain.windows import Window, ignore_window
from engines.base import SAMPLE_RATE_HZ, Engine, LoadedModel, Samples, ask_to_go_on
from engines.batched.precision import Precision, fastest_precision
from engines.batched.room import slots_for
from engines.batched.transcriber import BatchedWhisper
from engines.cpu_share import CpuShare
from engines.decoding_loop import Heard, WindowLoop
from engines.devices import devices_for
from engines.loading import dtype_for, load_whisper
from engines.model_facts import weights_mb
from engines.out_of_memory import guard_memory, reclaim
from engines.own_modules import with_own_modules
from engines.silence import UNDETERMINED, warnings_about
from engines.weights.catalog import official_weights
from engines.weights.ensure import ensure_weights
from engines.window_trail import WindowTrail

# A fork after a multi-threaded operation hangs the child in its first one (libgomp keeps the
# parent's threads in its books). The real number is set in the child, before every window.
torch.set_num_threads(1)

ENGINE_NAME = "openai_whisper"
ASK_INTERVAL_S = 0.1  # between two questions whether to stop, inside a window
MOST_BORROWERS = 256  # each is a thread with a recording; the weights are the same for all
PRECISION_FILE = "precision.json"
MIB = 1024 * 1024


class OpenAIWhisperEngine:
    """One loaded Whisper model. Safe for many threads."""

    max_borrowers = MOST_BORROWERS

    def __init__(
        self,
        model: whisper.Whisper,
        info: LoadedModel,
        share: CpuShare,
        *,
        batched_precision: Callable[[], Precision],
    ) -> None:
        self.info = info
        self.model: whisper.Whisper | None = model
        self._share = share
        self._batched_precision = batched_precision
        self._batched: BatchedWhisper | None = None
        self._making = Lock()

    @property
    def memory_mb(self) -> float:
        """As `Engine.memory_mb` promises."""
        batched = self._batched
        return self.info.memory_mb + (batched.memory_mb if batched else 0.0)

    def shrink_batch(self, below: int) -> bool:
        """As `Engine.shrink_batch` promises."""
        batched = self._batched
        return batched is not None and batched.shrink(below)

    def drop_weights(self) -> None:
        """Let go of the weights, even while somebody still refers to the engine."""
        self.model = None
        self._batched = None

    def transcribe(
        self,
        audio: Samples,
        options: TranscriptionOptions,
        *,
        on_progress: Callable[[float], None],
        should_stop: Callable[[], bool],
        on_window: Callable[[Window], None] = ignore_window,
        resume: Sequence[Window] = (),
        is_urgent: bool = False,
    ) -> Transcript:
        """As `Engine.transcribe` promises.

        With `decode_mode` sequential, or with beams, the text is that of openai-whisper's
        `transcribe`.
        """
        model = self.model
        if model is None:
            raise RuntimeError("this engine was unloaded")
        trail = WindowTrail(resume, on_window, engine=ENGINE_NAME, model=self.info.model_size)
        if options.decode_mode == "batched" and not options.beam_size:
            return self._transcribe_batched(
                audio,
                options,
                trail,
                on_progress=on_progress,
                should_stop=should_stop,
                is_urgent=is_urgent,
            )
        own = with_own_modules(model)
        loop = WindowLoop(
            own,
            audio,
            options,
            trail=trail,
            before_window=lambda: self._before_window(should_stop),
            aligner=model,
        )
        with self._share.busy(), ask_while_computing(own, should_stop):
            heard = guard_memory(
                lambda: loop.run(on_progress),
                model_size=self.info.model_size,
                device=self.info.device,
            )
        started = time.perf_counter()
        # Afterwards, and for the report alone: the text stays that of openai-whisper.
        speech = find_speech(audio, partial(ask_to_go_on, should_stop))
        heard.timings_s["coverage_s"] = time.perf_counter() - started
        return self._transcript(audio, options, heard, speech)

    def _transcribe_batched(
        self,
        audio: Samples,
        options: TranscriptionOptions,
        trail: WindowTrail,
        *,
        on_progress: Callable[[float], None],
        should_stop: Callable[[], bool],
        is_urgent: bool,
    ) -> Transcript:
        started = time.perf_counter()
        speech = find_speech(audio, partial(ask_to_go_on, should_stop))
        speech_s = time.perf_counter() - started
        size, device = self.info.model_size, self.info.device
        batched = guard_memory(self._batched_decoder, model_size=size, device=device)
        heard = guard_memory(
            lambda: batched.transcribe(
                audio,
                speech,
                options,
                trail=trail,
                on_progress=on_progress,
                should_stop=should_stop,
                is_urgent=is_urgent,
            ),
            model_size=size,
            device=device,
            batch_size=batched.slots,
        )
        heard.timings_s["speech_s"] = speech_s
        return self._transcript(audio, options, heard, speech)

    def _batched_decoder(self) -> BatchedWhisper:
        """Made when it is first needed: it holds weights of its own."""
        with self._making:
            if self._batched is None:
                if self.model is None:
                    raise RuntimeError("this engine was unloaded")
                precision = self._batched_precision()
                slots = slots_for(self.model.dims, precision.dtype, self.info.device)
                self._batched = BatchedWhisper(
                    self.model, self._share, precision=precision, slots=slots
                )
            return self._batched

    def _before_window(self, should_stop: Callable[[], bool]) -> None:
        ask_to_go_on(should_stop)
        torch.set_num_threads(self._share.threads())

    def _transcript(
        self,
        audio: Samples,
        options: TranscriptionOptions,
        heard: Heard,
        speech: SpeechMap,
    ) -> Transcript:
        duration_s = len(audio) / SAMPLE_RATE_HZ
        coverage = report_coverage(speech.spans, heard.segments, duration_s)
        return Transcript(
            segments=tuple(heard.segments),
            language=heard.language or UNDETERMINED,
            language_probability=heard.language_probability,
            task=options.task,
            duration_s=duration_s,
            model_requested=options.model_size,
            model_used=self.info.model_size,
            engine=ENGINE_NAME,
            device=self.info.device,
            warnings=(*warnings_about(audio), *warnings_of(coverage)),
            timings_s=heard.timings_s,
            coverage=coverage,
        )


class OpenAIWhisperLoader:
    """Loads official weights from `model_dir`, shared between processes on a CPU."""

    name = ENGINE_NAME

    def __init__(self, model_dir: Path, *, device: str, share: CpuShare) -> None:
        self._model_dir = model_dir
        self._device = device
        self._share = share

    def load(self, model_size: str, device: str) -> OpenAIWhisperEngine:
        """A model on `device`. Raises OutOfMemory, ModelUnavailable."""
        official = ensure_weights(model_size, self._model_dir)
        model = guard_memory(
            lambda: load_whisper(model_size, device, official),
            model_size=model_size,
            device=device,
        )
        held = sum(p.numel() * p.element_size() for p in model.parameters())
        return OpenAIWhisperEngine(
            model,
            LoadedModel(model_size, device, memory_mb=held / MIB),
            self._share,
            batched_precision=lambda: self._batched_precision(device),
        )

    def _batched_precision(self, device: str) -> Precision:
        if device != "cpu":
            return Precision.of(torch.float16)
        return fastest_precision(self._model_dir / "mapped" / PRECISION_FILE)

    def unload(self, engine: Engine) -> None:
        """Drop the weights, even while somebody still refers to the engine."""
        if isinstance(engine, OpenAIWhisperEngine):
            engine.drop_weights()
        reclaim()

    def devices(self) -> list[str]:
        """The chosen devices, and behind GPUs the CPU. Raises ConfigurationError for no GPU."""
        # Asked in the process that transcribes, never before a fork: it may initialise CUDA.
        gpus = 0 if self._device == "cpu" else torch.cuda.device_count()
        return devices_for(self._device, gpus=gpus)

    def estimate_mb(self, model_size: str, device: str) -> float:
        """Memory of the weights there, from the published number of parameters: as they are
        loaded, and as the batched decoder lays them out.
        """
        loaded_as = dtype_for(device).itemsize
        decoded_as = self._batched_precision(device).weights.itemsize
        return weights_mb(model_size, bytes_per_weight=loaded_as + decoded_as)

    def is_present(self, model_size: str) -> bool:
        """Whether the weights lie on this machine."""
        return (self._model_dir / official_weights(model_size).file_name).is_file()


@contextmanager
def ask_while_computing(model: whisper.Whisper, should_stop: Callable[[], bool]) -> Iterator[None]:
    """Raise Stopped out of the network, before an encoder block or a decoder step."""
    next_ask_s = 0.0

    def ask(*_: object) -> None:
        nonlocal next_ask_s
        now_s = time.monotonic()
        if now_s < next_ask_s:
            return
        next_ask_s = now_s + ASK_INTERVAL_S
        if should_stop():
            raise Stopped

    hooks = [
        module.register_forward_pre_hook(ask) for module in (*model.encoder.blocks, model.decoder)
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
