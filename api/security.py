"""What the specification says about keys."""

from http import HTTPStatus
from typing import Any

from marshmallow import Schema

from api.errors import STATUS_OF_CODE

SECURITY_SCHEMES: dict[str, dict[str, str]] = {
    "ApiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
    "Bearer": {"type": "http", "scheme": "bearer"},
    "ElevenLabsKey": {"type": "apiKey", "in": "header", "name": "xi-api-key"},
    "BareKey": {
        "type": "apiKey",
        "in": "header",
        "name": "Authorization",
        "description": "`Token KEY`, as Deepgram has it, or the key alone, as AssemblyAI has it.",
    },
    "SingleUseToken": {
        "type": "apiKey",
        "in": "query",
        "name": "token",
        "description": "From `POST /tokens`; good for one request.",
    },
}
SECURITY: list[dict[str, list[str]]] = [{name: []} for name in SECURITY_SCHEMES]
# Of every operation that wants a key: two keys at once, none that is good, one that may not do
# this, one that cannot be looked up, or one of a tenant that asks too often.
CODES = (
    "request_invalid",
    "api_key_invalid",
    "scope_missing",
    "database_unavailable",
    "rate_limited",
)


def describe_access(doc: dict[str, Any], *, is_open: bool, schema: type[Schema]) -> dict[str, Any]:
    """The specification of one operation, with what it asks of callers and how it refuses them."""
    doc["security"] = [] if is_open else SECURITY
    for code in () if is_open else CODES:
        status = STATUS_OF_CODE[code]
        content = {"application/json": {"schema": schema}}
        responses = doc.setdefault("responses", {})
        found = next((responses[key] for key in (status, str(status)) if key in responses), None)
        if found is None:
            phrase = HTTPStatus(status).phrase
            responses[status] = {"description": f"{phrase}: `{code}`", "content": content}
        elif isinstance(found, dict) and f"`{code}`" not in found.get("description", ""):
            found["description"] = f"{found['description']}, `{code}`"
    return doc
