"""Ask somebody else's server: `get_stream` for what is to be kept, `post` for what is to be told.

Both refuse addresses by the same rules (outgoing/addresses.py, outgoing/targets.py), end at
`Limits.total_s` at the latest, follow no redirect by themselves and hold no connection.
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from time import monotonic

from urllib3.response import HTTPResponse

from outgoing.connection import connect, translated
from outgoing.deadline import Deadline, over
from outgoing.errors import AddressRefused, OutgoingFailed
from outgoing.rules import Limits, Rules
from outgoing.targets import Target, check_url, follow

MAX_REDIRECTS = 5
READ_BYTES = 256 * 1024
REDIRECTS = (301, 302, 303, 307, 308)
USER_AGENT = "Scriptorium"

# These are this module's to say; another value could make two readers of one request differ.
OWN_HEADERS = frozenset(
    {"host", "content-length", "transfer-encoding", "connection", "accept-encoding", "te"}
    | {"upgrade", "expect", "trailer", "proxy-authorization", "proxy-connection", "keep-alive"}
)
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_HEADER_VALUE = re.compile(r"[\x20-\x7e\t]*")


class Answer:
    """An answer whose head was read; the body comes by `chunks`, as it arrives."""

    def __init__(self, response: HTTPResponse, target: Target, deadline: Deadline) -> None:
        self.status = response.status
        self.origin = target.origin  # of the server that answered, after redirects
        self.path = target.path
        self._response = response
        self._deadline = deadline

    def header(self, name: str) -> str | None:
        """A header's value, whatever the case of its name; None when it did not come."""
        value: str | None = self._response.headers.get(name)
        return value

    def headers(self) -> dict[str, str]:
        """All of them, by names in small letters."""
        return {name.lower(): value for name, value in self._response.headers.items()}

    def chunks(self, size_bytes: int = READ_BYTES) -> Iterator[bytes]:
        """The body as it was sent, never unpacked; the caller bounds how much it takes.

        Raises OutgoingFailed when it ends before it is whole, or too late.
        """
        while True:
            with translated(self._deadline):
                data = self._response.read1(size_bytes, decode_content=False)
            if not data:
                break
            yield data
        if self._deadline.is_over:  # cut by us, which looks like an end
            raise over()


@dataclass(frozen=True)
class PostAnswer:
    """How a `post` was answered."""

    status: int
    body: bytes  # the beginning of it
    headers: Mapping[str, str]  # names in small letters
    elapsed_s: float


@contextmanager
def get_stream(url: str, rules: Rules, limits: Limits, *, accept: str = "*/*") -> Iterator[Answer]:
    """The answer to a GET, after at most MAX_REDIRECTS redirects, each checked like the first.

    Raises AddressRefused, OutgoingFailed.
    """
    headers = {"Accept": accept}
    target = check_url(url, rules.allowed)
    with Deadline(limits.total_s) as deadline:
        for _ in range(MAX_REDIRECTS + 1):
            with _exchange("GET", target, None, headers, rules, limits, deadline) as answer:
                location = answer.header("Location")
                if answer.status not in REDIRECTS or not location:
                    yield answer
                    return
            target = follow(target, location, rules.allowed)
    raise OutgoingFailed("too_many_redirects", f"it redirects more than {MAX_REDIRECTS} times")


def post(
    url: str,
    body: bytes,
    headers: Mapping[str, str],
    rules: Rules,
    limits: Limits,
    *,
    answer_bytes: int = 512,
) -> PostAnswer:
    """Send a body and read the beginning of the answer, whatever its status; never redirected.

    Raises AddressRefused, OutgoingFailed; only before the answer's head was read, so an answer
    that breaks off later is one.
    """
    start = monotonic()
    check_headers(headers)
    target = check_url(url, rules.allowed)
    with (
        Deadline(limits.total_s) as deadline,
        _exchange("POST", target, body, headers, rules, limits, deadline) as answer,
    ):
        return PostAnswer(
            status=answer.status,
            body=_beginning(answer, answer_bytes),
            headers=answer.headers(),
            elapsed_s=monotonic() - start,
        )


def check_headers(headers: Mapping[str, str]) -> None:
    """Raise AddressRefused for a header that cannot be sent, or that is not the caller's to say."""
    for name, value in headers.items():
        if name.lower() in OWN_HEADERS or not _HEADER_NAME.fullmatch(name):
            raise AddressRefused("header_refused", "a header has a name that is not accepted")
        if not _HEADER_VALUE.fullmatch(value):
            raise AddressRefused("header_refused", "a header has a value that is not plain ASCII")


@contextmanager
def _exchange(
    method: str,
    target: Target,
    body: bytes | None,
    headers: Mapping[str, str],
    rules: Rules,
    limits: Limits,
    deadline: Deadline,
) -> Iterator[Answer]:
    with closing(connect(target, rules, limits, deadline)) as connection:
        with translated(deadline):
            connection.request(
                method,
                target.path,
                body=body,
                headers={
                    "User-Agent": USER_AGENT,
                    **headers,
                    "Host": target.authority,
                    "Accept-Encoding": "identity",
                    "Connection": "close",
                },
                preload_content=False,
                decode_content=False,
            )
            response = connection.getresponse()
        deadline.left_s(limits.total_s)  # a head that we cut off looks like a short one
        with closing(response):
            yield Answer(response, target, deadline)


def _beginning(answer: Answer, size_bytes: int) -> bytes:
    found = b""
    try:
        for chunk in answer.chunks(size_bytes):
            found += chunk
            if len(found) >= size_bytes:
                break
    except OutgoingFailed:
        pass  # the head has come: that is the answer
    return found[:size_bytes]
