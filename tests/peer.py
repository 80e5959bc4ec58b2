"""Other people's servers, on loopback: each answers as the test says, also badly."""

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

# A key and a certificate for files.test, other.test and localhost, until 2126. No secret.
CERTIFICATE = Path(__file__).parent / "integration" / "outgoing" / "files.test.pem"

TLS_HANDSHAKE = b"\x16"  # the first byte of all that TLS says first
READ_BYTES = 64 * 1024

Script = Callable[["Request", socket.socket], None]


@dataclass(frozen=True)
class Request:
    """What arrived."""

    line: str
    headers: dict[str, str]  # names in small letters
    body: bytes


@dataclass
class Peer:
    """A server that listens."""

    port: int
    requests: list[Request] = field(default_factory=list)
    is_over: threading.Event = field(default_factory=threading.Event)


def trust_in_peers() -> ssl.SSLContext:
    """What to check certificates with, so that those of peers are good."""
    return ssl.create_default_context(cafile=str(CERTIFICATE))


@contextmanager
def peer(script: Script, *, is_tls: bool = True) -> Iterator[Peer]:
    """A server whose every connection is answered by `script`, and then closed."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        served = Peer(listener.getsockname()[1])
        tls = _server_tls() if is_tls else None
        threading.Thread(target=_serve, args=(listener, tls, script, served), daemon=True).start()
        try:
            yield served
        finally:
            served.is_over.set()
            with suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)


def answer(
    body: bytes = b"", status: str = "200 OK", *, length: int | None = None, **headers: str
) -> Script:
    """A script that says this; underscores in names of headers stand for hyphens."""
    lines = [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    announced = len(body) if length is None else length
    head = "\r\n".join([f"HTTP/1.1 {status}", f"Content-Length: {announced}", *lines, "", ""])

    def say(_: Request, connection: socket.socket) -> None:
        connection.sendall(head.encode() + body)

    return say


def redirect(location: str, status: str = "302 Found") -> Script:
    """A script that sends callers elsewhere."""
    return answer(status=status, Location=location)


def drip(first: bytes, again: bytes, served: Callable[[], Peer]) -> Script:
    """A script that sends `first` and then, every 20 ms, `again`: until the caller has enough."""

    def say(_: Request, connection: socket.socket) -> None:
        connection.sendall(first)
        while not served().is_over.wait(0.02):
            connection.sendall(again)

    return say


def _server_tls() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE)
    return context


def _serve(
    listener: socket.socket, tls: ssl.SSLContext | None, script: Script, served: Peer
) -> None:
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:  # the test is over
            return
        threading.Thread(target=_talk, args=(connection, tls, script, served), daemon=True).start()


def _talk(
    connection: socket.socket, tls: ssl.SSLContext | None, script: Script, served: Peer
) -> None:
    with suppress(OSError), connection:  # a caller may hang up whenever it likes
        spoken = tls.wrap_socket(connection, server_side=True) if tls else connection
        with spoken:
            request = _read(spoken)
            served.requests.append(request)
            script(request, spoken)


def _read(connection: socket.socket) -> Request:
    """The request; an empty one when a caller speaks TLS to a server that does not."""
    is_plain = not isinstance(connection, ssl.SSLSocket)
    if is_plain and connection.recv(1, socket.MSG_PEEK) == TLS_HANDSHAKE:
        connection.recv(READ_BYTES)
        return Request("", {}, b"")
    with connection.makefile("rb") as stream:
        line = stream.readline().decode("latin-1").strip()
        headers = {}
        while text := stream.readline().decode("latin-1").strip():
            name, _, value = text.partition(":")
            headers[name.lower()] = value.strip()
        body = stream.read(int(headers.get("content-length", 0)))
    return Request(line, headers, body)
