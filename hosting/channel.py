"""What a child and a model host say to each other: JSON over an authenticated local socket.

JSON, and not pickle: whoever got hold of the key could run no code with it.
"""

import json
import socket
from contextlib import suppress
from multiprocessing import AuthenticationError
from multiprocessing.connection import (
    Client,
    Connection,
    answer_challenge,
    deliver_challenge,
)
from multiprocessing.reduction import recv_handle, send_handle
from threading import Lock
from typing import Any

from domain.errors import ModelHostLost
from hosting.folder import HostFolder, Place

HANDSHAKE_S = 5.0  # a host that is frozen or overwhelmed takes longer
MAX_MESSAGE_BYTES = 1 << 28  # hours of windows with words are a few dozen MB

Message = dict[str, Any]  # `do` says what is wished, `say` what is answered


class Channel:
    """One connection. Many threads may say something, one may listen."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._saying = Lock()

    def say(self, message: Message, descriptor: int | None = None) -> None:
        """Send a message, and behind it an open file. Raises OSError when nobody is there."""
        content = json.dumps(message, default=str).encode()
        with self._saying:
            self._connection.send_bytes(content)
            if descriptor is not None:
                send_handle(self._connection, descriptor, None)

    def is_waiting(self, timeout_s: float) -> bool:
        """Whether there is something to hear, or nobody left to say it, within this time."""
        return self._connection.poll(timeout_s)

    def hear(self) -> Message:
        """The next message. Raises EOFError or OSError when the other side is gone."""
        message: Message = json.loads(self._connection.recv_bytes(MAX_MESSAGE_BYTES))
        return message

    def hear_descriptor(self) -> int:
        """The open file that was sent behind the last message; the caller closes it."""
        descriptor: int = recv_handle(self._connection)
        return descriptor

    def end(self) -> None:
        """Let whoever listens, on either side, hear that nothing more comes."""
        with (
            suppress(OSError),
            socket.fromfd(self._connection.fileno(), socket.AF_UNIX, socket.SOCK_STREAM) as line,
        ):
            line.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Hang up; nobody may be listening any more."""
        self._connection.close()


def call(folder: HostFolder, place: Place) -> Channel:
    """Reach the host of a place. Raises ModelHostLost when it does not answer."""
    try:
        connection = Client(str(folder.socket(place)), "AF_UNIX")
    except OSError as error:
        raise ModelHostLost("no model host listens") from error
    try:
        _introduce(connection, folder.key)
    except BaseException:
        connection.close()
        raise
    return Channel(connection)


def _introduce(connection: Connection, key: bytes) -> None:
    if not connection.poll(HANDSHAKE_S):
        raise ModelHostLost("the model host does not answer")
    try:
        answer_challenge(connection, key)
        deliver_challenge(connection, key)
    except (OSError, EOFError, AuthenticationError) as error:
        raise ModelHostLost("the model host ended the call") from error


def answer(connection: Connection, key: bytes) -> Channel:
    """Let a caller prove itself. Raises AuthenticationError, EOFError, OSError."""
    deliver_challenge(connection, key)
    answer_challenge(connection, key)
    return Channel(connection)
