"""Keeps the model hosts of a machine alive, from the parent of the prefork children."""

import logging
import os
import signal
import subprocess
import threading
import time
from contextlib import suppress
from typing import Any

from domain.errors import ModelHostLost
from hosting.channel import Channel, call
from hosting.client import ask_status
from hosting.folder import HostFolder
from hosting.starting import start_host

logger = logging.getLogger(__name__)

LOOK_S = 0.5
ASK_EVERY_S = 5.0
DEAF_AFTER_S = 120.0  # a busy machine imports torch in a third of that
MAX_PAUSE_S = 10.0  # between two starts of one that dies soon


class _Place:
    """One host, as its keeper sees it."""

    def __init__(self, folder: HostFolder, number: int, deaf_after_s: float) -> None:
        self._folder = folder
        self._deaf_after_s = deaf_after_s
        self.number = number
        self._channel: Channel | None = None  # open as long as we live: so the host knows
        self._process: subprocess.Popen[bytes] | None = None
        self._reached_at = time.monotonic()
        self._asked_at = 0.0
        self._start_again_at = 0.0
        self._pause_s = LOOK_S

    @property
    def is_due(self) -> bool:
        """Whether to ask how it is: it was not for a while, or it has just gone."""
        channel = self._channel
        is_old = time.monotonic() - self._asked_at > ASK_EVERY_S
        return channel is None or is_old or channel.is_waiting(0)

    def ask(self) -> dict[str, Any]:
        """How the host is, called first if need be. Raises ModelHostLost."""
        try:
            if self._channel is None:
                self._channel = call(self._folder, self.number)
            status = ask_status(self._channel)
        except ModelHostLost:
            self.hang_up()
            raise
        self._reached_at = self._asked_at = time.monotonic()
        self._pause_s = LOOK_S
        return status

    def hang_up(self) -> None:
        """Forget the host that was there."""
        if self._channel is not None:
            self._channel.close()
        self._channel = None

    def leave(self) -> None:
        """Say that this worker ends."""
        if self._channel is not None:
            with suppress(OSError):
                self._channel.say({"do": "leave"})
        self.hang_up()

    def bring_up(self) -> None:
        """Start a host unless one starts or lives; kill one that lives and does not answer."""
        holder = self._folder.holder(self.number)
        now = time.monotonic()
        if holder is not None:
            if now - self._reached_at > self._deaf_after_s:
                self._kill(holder)
            return
        is_starting = self._process is not None and self._process.poll() is None
        if is_starting or now < self._start_again_at:
            return
        logger.info("model_host_starts", extra={"place": self.number})
        self._process = start_host("--place", str(self.number))
        self._reached_at = now
        self._start_again_at = now + self._pause_s
        self._pause_s = min(MAX_PAUSE_S, 2 * self._pause_s)

    def _kill(self, holder: int) -> None:
        logger.error("model_host_killed", extra={"place": self.number, "pid": holder})
        with suppress(ProcessLookupError):
            os.kill(holder, signal.SIGKILL)  # the kernel frees what it held


class HostKeeper:
    """Starts hosts that are missing and kills those that do not answer.

    Workers of one machine share them: whoever comes first starts a host, and it stays as long
    as one of them is there.
    """

    def __init__(self, folder: HostFolder, *, deaf_after_s: float = DEAF_AFTER_S) -> None:
        self._folder = folder
        self._deaf_after_s = deaf_after_s
        self._places = [
            _Place(folder, 0, deaf_after_s)
        ]  # the first host says how many devices there are
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="host-keeper", daemon=True)

    def start(self) -> None:
        """Keep from now on, in a thread."""
        self._thread.start()

    def leave(self) -> None:
        """Let the hosts go; they end when no other worker needs them."""
        self._ended.set()
        self._thread.join(timeout=ASK_EVERY_S)
        for place in self._places:
            place.leave()

    def _run(self) -> None:
        while True:
            for place in tuple(self._places):
                try:
                    self._look_after(place)
                except Exception:
                    logger.exception("model_host_not_kept", extra={"place": place.number})
            if self._ended.wait(LOOK_S):
                return

    def _look_after(self, place: _Place) -> None:
        if not place.is_due:
            return
        try:
            status = place.ask()
        except ModelHostLost:
            place.bring_up()
            return
        self._know_devices(status)

    def _know_devices(self, status: dict[str, Any]) -> None:
        for number in range(len(self._places), status["devices"]):
            self._places.append(_Place(self._folder, number, self._deaf_after_s))
