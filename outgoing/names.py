"""A name becomes addresses once, in time, and every one of them is checked."""

import queue
import threading
from contextlib import suppress
from ipaddress import IPv4Address, IPv6Address, ip_address

from outgoing.addresses import may_connect
from outgoing.errors import AddressRefused, OutgoingFailed
from outgoing.rules import Resolve, Rules
from outgoing.targets import Target

MAX_ADDRESSES = 32  # more is nobody's honest answer


def find_addresses(target: Target, rules: Rules, *, timeout_s: float) -> list[str]:
    """Addresses to connect to, in the resolver's order.

    One that may not be connected to spoils them all: otherwise a name could hide a private
    address behind a public one. Raises AddressRefused, OutgoingFailed.
    """
    found = _read_address(target.host)
    addresses = [found] if found else _look_up(target, rules, timeout_s)
    if not all(may_connect(address, is_own_allowed=target.is_named) for address in addresses):
        raise AddressRefused(
            "address_not_public", "the host of the address is not on the public internet"
        )
    return [str(address) for address in addresses]


def _look_up(target: Target, rules: Rules, timeout_s: float) -> list[IPv4Address | IPv6Address]:
    try:
        texts = _within(rules.resolve, target, timeout_s)
    except (OSError, UnicodeError) as error:
        raise _not_found() from error
    addresses = [_read_address(text) for text in texts]
    if not addresses:
        raise _not_found()
    if None in addresses or len(addresses) > MAX_ADDRESSES:
        raise AddressRefused("host_refused", "the host of the address has odd addresses")
    return [address for address in addresses if address]


def _within(resolve: Resolve, target: Target, timeout_s: float) -> list[str]:
    """What the resolver says. It knows no deadline of its own, so it is left behind if need be."""
    answer: queue.SimpleQueue[list[str] | Exception] = queue.SimpleQueue()

    def ask() -> None:
        try:
            answer.put(list(resolve(target.host, target.port)))
        except Exception as error:  # noqa: BLE001 - raised again by the one who waits
            answer.put(error)

    threading.Thread(target=ask, daemon=True, name="resolve").start()
    with suppress(queue.Empty):
        found = answer.get(timeout=timeout_s)
        if isinstance(found, Exception):
            raise found
        return found
    raise OutgoingFailed("connect_timeout", "the host's name could not be looked up in time")


def _read_address(text: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(text)
    except ValueError:
        return None


def _not_found() -> OutgoingFailed:
    return OutgoingFailed("name_not_found", "the host of the address has no address")
