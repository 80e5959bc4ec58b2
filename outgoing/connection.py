"""A connection to an address that was checked: nothing looks the name up a second time."""

import http.client
import logging
import ssl
from collections.abc import Iterator
from contextlib import contextmanager

from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    NewConnectionError,
    ReadTimeoutError,
    SSLError,
)

from outgoing.deadline import Deadline, over
from outgoing.errors import OutgoingFailed
from outgoing.names import find_addresses
from outgoing.rules import Limits, Rules
from outgoing.targets import Target

MAX_TRIES = 3  # addresses of one name


_TIMEOUTS = (TimeoutError, ReadTimeoutError, ConnectTimeoutError)
_TLS = (
    (
        (ssl.SSLCertVerificationError,),
        "certificate_invalid",
        "the other server's certificate is not valid for the host of the address",
    ),
    ((ssl.SSLError, SSLError), "tls_failed", "the other server does not speak TLS as it should"),
)
_UNREACHABLE = "connect_failed", "the other server cannot be reached"
_DURING_CONNECT = (
    *_TLS,
    ((NewConnectionError,), *_UNREACHABLE),  # before timeouts: to the library it is one
    (_TIMEOUTS, "connect_timeout", "the other server cannot be reached in time"),
    ((OSError,), *_UNREACHABLE),
)
_LATER = (
    *_TLS,
    (_TIMEOUTS, "idle_timeout", "the other server sent nothing for too long"),
    (
        (ConnectionError, http.client.IncompleteRead),
        "connection_lost",
        "the other server broke the connection off",
    ),
    ((http.client.HTTPException,), "protocol_error", "the other server does not speak HTTP"),
)


def _says_no_address(record: logging.LogRecord) -> bool:
    # The library repeats the whole URL, secrets and all, when an answer's head is malformed.
    return not str(record.msg).startswith("Failed to parse headers")


logging.getLogger("urllib3.connection").addFilter(_says_no_address)


def connect(target: Target, rules: Rules, limits: Limits, deadline: Deadline) -> HTTPConnection:
    """Connect to one of the target's addresses, all of which were checked before.

    The name in the Host header, in TLS and in the certificate stays the target's; no setting
    of a proxy is looked at. Raises AddressRefused, OutgoingFailed.
    """
    addresses = find_addresses(target, rules, timeout_s=deadline.left_s(limits.connect_s))
    failure = OutgoingFailed("connect_failed", "the other server cannot be reached")
    for address in addresses[:MAX_TRIES]:
        try:
            return _connect_to(address, target, rules, deadline, limits)
        except OutgoingFailed as error:
            failure = error
    raise failure


def _connect_to(
    address: str, target: Target, rules: Rules, deadline: Deadline, limits: Limits
) -> HTTPConnection:
    timeout_s = deadline.left_s(limits.connect_s)
    connection = (
        HTTPSConnection(
            address,
            target.port,
            timeout=timeout_s,
            server_hostname=target.host,
            ssl_context=rules.tls,
        )
        if target.scheme == "https"
        else HTTPConnection(address, target.port, timeout=timeout_s)
    )
    try:
        with translated(deadline, during_connect=True):
            connection.connect()
        deadline.arm(connection.sock)
    except BaseException:
        connection.close()
        raise
    connection.timeout = limits.idle_s
    connection.sock.settimeout(limits.idle_s)
    return connection


@contextmanager
def translated(deadline: Deadline, *, during_connect: bool = False) -> Iterator[None]:
    """Raise OutgoingFailed for whatever the network and its libraries raise."""
    try:
        yield
    except (HTTPError, http.client.HTTPException, OSError) as error:
        raise _explain(error, deadline, during_connect=during_connect) from error


def _explain(error: Exception, deadline: Deadline, *, during_connect: bool) -> OutgoingFailed:
    if deadline.is_over:
        return over()
    # The libraries wrap what happened, some as a cause and some as an argument.
    causes = (error, error.__cause__, *error.args)
    for kinds, reason, message in _DURING_CONNECT if during_connect else _LATER:
        if any(isinstance(cause, kinds) for cause in causes):
            return OutgoingFailed(reason, message)
    return OutgoingFailed("connection_lost", "the other server broke the connection off")
