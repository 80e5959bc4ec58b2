"""An address, read strictly: what two readers might take differently is refused."""

import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from urllib.parse import quote, urljoin

from urllib3.exceptions import LocationParseError
from urllib3.util import parse_url

from outgoing.errors import AddressRefused
from outgoing.rules import HostAndPort

MAX_URL_CHARS = 8192
MAX_HOST_CHARS = 253
DEFAULT_PORTS = {"https": 443, "http": 80}

_ODD = re.compile(r"[\x00-\x20\x7f\\]")  # blanks and controls, which some readers drop
_LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)")
# Some resolvers read such a name as an address: 2130706433, 0x7f.1, 127.1, 0177.0.0.1
_NUMBER = re.compile(r"\d+|0x[0-9a-f]*")
_KEPT_IN_LOCATION = "%/:=&?~#+!$,;'@()*[]"


@dataclass(frozen=True)
class Target:
    """One resource of one server. `host` is a name, or an address without brackets."""

    scheme: str
    host: str
    port: int
    path: str  # with the query, as it goes onto the line of the request
    is_named: bool  # OUTGOING_ALLOW names it: http and private addresses are fine

    @property
    def authority(self) -> str:
        """Host and port, as the Host header has them."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def origin(self) -> str:
        """Scheme, host and port: what may be kept and logged, as the rest can hold secrets."""
        return f"{self.scheme}://{self.authority}"


def check_url(url: str, allowed: frozenset[HostAndPort] = frozenset()) -> Target:
    """Read an address without looking up its name. Raises AddressRefused.

    `allowed` are hosts and ports that may be private and may be asked by http.
    """
    if len(url) > MAX_URL_CHARS or _ODD.search(url):
        raise _invalid()
    scheme, separator, rest = url.partition("://")
    scheme = scheme.lower()
    if not separator or scheme not in DEFAULT_PORTS:
        raise AddressRefused("scheme_refused", "the address must begin with https://")
    if "@" in re.split(r"[/?#]", rest, maxsplit=1)[0]:
        raise AddressRefused("userinfo_refused", "the address must hold no user and no password")
    try:
        parts = parse_url(url)
    except LocationParseError as error:
        raise _invalid() from error
    if parts.scheme != scheme or not parts.host or parts.port == 0:
        raise _invalid()
    port = parts.port or DEFAULT_PORTS[scheme]
    host = parts.host.lower().removeprefix("[").removesuffix("]")
    is_named = (host, port) in allowed
    _check_host(host, is_named=is_named)
    if scheme == "http" and not is_named:
        raise AddressRefused(
            "scheme_refused", "the address must begin with https://: http is refused here"
        )
    return Target(scheme, host, port, parts.request_uri, is_named)


def follow(target: Target, location: str, allowed: frozenset[HostAndPort]) -> Target:
    """Where a redirect leads, checked like any address. Raises AddressRefused."""
    # http.client reads headers as Latin-1; what is not ASCII in them is bytes to be quoted.
    reference = quote(location.strip().encode("latin-1", "replace"), safe=_KEPT_IN_LOCATION)
    try:
        url = urljoin(f"{target.origin}{target.path}", reference)
    except ValueError as error:
        raise _invalid() from error
    found = check_url(url, allowed)
    if target.scheme == "https" and found.scheme == "http":
        raise AddressRefused("redirect_refused", "the address redirects from https to http")
    return found


def _check_host(host: str, *, is_named: bool) -> None:
    labels = host.split(".")
    if ":" in host:
        is_fine = _is_address(host, IPv6Address)
    elif _NUMBER.fullmatch(labels[-1]):
        is_fine = _is_address(host, IPv4Address)
    else:
        is_fine = len(host) <= MAX_HOST_CHARS and all(map(_LABEL.fullmatch, labels))
        is_fine = is_fine and (is_named or labels[-1] != "localhost")
    if not is_fine:
        raise AddressRefused("host_refused", "the host of the address is not one that is accepted")


def _is_address(host: str, kind: type[IPv4Address] | type[IPv6Address]) -> bool:
    try:
        kind(host)
    except ValueError:
        return False
    return "%" not in host  # a zone of this machine's own network


def _invalid() -> AddressRefused:
    return AddressRefused("url_invalid", "the address is not a valid URL")
