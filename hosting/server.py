"""A model host: one process that holds the models of one device for all children."""

import logging
import math
import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from multiprocessing import AuthenticationError
from multiprocessing.connection import Connection, Listener
from typing import Any

from hosting.channel import Channel, answer
from hosting.folder import HostFolder, Place
from hosting.session import Lend, Session

logger = logging.getLogger(__name__)

BACKLOG = 128
LINGER_S = 10.0  # without any caller: a worker that was killed starts again sooner than that
LOOK_S = 0.2


class ModelHost:
    """Serves callers at one place until nobody has called for LINGER_S, or it is told to end."""

    def __init__(
        self,
        folder: HostFolder,
        place: Place,
        *,
        lend: Lend,
        describe: Callable[[], dict[str, Any]],
        linger_s: float = LINGER_S,
        stuck_after_s: float = math.inf,
    ) -> None:
        """`lend` is `acquire_model` of this process's pool; `describe` tells about it. Work that
        goes on `stuck_after_s` after it was asked to stop ends the host.
        """
        self._folder = folder
        self._place = place
        self._lend = lend
        self._describe = describe
        self._linger_s = linger_s
        self._stuck_after_s = stuck_after_s
        self._lock = threading.Lock()
        self._sessions: set[Session] = set()
        self._callers = 0
        self._alone_since = time.monotonic()
        self._ends_at = math.inf
        self._has_ended = threading.Event()

    def end(self, grace_s: float = 0.0) -> None:
        """End when the last caller has hung up, or after `grace_s`. Safe in a signal handler."""
        self._linger_s = 0.0
        self._ends_at = time.monotonic() + grace_s

    @property
    def is_stuck(self) -> bool:
        """Whether something goes on here that was to end long ago."""
        return self._ignored_s() > self._stuck_after_s

    def run(self) -> None:
        """Serve. The caller holds the place, and ends the process if it `is_stuck` afterwards."""
        path = self._folder.socket(self._place)
        path.unlink(missing_ok=True)  # of a host that was killed
        with Listener(str(path), "AF_UNIX", backlog=BACKLOG) as listener:
            threading.Thread(
                target=self._accept, args=(listener,), name="host-accepts", daemon=True
            ).start()
            logger.info("model_host_listens", extra={"place": self._place})
            while self._goes_on():
                time.sleep(LOOK_S)
            self._has_ended.set()

    def status(self) -> dict[str, Any]:
        """How it is, as plain JSON types."""
        with self._lock:
            sessions = len(self._sessions)
        return {
            **self._describe(),
            "pid": os.getpid(),
            "place": self._place,
            "sessions": sessions,
            "ignored_s": self._ignored_s(),
        }

    def _goes_on(self) -> bool:
        is_needed = self._alone_s() <= self._linger_s
        return is_needed and time.monotonic() < self._ends_at and not self.is_stuck

    def _ignored_s(self) -> float:
        """How long anything has gone on since it was asked to stop."""
        with self._lock:
            return max((session.ignored_s for session in self._sessions), default=0.0)

    def _alone_s(self) -> float:
        with self._lock:
            return 0.0 if self._callers else time.monotonic() - self._alone_since

    def _accept(self, listener: Listener) -> None:
        while not self._has_ended.is_set():
            try:
                connection = listener.accept()
            except OSError as error:  # out of descriptors, or the listener was closed
                logger.warning("call_not_taken", extra={"reason": str(error)})
                self._has_ended.wait(LOOK_S)
                continue
            threading.Thread(
                target=self._serve, args=(connection,), name="host-session", daemon=True
            ).start()

    def _serve(self, connection: Connection) -> None:
        with self._lock:
            self._callers += 1
        try:
            self._attend(answer(connection, self._folder.key))
        except AuthenticationError:
            logger.warning("caller_refused")
        except (EOFError, OSError):
            logger.debug("caller_left")
        except Exception:
            logger.exception("caller_not_understood")
        finally:
            with suppress(OSError):
                connection.close()
            with self._lock:
                self._callers -= 1
                self._alone_since = time.monotonic()

    def _attend(self, channel: Channel) -> None:
        while (wish := channel.hear())["do"] == "describe":
            channel.say({"say": "status", **self.status()})
        if wish["do"] == "leave":
            self._linger_s = 0.0  # the last worker of this machine ends
            return
        session = Session(channel, self._lend)
        with self._lock:
            self._sessions.add(session)
        try:
            session.serve(wish)
        finally:
            with self._lock:
                self._sessions.discard(session)
