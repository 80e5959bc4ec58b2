"""One caller of a model host, from its first word until it hangs up."""

import logging
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import asdict
from queue import SimpleQueue
from threading import Event, Thread
from typing import Any

from domain.errors import Stopped
from domain.options import TranscriptionOptions
from engines.base import Samples
from engines.borrowing import BorrowedModel
from hosting.channel import Channel, Message
from hosting.client import HostedModel
from hosting.samples import open_shared
from hosting.wire import plain_error, window_of

logger = logging.getLogger(__name__)

LentModel = BorrowedModel | HostedModel
Lend = Callable[..., AbstractContextManager[LentModel]]  # as model_pool.acquire_model


class Session:
    """Lends one model to one caller. What it decodes ends when the caller says so or is gone.

    Three threads: this one decodes or waits for somebody who decodes on its behalf, one
    listens, one speaks. So neither a caller that is frozen nor one that asks for a stop ever
    waits for, or holds up, the decoding of others.
    """

    def __init__(self, channel: Channel, lend: Lend) -> None:
        self._channel = channel
        self._lend = lend
        self._stop_asked = Event()
        self._stop_asked_at: float | None = None
        self._is_decoding = False
        self._works: SimpleQueue[tuple[Message, Samples] | None] = SimpleQueue()
        self._answers: SimpleQueue[Message | None] = SimpleQueue()

    @property
    def ignored_s(self) -> float:
        """How long decoding has gone on since it was asked to stop; 0 while it was not. To load
        a model is not meant: it may fetch gigabytes.
        """
        asked_at = self._stop_asked_at
        if asked_at is None or not self._is_decoding:
            return 0.0
        return time.monotonic() - asked_at

    def serve(self, wish: Message) -> None:
        """Lend what the wish names until the caller hangs up."""
        speaker = Thread(target=self._speak, name="host-speaks", daemon=True)
        speaker.start()
        listener = Thread(target=self._listen, name="host-listens", daemon=True)
        listener.start()
        try:
            with self._lend(
                wish["model_size"],
                wish["timeout_s"],
                allow_downgrade=wish["allow_downgrade"],
                is_urgent=wish["is_urgent"],
            ) as model:
                self._say("lent", model_size=model.model_size, device=model.device)
                while (work := self._works.get()) is not None:
                    self._transcribe(model, *work)
        except Exception as error:  # noqa: BLE001 - the caller's to handle and to report
            self._say("failed", error=plain_error(error))
        finally:
            self._answers.put(None)
            speaker.join()
            self._channel.end()
            listener.join()

    def _transcribe(self, model: LentModel, order: Message, samples: Samples) -> None:
        self._is_decoding = True
        try:
            transcript = model.transcribe(
                samples,
                TranscriptionOptions.from_dict(order["options"]),
                on_progress=lambda share: self._say("progress", share=share),
                should_stop=self._stop_asked.is_set,
                on_window=lambda window: self._say("window", window=asdict(window)),
                resume=tuple(map(window_of, order["resume"])),
            )
        except Stopped:
            self._say("stopped")
        else:
            self._say("done", transcript=asdict(transcript))
        finally:
            self._is_decoding = False

    def _listen(self) -> None:
        try:
            while True:
                order = self._channel.hear()
                if order["do"] == "stop":
                    self._ask_to_stop()
                else:
                    samples = open_shared(self._channel.hear_descriptor(), order["samples"])
                    self._works.put((order, samples))
        except (EOFError, OSError):
            logger.debug("caller_left")
        except Exception:
            logger.exception("caller_not_understood")
        finally:
            self._ask_to_stop()
            self._works.put(None)

    def _ask_to_stop(self) -> None:
        if not self._stop_asked.is_set():
            self._stop_asked_at = time.monotonic()
            self._stop_asked.set()

    def _say(self, what: str, **facts: Any) -> None:
        self._answers.put({"say": what, **facts})

    def _speak(self) -> None:
        is_heard = True
        while (message := self._answers.get()) is not None:
            if not is_heard:
                continue  # the queue is emptied, or it would hold what nobody reads
            try:
                self._channel.say(message)
            except OSError:
                is_heard = False
