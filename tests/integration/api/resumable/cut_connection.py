"""A wire between a client and a server that breaks after so many bytes."""

import socket
import threading
from contextlib import contextmanager, suppress
from urllib.parse import urlsplit

BLOCK_BYTES = 16_384


@contextmanager
def breaking_wire(address, *, after_bytes):
    """An address that leads to the server at `address`, once, until the client has sent so much."""
    target = urlsplit(address)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        carrier = threading.Thread(
            target=_carry, args=(listener, (target.hostname, target.port), after_bytes), daemon=True
        )
        carrier.start()
        yield f"http://127.0.0.1:{port}"
    carrier.join(30)


def _carry(listener, target, after_bytes):
    client, _ = listener.accept()
    with client, socket.create_connection(target) as server:
        left = after_bytes
        while left and (block := client.recv(min(BLOCK_BYTES, left))):
            server.sendall(block)
            left -= len(block)
        for end in (client, server):
            with suppress(OSError):  # it is closed already
                end.shutdown(socket.SHUT_RDWR)
