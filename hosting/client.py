"""A model that a host lends to this process."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, nullcontext, suppress
from dataclasses import asdict
from typing import Any

from domain.errors import EngineError, ModelHostLost, Stopped
from domain.options import TranscriptionOptions
from domain.transcript import Transcript
from domain.windows import Window, ignore_window
from engines.base import Samples
from hosting.channel import Channel, Message, call
from hosting.choice import choose_place
from hosting.folder import HostFolder, Place
from hosting.isolation import isolated_host
from hosting.samples import shared
from hosting.wire import error_of, transcript_of, window_of

HOST_START_S = 60.0  # for a host to come up on a busy machine, its import of torch included
ASK_S = 0.1  # between two questions whether to stop
STOP_PATIENCE_S = 10.0  # for what is decoded to end; the longest step is an encoder run
STATUS_S = 5.0


def _never() -> bool:
    return False


class HostedModel:
    """A lent model, as `engines.borrowing.BorrowedModel` behind a socket."""

    def __init__(self, channel: Channel, lent: Message) -> None:
        self._channel = channel
        self.model_size: str = lent["model_size"]
        self.device: str = lent["device"]

    def transcribe(
        self,
        audio: Samples,
        options: TranscriptionOptions,
        *,
        on_progress: Callable[[float], None] = lambda _: None,
        should_stop: Callable[[], bool] = _never,
        on_window: Callable[[Window], None] = ignore_window,
        resume: Sequence[Window] = (),
    ) -> Transcript:
        """As `BorrowedModel.transcribe`. Raises ModelHostLost when the host dies."""
        order = {
            "do": "transcribe",
            "options": options.to_dict(),
            "samples": len(audio),
            "resume": [asdict(window) for window in resume],
        }
        with _as_lost(), shared(audio) as descriptor:
            self._channel.say(order, descriptor)
        hearing = Hearing(self._channel, should_stop)
        while True:
            message = hearing.hear()
            match message["say"]:
                case "progress":
                    on_progress(message["share"])
                case "window":
                    on_window(window_of(message["window"]))
                case "done":
                    return transcript_of(message["transcript"])
                case "stopped":
                    raise Stopped
                case _:
                    raise _failure(message)


@contextmanager
def borrow(
    folder: HostFolder,
    model_size: str,
    timeout_s: float,
    *,
    allow_downgrade: bool = True,
    is_urgent: bool = False,
    is_suspect: bool = False,
    should_stop: Callable[[], bool] = _never,
) -> Iterator[HostedModel]:
    """Have a host of this machine lend a model for the block; the one that has it, if one has.

    What `is_suspect` gets a host of its own. Raises Stopped, ModelHostLost, and what
    `acquire_model` raises in the host.
    """
    wish = {
        "do": "borrow",
        "model_size": model_size,
        "timeout_s": timeout_s,
        "allow_downgrade": allow_downgrade,
        "is_urgent": is_urgent,
    }
    own = isolated_host(folder, should_stop) if is_suspect else nullcontext()
    with (
        own as place,
        closing(
            _call(folder, place, model_size, min(timeout_s, HOST_START_S), should_stop)
        ) as line,
    ):
        with _as_lost():
            line.say(wish)
        lent = Hearing(line, should_stop, patience_s=0.0).hear()
        if lent["say"] != "lent":
            raise _failure(lent)
        yield HostedModel(line, lent)


def describe_hosts(folder: HostFolder) -> list[dict[str, Any]]:
    """The status of every host of this machine that answers."""
    found = (_status_of(folder, place) for place in folder.places())
    return [status for status in found if status is not None]


def ask_status(channel: Channel) -> dict[str, Any]:
    """How the host at the other end is. Raises ModelHostLost."""
    with _as_lost():
        channel.say({"do": "describe"})
        if not channel.is_waiting(STATUS_S):
            raise ModelHostLost("the model host does not answer")
        return channel.hear()


class Hearing:
    """Hears what a host says. Once `should_stop` turns true the host is told, and is still heard
    for `patience_s`.
    """

    def __init__(
        self, channel: Channel, should_stop: Callable[[], bool], patience_s: float = STOP_PATIENCE_S
    ) -> None:
        self._channel = channel
        self._should_stop = should_stop
        self._patience_s = patience_s
        self._gives_up_at: float | None = None

    def hear(self) -> Message:
        """The next message. Raises Stopped, ModelHostLost."""
        try:
            with _as_lost():
                while True:
                    self._ask()
                    if self._channel.is_waiting(ASK_S):
                        return self._channel.hear()
        except ModelHostLost:
            if self._gives_up_at is None:
                raise
            raise Stopped from None  # it was to end anyhow

    def _ask(self) -> None:
        now = time.monotonic()
        if self._gives_up_at is None and self._should_stop():
            self._gives_up_at = now + self._patience_s
            self._channel.say({"do": "stop"})
        if self._gives_up_at is not None and now >= self._gives_up_at:
            raise Stopped


def _call(
    folder: HostFolder,
    place: Place | None,
    model_size: str,
    timeout_s: float,
    should_stop: Callable[[], bool],
) -> Channel:
    """Reach the host at this place, or the best one, which may have yet to come up."""
    ends_at = time.monotonic() + timeout_s
    while True:
        try:
            return call(folder, _best_place(folder, model_size) if place is None else place)
        except ModelHostLost as error:
            if time.monotonic() > ends_at:
                raise ModelHostLost(f"no model host came up in {timeout_s:.0f} s") from error
        if should_stop():
            raise Stopped
        time.sleep(ASK_S)


def _best_place(folder: HostFolder, model_size: str) -> int:
    places = folder.places()
    if len(places) == 1:
        return places[0]
    place = choose_place(describe_hosts(folder), model_size)
    if place is None:
        raise ModelHostLost("no model host listens")
    return place


def _status_of(folder: HostFolder, place: int) -> dict[str, Any] | None:
    with suppress(ModelHostLost):
        channel = call(folder, place)
        try:
            return ask_status(channel)
        finally:
            channel.close()
    return None


def _failure(message: Message) -> Exception:
    if message["say"] == "failed":
        return error_of(message["error"])
    return EngineError(f"the model host said {message['say']!r}, which means nothing here")


@contextmanager
def _as_lost() -> Iterator[None]:
    try:
        yield
    except (OSError, EOFError) as error:
        raise ModelHostLost("the process that holds the models died") from error
