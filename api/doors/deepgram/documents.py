"""What the OpenAPI document says of the door."""

from typing import Any

from api.client_id import CLIENT_PARAMETER
from api.doors.deepgram.query import FLAGS, MAX_TAG_CHARS, MAX_TAGS, MAX_TERMS
from api.doors.waiting import JOB_HEADERS, KEEP_PARAMETER
from api.idempotency import PARAMETER as IDEMPOTENCY_PARAMETER
from api.idempotency import REPLAYED_HEADERS
from api.submission_codes import (
    BODY_CODES,
    RECORDING_CODES,
    SOURCE_CODES,
    STORAGE_CODES,
    TENANT_CODES,
)

Schema = dict[str, Any]

TEXT: Schema = {"type": "string"}
NUMBER: Schema = {"type": "number"}


def _object(**fields: Schema) -> Schema:
    return {"type": "object", "properties": fields, "required": [*fields]}


def _list(items: Schema) -> Schema:
    return {"type": "array", "items": items}


def _json(description: str, schema: Schema) -> Schema:
    return {"description": description, "content": {"application/json": {"schema": schema}}}


def _query(name: str, schema: Schema, description: str = "") -> Schema:
    return {"in": "query", "name": name, "schema": schema, "description": description}


PARAMETERS: list[Schema] = [
    _query("model", TEXT, "A model of Deepgram's means the server's own; our names work, too"),
    _query("language", TEXT, "BCP-47; found out when it is absent"),
    *(_query(name, {"type": "boolean"}) for name in FLAGS),
    _query(
        "utt_split",
        {"type": "number", "minimum": 0, "exclusiveMinimum": True, "maximum": 60},
        "Seconds of silence between two utterances; 0.8 when it is absent",
    ),
    *(
        _query(name, {**_list(TEXT), "maxItems": MAX_TERMS}, "Words to expect")
        for name in ("keyterm", "keywords")
    ),
    *(
        _query(name, {**_list({**TEXT, "maxLength": MAX_TAG_CHARS}), "maxItems": MAX_TAGS})
        for name in ("tag", "extra")
    ),
    _query("callback", TEXT, "Where to send the transcript; the answer then comes at once"),
    _query("callback_method", {**TEXT, "enum": ["POST"]}),
    CLIENT_PARAMETER,
    KEEP_PARAMETER,
    IDEMPOTENCY_PARAMETER,
]

RECORDING: Schema = {
    "required": True,
    "description": "The recording, as it is; or its address",
    "content": {
        "application/octet-stream": {"schema": {**TEXT, "format": "binary"}},
        "audio/*": {"schema": {**TEXT, "format": "binary"}},
        "application/json": {"schema": _object(url=TEXT)},
    },
}

WORD = _object(word=TEXT, start=NUMBER, end=NUMBER, confidence=NUMBER)
ALTERNATIVE = _object(transcript=TEXT, confidence=NUMBER, words=_list(WORD))
CHANNEL = _object(alternatives=_list(ALTERNATIVE))
UTTERANCE = _object(
    start=NUMBER,
    end=NUMBER,
    confidence=NUMBER,
    channel=NUMBER,
    transcript=TEXT,
    words=_list(WORD),
    id=TEXT,
)
METADATA = _object(
    transaction_key=TEXT,
    request_id=TEXT,
    sha256=TEXT,
    created={**TEXT, "format": "date-time"},
    duration=NUMBER,
    channels={"type": "integer"},
    models=_list(TEXT),
    model_info={"type": "object"},
)
RESULTS: Schema = {
    "type": "object",
    "properties": {"channels": _list(CHANNEL), "utterances": _list(UTTERANCE)},
    "required": ["channels"],
}
ANSWER = _json(
    "The transcript; with a callback, the id alone",
    {"anyOf": [_object(metadata=METADATA, results=RESULTS), _object(request_id=TEXT)]},
)
ANSWER["headers"] = JOB_HEADERS | REPLAYED_HEADERS

FAILURES = (
    *BODY_CODES,
    "option_invalid",
    "idempotency_conflict",
    "file_missing",
    *SOURCE_CODES,
    "webhook_url_refused",
    *RECORDING_CODES,
    *TENANT_CODES,
    "job_cancelled",
    "server_busy",
    "too_many_streams",
    *STORAGE_CODES,
    "database_unavailable",
)
