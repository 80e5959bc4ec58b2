"""A model in one borrower's hands, and the way down when memory runs short."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Protocol

from domain.errors import OutOfMemory, Stopped
from domain.options import TranscriptionOptions
from domain.transcript import Transcript
from domain.windows import Window, ignore_window
from engines.base import Samples
from engines.ladder import Descent
from engines.pool_records import ModelInstance


class Lender(Protocol):
    """What a borrower needs of the model pool."""

    def descend(self, descent: Descent, timeout: float) -> ModelInstance:
        """Lend what the descent stands at, or what lies below it."""
        ...

    def fallback_while_decoding(
        self, descent: Descent, instance: ModelInstance, error: OutOfMemory
    ) -> bool:
        """Take the next rung; True when the model stays in hand, otherwise it was taken back."""
        ...

    def release(self, instance: ModelInstance) -> None:
        """Take a sound model back."""
        ...

    def discard(self, instance: ModelInstance) -> None:
        """Take a model back that must not be lent again."""
        ...


class _Decoded:
    """The windows there are, which may change hands: what the keeper of `on_window` has, too."""

    def __init__(self, resume: Sequence[Window], on_window: Callable[[Window], None]) -> None:
        self.windows = list(resume)
        self._on_window = on_window

    def add(self, window: Window) -> None:
        # A number that was there before: an engine started again.
        self.windows[window.number :] = [window]
        self._on_window(window)


class BorrowedModel:
    """A model in one borrower's hands. It may change under the way: see `fallbacks`."""

    def __init__(
        self, pool: Lender, descent: Descent, timeout: float, *, is_urgent: bool = False
    ) -> None:
        self._pool = pool
        self._is_urgent = is_urgent
        self._descent = descent
        self._timeout = timeout
        self._instance: ModelInstance | None = pool.descend(descent, timeout)
        self._is_trusted = True

    @property
    def model_size(self) -> str:
        """The model in hand, which may be smaller than the one asked for."""
        return self._descent.model_size

    @property
    def device(self) -> str:
        """Where that model runs."""
        return self._descent.device

    def transcribe(
        self,
        audio: Samples,
        options: TranscriptionOptions,
        *,
        on_progress: Callable[[float], None] = lambda _: None,
        should_stop: Callable[[], bool] = lambda: False,
        on_window: Callable[[Window], None] = ignore_window,
        resume: Sequence[Window] = (),
    ) -> Transcript:
        """Return the transcript, with every rung that memory forced in `fallbacks`.

        A fallback to another model reads the recording from its start again, so that one model
        wrote all of it; the same model with a smaller batch, with more room, or on another device
        goes on after the windows it has. Raises Stopped, OutOfMemory, ModelPoolExhausted,
        EngineError.
        """
        self._descent.options = options
        if self._descent.fallbacks and not self._descent.can_do(self.model_size):
            raise OutOfMemory(
                "no model that fits into memory can do what the job asks for",
                model_requested=self._descent.requested,
            )
        decoded = _Decoded(resume, on_window)
        while True:
            instance = self._instance or self._pool.descend(self._descent, self._timeout)
            self._instance = instance
            self._is_trusted = False
            try:
                transcript = instance.model.transcribe(
                    audio,
                    options,
                    on_progress=on_progress,
                    should_stop=should_stop,
                    on_window=decoded.add,
                    resume=tuple(decoded.windows),
                    is_urgent=self._is_urgent,
                )
            except OutOfMemory as error:
                # Without its traceback, which holds what fills the memory.
                shortage = error.with_traceback(None)
            except Stopped:
                self._is_trusted = True
                raise
            else:
                self._is_trusted = True
                return self._signed(transcript)
            self._instance = None
            if self._pool.fallback_while_decoding(self._descent, instance, shortage):
                self._instance = instance

    def give_back(self) -> None:
        """Return the model to the pool; one that failed in an unknown way is unloaded."""
        instance, self._instance = self._instance, None
        if instance is None:
            return
        if self._is_trusted:
            self._pool.release(instance)
        else:
            self._pool.discard(instance)

    def _signed(self, transcript: Transcript) -> Transcript:
        return replace(
            transcript,
            model_requested=self._descent.requested,
            model_used=self.model_size,
            fallbacks=tuple(self._descent.fallbacks),
        )
