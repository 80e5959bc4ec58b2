"""The header Idempotency-Key: a submission that is sent again makes no second job."""

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

from flask import Response, request

from domain.errors import OptionInvalid

HEADER = "Idempotency-Key"
REPLAYED_HEADER = "Idempotency-Replayed"
SANE_KEY = re.compile(r"[!-~]{1,255}")  # visible ASCII
REPLAYED = {REPLAYED_HEADER: "true"}

PARAMETER = {
    "in": "header",
    "name": HEADER,
    "schema": {"type": "string", "pattern": "^[!-~]{1,255}$"},
    "description": "Chosen by the client for one submission: sent again with the same recording "
    "and options it answers with the first job, with others 409. Remembered for IDEMPOTENCY_HOURS.",
}
REPLAYED_HEADERS = {
    REPLAYED_HEADER: {
        "description": "`true` when the job was there before",
        "schema": {"type": "string", "enum": ["true"]},
    }
}


def idempotency_key() -> str | None:
    """The key of this request, or None. Raises OptionInvalid for one that is malformed."""
    given = request.headers.getlist(HEADER)
    if not given:
        return None
    if len(given) > 1 or not SANE_KEY.fullmatch(given[0]):
        raise OptionInvalid(f"{HEADER} is one, of 1 to 255 visible ASCII characters", option=HEADER)
    return given[0]


def idempotency(asked: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The fields of a Submission that make it happen once: `Submission(**idempotency(), ...)`.

    `asked` is what the request says beyond the job's options, its recording and the other
    fields of the Submission: these count by themselves. Raises OptionInvalid.
    """
    key = idempotency_key()
    if key is None:
        return {}
    body = json.dumps(asked or {}, sort_keys=True, default=str)
    return {
        "idempotency_key": key,
        "fingerprint": hashlib.sha256(body.encode(errors="surrogatepass")).hexdigest(),
    }


def mark_replayed(response: Response) -> Response:
    """Say that the answer tells of a job that was there before."""
    response.headers[REPLAYED_HEADER] = "true"
    return response
