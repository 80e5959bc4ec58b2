"""The client that a request names itself: clients take turns, and each follows its own jobs."""

import re

from flask import request

from domain.errors import OptionInvalid

HEADER = "X-Client-ID"
SANE_CLIENT = re.compile(r"[A-Za-z0-9._@-]{1,64}")
SHOWN_CHARS = 40  # of a client's own value, repeated in a message

CLIENT_PARAMETER = {
    "in": "header",
    "name": HEADER,
    "schema": {"type": "string", "pattern": f"^{SANE_CLIENT.pattern}$"},
    "description": "Whose jobs these are: clients take turns, and each follows its own. "
    "The address of the connection without it.",
}


def current_client() -> str:
    """The client that X-Client-ID names, else the remote address. Raises OptionInvalid.

    Behind a proxy every connection has the proxy's address: clients need the header there.
    """
    given = request.headers.get(HEADER)
    if given is None:
        return request.remote_addr or ""
    if not SANE_CLIENT.fullmatch(given):
        raise OptionInvalid(
            f"{HEADER} is 1 to 64 letters, digits or any of . _ @ -",
            option=HEADER,
            value=given[:SHOWN_CHARS],
        )
    return given
