"""The key or the token of a request, wherever its client puts it."""

from collections.abc import Iterator

from flask import Request

from domain.errors import ApiKeyInvalid, RequestError

KEY_HEADERS = ("X-API-Key", "xi-api-key")  # the second is ElevenLabs'
SCHEMES = ("bearer", "token")  # the second is Deepgram's
TOKEN_PARAMETER = "token"  # noqa: S105 - the name of a query parameter


def given_key(request: Request) -> str | None:
    """The key that the headers carry, or None. Raises RequestError for two different ones."""
    found = {request.headers.get(name, "").strip() for name in KEY_HEADERS}
    found.add(_from_authorization(request.headers.get("Authorization", "")))
    found.discard("")
    if len(found) > 1:
        raise RequestError("two different keys: send one")
    return found.pop() if found else None


def given_token(request: Request) -> str | None:
    """The single-use token of the address, or None. Raises ApiKeyInvalid for several."""
    found = request.args.getlist(TOKEN_PARAMETER)
    if len(found) > 1:
        raise ApiKeyInvalid
    return found[0] if found else None


def parameters_of(request: Request) -> Iterator[tuple[str, str]]:
    """The query parameters as pairs, without the token, which no route asks for."""
    pairs = request.args.items(multi=True)
    return ((name, value) for name, value in pairs if name != TOKEN_PARAMETER)


def _from_authorization(header: str) -> str:
    """The key after a scheme that we know, or the whole header, as AssemblyAI has it.

    Another scheme is somebody else's: a proxy in front may have a login of its own.
    """
    scheme, _, rest = header.strip().partition(" ")
    if not rest:
        return "" if scheme.lower() in SCHEMES else scheme
    return rest.strip() if scheme.lower() in SCHEMES else ""
