"""A recording in, its segments out, by the batched decoder."""

import time
from collections.abc import Callable
from functools import partial
from threading import Lock, get_ident

import numba
import torch
import whisper
from whisper.tokenizer import get_tokenizer

from audio.speech import SpeechMap
from domain.options import TranscriptionOptions
from engines.base import Samples, ask_to_go_on
from engines.batched.decoder import WindowDecoder
from engines.batched.device_encoder import MICRO_BATCH, DeviceEncoder
from engines.batched.device_slots import DeviceSlotDecoder
from engines.batched.listening import PLAN_VERSION, WhisperListener
from engines.batched.network import FusedWhisper
from engines.batched.precision import Precision
from engines.batched.room import (
    FEWEST,
    HYPOTHESES,
    kind_of,
    slot_mb,
    weights_mb,
)
from engines.batched.run import RecordingRun
from engines.batched.sharing import ADMITTED_PER_STEP, SharedDecoder
from engines.batched.slots import SlotDecoder
from engines.cpu_share import CpuShare
from engines.decoding_loop import Heard
from engines.window_trail import WindowTrail

THREADS_LOOK_S = 0.5  # how often the number of threads follows the machine's load


class BatchedWhisper:
    """The batched decoder of one loaded model. Safe for many threads."""

    def __init__(
        self, model: whisper.Whisper, share: CpuShare, *, precision: Precision, slots: int
    ) -> None:
        """Converts the weights; up to `slots` windows share a step."""
        self._model = model
        self._share = share
        self.slots = slots
        self._shrinking = Lock()
        kind = kind_of(model.device.type)
        hypotheses = HYPOTHESES[kind]
        self._network = FusedWhisper(
            model,
            dtype=precision.dtype,
            weights=precision.weights,
            attention=precision.attention,
            rows=slots * hypotheses,
            threads=share.most_threads if kind == "cpu" else None,
        )
        tokenizer = get_tokenizer(model.is_multilingual, num_languages=model.num_languages)
        self._decoder: WindowDecoder
        self._encoder: DeviceEncoder | None = None
        admitted = ADMITTED_PER_STEP
        if kind == "cpu":
            self._decoder = SlotDecoder(
                self._network, tokenizer, slots=slots, hypotheses=hypotheses
            )
        else:
            self._decoder = decoder = DeviceSlotDecoder(self._network, tokenizer, slots=slots)
            self._encoder, admitted = decoder.encoder, MICRO_BATCH
        # However many recordings are there, one thread at a time computes.
        self._shared = SharedDecoder(
            self._decoder, self._follow_load, share.busy, admitted_per_step=admitted
        )
        self._looked_at_s = float("-inf")
        self._looked_for = 0  # the thread whose numbers were set
        self._weights_mb = weights_mb(model, precision.weights)
        self._slot_mb = slot_mb(model.dims, precision.dtype, hypotheses)

    @property
    def memory_mb(self) -> float:
        """What it holds beside the model that it was made of, in MiB: weights in a layout of
        their own, and room for the keys and values of all slots.
        """
        return self._weights_mb + self.slots * self._slot_mb

    def shrink(self, below: int) -> bool:
        """Have half as many slots, unless there are fewer than `below` already; False if there
        cannot be fewer.
        """
        with self._shrinking:
            if self.slots >= below > FEWEST:
                self.slots = max(FEWEST, self.slots // 2)
                self._shared.resize(self.slots)
            return self.slots < below

    def transcribe(
        self,
        audio: Samples,
        speech: SpeechMap,
        options: TranscriptionOptions,
        *,
        trail: WindowTrail,
        on_progress: Callable[[float], None],
        should_stop: Callable[[], bool],
        is_urgent: bool = False,
    ) -> Heard:
        """Decode the windows that are not there yet. Raises Stopped."""
        if any(window.carried.get("plan") != PLAN_VERSION for window in trail.kept):
            trail.restart()  # decoded by other rules: their ends are not our beginnings
        started = time.perf_counter()
        listener = WhisperListener(
            self._model, self._network, self._decoder, audio, options, self._encoder
        )
        run = RecordingRun(speech, options, listener, trail)
        if trail.kept:
            listener.go_on(trail.kept[-1].carried)
        if speech.spans:
            self._prepare(listener, should_stop)
        self._shared.decode(
            run, should_stop=should_stop, on_progress=on_progress, is_urgent=is_urgent
        )
        spent_s = time.perf_counter() - started
        timings_s = dict(listener.timings_s)
        timings_s["decode_s"] = spent_s - sum(timings_s.values())
        return Heard(run.segments, listener.language, listener.language_probability, timings_s)

    def _prepare(self, listener: WhisperListener, should_stop: Callable[[], bool]) -> None:
        with self._share.busy():  # beside whoever drives
            torch.set_num_threads(self._share.threads())
            listener.prepare(partial(ask_to_go_on, should_stop))

    def _follow_load(self) -> None:
        now_s = time.monotonic()
        thread = get_ident()  # both libraries keep a number for each
        if thread == self._looked_for and now_s - self._looked_at_s < THREADS_LOOK_S:
            return
        self._looked_at_s, self._looked_for = now_s, thread
        threads = self._share.threads()
        torch.set_num_threads(threads)
        most = numba.config.NUMBA_NUM_THREADS  # type: ignore[attr-defined]
        numba.set_num_threads(min(threads, most))
