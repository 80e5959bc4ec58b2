"""Recordings that lie elsewhere: the server is told the address and fetches them itself."""

import re
import secrets
from urllib.parse import unquote, urlsplit

_ODD = re.compile(r"[\x00-\x20\x7f]")


def is_address(text: str) -> bool:
    """Whether an argument is the address of a recording, and no path."""
    return text.lower().startswith(("https://", "http://"))


def problem_of(address: str) -> str | None:
    """Why it cannot be sent, or None; what may be fetched is the server's to say."""
    return "holds a blank or a control character" if _ODD.search(address) else None


def name_of(address: str) -> str:
    """The last part of its path, or its host. Never what may be a secret, such as the query."""
    parts = urlsplit(address)
    return unquote(parts.path.rstrip("/").rpartition("/")[2]) or parts.netloc.rpartition("@")[2]


def form_with(address: str) -> tuple[bytes, str]:
    """A form that hands the address in, and its media type."""
    boundary = secrets.token_hex(16)
    lines = (
        f"--{boundary}",
        'Content-Disposition: form-data; name="source_url"',
        "",
        address,
        f"--{boundary}--",
        "",
    )
    return "\r\n".join(lines).encode(), f"multipart/form-data; boundary={boundary}"
