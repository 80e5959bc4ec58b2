"""An engine without a network: the same promise, an answer that follows from the samples."""

import os
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from threading import Event, Lock
from time import monotonic
from typing import Any, Self

from domain.errors import EngineError, OutOfMemory, Stopped
from domain.options import TranscriptionOptions
from domain.transcript import Segment, Transcript, Word
from domain.windows import Window, ignore_window
from engines.base import SAMPLE_RATE_HZ, Engine, LoadedModel, Samples
from engines.model_facts import weights_mb
from engines.silence import UNDETERMINED, is_silent, warnings_about
from engines.window_trail import WindowTrail

ENGINE_NAME = "fake"
WINDOW_SAMPLES = 30 * SAMPLE_RATE_HZ
FRAME_SAMPLES = SAMPLE_RATE_HZ // 100  # of a mel frame, the unit of `Segment.seek`
PROMPT_PREFIX = "fake:"
SWITCHES = frozenset({"fails", "hangs", "hangs_hard", "dies"})
ASK_INTERVAL_S = 0.02


@dataclass(frozen=True)
class FakeScript:
    """What the fake does wrong, and how fast it is."""

    rtfx: float = 0.0  # audio seconds per second; 0: at once
    no_room_to_load: frozenset[tuple[str, str]] = frozenset()  # (model_size, device)
    no_room_to_decode: frozenset[tuple[str, str]] = frozenset()  # after the first window
    fails: bool = False  # with an EngineError, after the first window of every attempt
    fails_after: int = 0  # windows of the recording; whoever resumes there gets past it; 0: never
    hangs: bool = False  # until it is told to stop
    hangs_hard: bool = False  # for ever, and asks nobody
    batch_size: int = 1  # windows that it says it decodes side by side
    fitting_batch: int = 0  # with more than these it runs out of memory; 0: never
    dies: bool = False  # and its process with it, after the first window of every attempt

    def with_prompt(self, prompt: str | None) -> Self:
        """Follow orders in an initial prompt, as `fake: hangs` or `fake: rtfx=10 fails_after=2`.

        So that a test can steer a fake in another process, through the API.
        """
        if not prompt or not prompt.startswith(PROMPT_PREFIX):
            return self
        orders: dict[str, Any] = {}
        for order in prompt.removeprefix(PROMPT_PREFIX).split():
            name, _, value = order.partition("=")
            if name in SWITCHES:
                orders[name] = True
            elif name == "rtfx":
                orders[name] = float(value)
            elif name == "fails_after":
                orders[name] = int(value)
            elif name == "no_room_to_decode":
                orders[name] = orders.get(name, self.no_room_to_decode) | {(value, "cpu")}
        return replace(self, **orders)


class FakeEngine:
    """One "loaded" fake. It says how many windows it heard, thirty seconds each."""

    def __init__(self, info: LoadedModel, script: FakeScript, *, max_borrowers: int) -> None:
        self.info = info
        self.max_borrowers = max_borrowers
        self._script = script
        self._batch_size = script.batch_size
        self._shrinking = Lock()

    @property
    def memory_mb(self) -> float:
        """As the real engine's weights; it takes none."""
        return self.info.memory_mb

    def shrink_batch(self, below: int) -> bool:
        """As `Engine.shrink_batch` promises, down to one."""
        with self._shrinking:
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
        is_urgent: bool = False,  # noqa: ARG002 - nobody waits for a fake
    ) -> Transcript:
        """As `Engine.transcribe` promises: one segment for each audible window."""
        script = self._script.with_prompt(options.initial_prompt)
        batch_size = self._batch_size
        trail = WindowTrail(resume, on_window, engine=ENGINE_NAME, model=self.info.model_size)
        segments = trail.segments
        for first in range(trail.next_seek * FRAME_SAMPLES, len(audio), WINDOW_SAMPLES):
            window = audio[first : first + WINDOW_SAMPLES]
            self._spend_time(window, script, should_stop)
            known = len(segments)
            if not is_silent(window):
                segments.append(_segment(known, first, window, options))
            end = first + len(window)
            if end < len(audio):
                trail.add(end // FRAME_SAMPLES, segments[known:])
            self._go_wrong(script, batch_size, windows_done=first // WINDOW_SAMPLES + 1)
            on_progress(end / len(audio))
        has_speech = bool(segments)
        return Transcript(
            segments=tuple(segments),
            language=options.language or ("en" if has_speech else UNDETERMINED),
            language_probability=0.99 if has_speech and options.language is None else None,
            task=options.task,
            duration_s=len(audio) / SAMPLE_RATE_HZ,
            model_requested=options.model_size,
            model_used=self.info.model_size,
            engine=ENGINE_NAME,
            device=self.info.device,
            warnings=warnings_about(audio),
            timings_s={"decode_s": 0.0},
        )

    def _spend_time(
        self, window: Samples, script: FakeScript, should_stop: Callable[[], bool]
    ) -> None:
        takes_s = len(window) / SAMPLE_RATE_HZ / script.rtfx if script.rtfx else 0.0
        ends_s = monotonic() + takes_s
        pause = Event()
        while script.hangs_hard:
            pause.wait()
        while True:
            if should_stop():
                raise Stopped
            if not script.hangs and monotonic() >= ends_s:
                return
            pause.wait(ASK_INTERVAL_S)

    def _go_wrong(self, script: FakeScript, batch_size: int, *, windows_done: int) -> None:
        size, device = self.info.model_size, self.info.device
        if (size, device) in script.no_room_to_decode or 0 < script.fitting_batch < batch_size:
            reason = f"not enough memory on {device} for {size}"
            raise OutOfMemory(reason, device=device, batch_size=batch_size)
        if script.dies:
            os.kill(os.getpid(), signal.SIGKILL)
        if script.fails or windows_done == script.fails_after:
            raise EngineError("the fake engine was told to fail")


class FakeLoader:
    """Loads fakes and keeps a list of what was asked of it."""

    name = ENGINE_NAME

    def __init__(
        self,
        script: FakeScript | None = None,
        *,
        devices: tuple[str, ...] = ("cpu",),
        absent: frozenset[str] = frozenset(),
        max_borrowers: int = 64,
    ) -> None:
        self.script = script or FakeScript()
        self._max_borrowers = max_borrowers
        self.loads: list[tuple[str, str]] = []
        self.unloads: list[Engine] = []
        self._devices = devices
        self._absent = absent

    def load(self, model_size: str, device: str) -> FakeEngine:
        """A fake of that size. Raises OutOfMemory when the script says so."""
        self.loads.append((model_size, device))
        if (model_size, device) in self.script.no_room_to_load:
            raise OutOfMemory(f"not enough memory on {device} for {model_size}", device=device)
        info = LoadedModel(model_size, device, self.estimate_mb(model_size, device))
        return FakeEngine(info, self.script, max_borrowers=self._max_borrowers)

    def unload(self, engine: Engine) -> None:
        """Note that the engine was dropped."""
        self.unloads.append(engine)

    def devices(self) -> list[str]:
        """The devices it was made with."""
        return list(self._devices)

    def estimate_mb(self, model_size: str, device: str) -> float:
        """As the real engine's weights."""
        return weights_mb(model_size, bytes_per_weight=4 if device == "cpu" else 2)

    def is_present(self, model_size: str) -> bool:
        """All but the ones it was told to miss."""
        return model_size not in self._absent


def _segment(number: int, first: int, window: Samples, options: TranscriptionOptions) -> Segment:
    start_s = first / SAMPLE_RATE_HZ
    end_s = start_s + len(window) / SAMPLE_RATE_HZ
    spoken = (" Window", f" {first // WINDOW_SAMPLES + 1}.")
    middle_s = (start_s + end_s) / 2
    words = (
        Word(spoken[0], start_s, middle_s, 0.9),
        Word(spoken[1], middle_s, end_s, 0.8),
    )
    return Segment(
        id=number,
        seek=first // FRAME_SAMPLES,
        start=start_s,
        end=end_s,
        text="".join(spoken),
        tokens=(1, number + 2),
        temperature=options.temperature or 0.0,
        avg_logprob=-0.25,
        compression_ratio=1.0,
        no_speech_prob=0.01,
        words=words if options.word_timestamps else None,
    )
