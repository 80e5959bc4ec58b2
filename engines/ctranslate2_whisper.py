"""The engine that runs faster-whisper: Whisper in CTranslate2. An extra, installed apart."""

import ctypes
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from threading import Lock

import ctranslate2
import torch
from faster_whisper import WhisperModel

from audio.speech import SpeechMap, find_speech
from domain.coverage import report_coverage, warnings_of
from domain.errors import ConfigurationError
from domain.options import TranscriptionOptions
from domain.transcript import Segment, Transcript
from domain.windows import Window, ignore_window
from engines.base import Engine, LoadedModel, Samples, ask_to_go_on
from engines.cpu_share import CpuShare
from engines.ctranslate2_batches import BatchedPass
from engines.ctranslate2_decoder import Decoder
from engines.ctranslate2_plan import plan_windows, windows_of
from engines.ctranslate2_sequence import SequentialPass
from engines.devices import devices_for
from engines.mel import log_mel
from engines.model_facts import weights_mb
from engines.out_of_memory import guard_memory, reclaim
from engines.silence import UNDETERMINED, warnings_about
from engines.weights.catalog import official_weights
from engines.weights.ctranslate2_model import ensure_ctranslate2
from engines.weights.ensure import ensure_weights
from engines.window_trail import WindowTrail

# The spectrogram is torch's. See engines/openai_whisper.py for why a parent computes with one.
torch.set_num_threads(1)

ENGINE_NAME = "faster_whisper"
COMPUTE_TYPES = {"cpu": "int8", "cuda": "float16"}
CUBLAS = "libcublas.so.12"  # CTranslate2 brings CUDA 12 along, but not this
BATCH_SIZE = 8
MOST_BORROWERS = 256  # each is a thread with a recording; the weights are the same for all
# On a CPU a batch saves little, and of a larger model it takes longer than a job may be silent
# (STALL_AFTER_S) or a stop may wait.
FAST_MB = 100.0
BYTES_PER_WEIGHT = {"cpu": 1, "cuda": 2}


class FasterWhisperEngine:
    """One loaded model. Safe for many threads, which it serves one batch at a time.

    A stop is obeyed before every step of the model, and a batch of windows takes one step to
    encode and one to decode. Kept windows give the transcript of an undisturbed run; what was
    drawn at a temperature above 0 comes out anew, since CTranslate2 neither tells nor takes
    the state of its generator.
    """

    max_borrowers = MOST_BORROWERS

    def __init__(self, folder: Path, info: LoadedModel, share: CpuShare) -> None:
        self.info = info
        self.model: WhisperModel | None = None
        self._folder = folder
        self._share = share
        self._threads = 0  # of the model that is loaded
        self._is_closed = False
        self._changing = Lock()  # guards what follows
        self._calls = 0  # that use the model now
        self._at_work = ExitStack()
        is_slow = info.device == "cpu" and weights_mb(info.model_size, bytes_per_weight=1) > FAST_MB
        self._batch_size = 1 if is_slow else BATCH_SIZE
        self._load()

    @property
    def memory_mb(self) -> float:
        """As `Engine.memory_mb` promises; CTranslate2 keeps nothing between two calls."""
        return self.info.memory_mb

    def shrink_batch(self, below: int) -> bool:
        """As `Engine.shrink_batch` promises, down to one."""
        with self._changing:
            if self._batch_size >= below > 1:
                self._batch_size //= 2
            return self._batch_size < below

    def transcribe(
        self,
        audio: Samples,
        options: TranscriptionOptions,
        *,
        on_progress: Callable[[float], None],
        should_stop: Callable[[], bool],
        on_window: Callable[[Window], None] = ignore_window,
        resume: Sequence[Window] = (),
        is_urgent: bool = False,  # noqa: ARG002 - CTranslate2 serves calls in the order they come
    ) -> Transcript:
        """As `Engine.transcribe` promises, at temperature 0."""
        if self._is_closed:
            raise RuntimeError("this engine was unloaded")
        is_batched = options.decode_mode != "sequential"
        batch_size = self._batch_size if is_batched else 1

        def run() -> tuple[Decoder, SpeechMap, list[Segment]]:
            with self._model_in_use() as model:
                go_on = partial(ask_to_go_on, should_stop)
                mel = log_mel(audio, model.model.n_mels, before_piece=go_on).numpy()
                decoder = Decoder(model, mel, options, should_stop)
                with decoder.timed("speech_s"):
                    speech = find_speech(audio, go_on)
                one_pass: BatchedPass | SequentialPass
                if is_batched:
                    plan = plan_windows(audio, speech)
                    trail = self._trail(windows_of(plan, resume), on_window)
                    one_pass = BatchedPass(decoder, plan, trail, batch_size=batch_size)
                else:
                    one_pass = SequentialPass(decoder, audio, self._trail(resume, on_window))
                return decoder, speech, one_pass.run(on_progress)

        decoder, speech, segments = guard_memory(
            run,
            model_size=self.info.model_size,
            device=self.info.device,
            batch_size=batch_size,
        )
        coverage = report_coverage(speech.spans, segments, speech.duration_s)
        return Transcript(
            segments=tuple(segments),
            language=decoder.language or UNDETERMINED,
            language_probability=decoder.language_probability,
            task=options.task,
            duration_s=speech.duration_s,
            model_requested=options.model_size,
            model_used=self.info.model_size,
            engine=ENGINE_NAME,
            device=self.info.device,
            warnings=(*warnings_about(audio), *warnings_of(coverage)),
            timings_s=decoder.timings_s,
            coverage=coverage,
        )

    @contextmanager
    def _model_in_use(self) -> Iterator[WhisperModel]:
        """The model, which stays while anybody is in the block.

        However many are, they count as one engine at work: CTranslate2 computes for one of
        them at a time.
        """
        with self._changing:
            if not self._calls:
                self._at_work.enter_context(self._share.busy())
            self._calls += 1
        try:
            with self._changing:
                model = self._load()
            yield model
        finally:
            with self._changing:
                self._calls -= 1
                if not self._calls:
                    self._at_work.close()

    def _trail(self, resume: Sequence[Window], on_window: Callable[[Window], None]) -> WindowTrail:
        return WindowTrail(resume, on_window, engine=ENGINE_NAME, model=self.info.model_size)

    def close(self) -> None:
        """Drop the weights."""
        self._is_closed = True
        self.model = None

    def _load(self) -> WhisperModel:
        """The model with as many threads as it may have now. Their number is fixed at its load,
        so it changes when nobody else is at it.
        """
        kind, _, index = self.info.device.partition(":")
        threads = self._share.threads() if kind == "cpu" else 1
        if self.model is not None and (threads == self._threads or self._calls > 1):
            return self.model
        self.model = None  # first, so that two never lie in memory
        self.model = WhisperModel(
            str(self._folder),
            device=kind,
            device_index=int(index or 0),
            compute_type=COMPUTE_TYPES[kind],
            cpu_threads=threads,
            local_files_only=True,
        )
        self._threads = threads
        return self.model


class FasterWhisperLoader:
    """Loads official weights from `model_dir`, converted once for CTranslate2."""

    name = ENGINE_NAME

    def __init__(self, model_dir: Path, *, device: str, share: CpuShare) -> None:
        self._model_dir = model_dir
        self._device = device
        self._share = share

    def load(self, model_size: str, device: str) -> FasterWhisperEngine:
        """A model on `device`. Raises OutOfMemory, ModelUnavailable, ConfigurationError."""
        if device.startswith("cuda"):
            _require_cublas()
        folder = ensure_ctranslate2(model_size, ensure_weights(model_size, self._model_dir))
        info = LoadedModel(model_size, device, memory_mb=self.estimate_mb(model_size, device))
        return guard_memory(
            lambda: FasterWhisperEngine(folder, info, self._share),
            model_size=model_size,
            device=device,
        )

    def unload(self, engine: Engine) -> None:
        """Drop the weights, even while somebody still refers to the engine."""
        if isinstance(engine, FasterWhisperEngine):
            engine.close()
        reclaim()

    def devices(self) -> list[str]:
        """The chosen device, and behind a GPU the CPU. Raises ConfigurationError for no GPU."""
        gpus = 0 if self._device == "cpu" else ctranslate2.get_cuda_device_count()
        return devices_for(self._device, gpus=gpus)

    def estimate_mb(self, model_size: str, device: str) -> float:
        """Memory of the weights there, from the published number of parameters."""
        return weights_mb(model_size, bytes_per_weight=BYTES_PER_WEIGHT[device.partition(":")[0]])

    def is_present(self, model_size: str) -> bool:
        """Whether the weights lie on this machine."""
        return (self._model_dir / official_weights(model_size).file_name).is_file()


def _require_cublas() -> None:
    """Say at the load what CTranslate2 would only say in the middle of the first job."""
    try:
        ctypes.CDLL(CUBLAS)
    except OSError as error:
        raise ConfigurationError(
            f"faster_whisper needs {CUBLAS} on a GPU: install nvidia-cublas-cu12 and add its "
            "folder to LD_LIBRARY_PATH, or set WHISPER_DEVICE=cpu"
        ) from error
