"""Under which rules this process calls others. Built once, from the settings."""

import socket
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property

HostAndPort = tuple[str, int]
Resolve = Callable[[str, int], Sequence[str]]


def resolve_by_system(host: str, port: int) -> list[str]:
    """The addresses of a name, as the system's resolver gives them. Raises OSError."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


@dataclass(frozen=True)
class Limits:
    """How patient one exchange is, in seconds."""

    connect_s: float = 10.0  # for the name, and again for each address that is tried
    idle_s: float = 30.0  # without a byte
    total_s: float = 300.0  # from the first look at the name to the last byte


@dataclass(frozen=True)
class Rules:
    """What is allowed beyond https to public addresses, and how names and certificates are read."""

    allowed: frozenset[HostAndPort] = frozenset()
    resolve: Resolve = resolve_by_system
    make_tls: Callable[[], ssl.SSLContext] = field(default=ssl.create_default_context)

    @cached_property
    def tls(self) -> ssl.SSLContext:
        """What certificates are checked with; made once, as reading authorities takes a while."""
        return self.make_tls()
