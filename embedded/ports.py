"""TCP ports: which are free, and which one a data folder used last time."""

import json
import random
import socket
from pathlib import Path

from domain.errors import ConfigurationError
from embedded.credentials import write_private

LOOPBACK = "127.0.0.1"
# Below 32768, where Linux takes the ports of outgoing connections from: a port that is
# free now stays free until the server binds it.
PORT_RANGE = range(20_000, 32_000)
ATTEMPTS = 200
NEIGHBOURS = 50


def is_free(port: int, host: str = LOOPBACK) -> bool:
    """Say whether a server could listen on this port now."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        # As servers do: a port whose last connections are in TIME_WAIT counts as free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
            probe.listen(1)
        except OSError:
            return False
    return True


def free_port() -> int:
    """Draw a free loopback port from PORT_RANGE. Raises ConfigurationError when none is found."""
    for _ in range(ATTEMPTS):
        port = random.choice(PORT_RANGE)  # noqa: S311 - not a secret
        if is_free(port):
            return port
    raise ConfigurationError(f"no free port between {PORT_RANGE.start} and {PORT_RANGE.stop}")


def next_free_port(wanted: int, host: str = LOOPBACK) -> int:
    """The first free port from `wanted` upwards. Raises ConfigurationError after NEIGHBOURS."""
    for port in range(wanted, min(wanted + NEIGHBOURS, 65_536)):
        if is_free(port, host):
            return port
    raise ConfigurationError(f"no free port from {wanted} to {wanted + NEIGHBOURS - 1} on {host}")


def remembered_port(path: Path, name: str) -> int:
    """The port that `name` had last time when it is still free, else a new one, noted in `path`.

    A steady port keeps bookmarks, shells and dumps working from one start to the next.
    """
    try:
        known = dict(json.loads(path.read_text()))
    except (OSError, ValueError, TypeError):
        known = {}
    port = known.get(name)
    if not isinstance(port, int) or not is_free(port):
        port = free_port()
        path.parent.mkdir(parents=True, exist_ok=True)
        write_private(path, json.dumps({**known, name: port}) + "\n")
    return port
