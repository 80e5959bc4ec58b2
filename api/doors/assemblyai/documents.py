"""What the OpenAPI document says of the door."""

from typing import Any

from marshmallow import fields, validate

from api.doors.assemblyai.body import MAX_PROMPT_CHARS, MAX_TERMS
from api.schemas.base import Choice, StrictSchema
from api.submission_codes import (
    ARRIVAL_CODES,
    RECORDING_CODES,
    SOURCE_CODES,
    STORAGE_CODES,
    TENANT_CODES,
)
from formats.doors.assemblyai import STATUSES

Schema = dict[str, Any]

TEXT: Schema = {"type": "string"}
WHOLE: Schema = {"type": "integer"}
NUMBER: Schema = {"type": "number"}
FLAG: Schema = {"type": "boolean"}
TEXTS: Schema = {"type": "array", "items": TEXT, "maxItems": MAX_TERMS}

MAX_LIST = 200
MAX_CAPTION_CHARS = 1000
STATUS_WORDS = sorted({*STATUSES.values()})


class ListQuerySchema(StrictSchema):
    """Which transcripts to list."""

    limit = fields.Integer(load_default=10, validate=validate.Range(1, MAX_LIST))
    status = Choice("status", STATUS_WORDS)
    before_id = fields.String()
    created_on = fields.Date()


class CaptionsQuerySchema(StrictSchema):
    """How long a caption may be."""

    chars_per_caption = fields.Integer(validate=validate.Range(1, MAX_CAPTION_CHARS))


class SearchQuerySchema(StrictSchema):
    """What to look for."""

    words = fields.String(required=True, metadata={"description": "Separated by commas"})


def _object(**properties: Schema) -> Schema:
    return {"type": "object", "properties": properties, "required": [*properties]}


def _list(items: Schema) -> Schema:
    return {"type": "array", "items": items}


def _or_null(schema: Schema) -> Schema:
    return {**schema, "nullable": True}


def _json(description: str, schema: Schema) -> dict[str, Schema]:
    content = {"application/json": {"schema": schema}}
    return {"200": {"description": description, "content": content}}


UPLOAD_BODY: Schema = {
    "required": True,
    "description": "The recording, as it is",
    "content": {"application/octet-stream": {"schema": {**TEXT, "format": "binary"}}},
}
ASK_BODY: Schema = {
    "required": True,
    "content": {
        "application/json": {
            "schema": {
                "type": "object",
                "required": ["audio_url"],
                "additionalProperties": False,
                "properties": {
                    "audio_url": TEXT,
                    "speech_model": TEXT,
                    "speech_models": TEXTS,
                    "language_code": TEXT,
                    "language_detection": FLAG,
                    "punctuate": FLAG,
                    "format_text": FLAG,
                    "prompt": {**TEXT, "maxLength": MAX_PROMPT_CHARS},
                    "keyterms_prompt": TEXTS,
                    "word_boost": TEXTS,
                    "temperature": {**NUMBER, "minimum": 0, "maximum": 1},
                    "webhook_url": TEXT,
                    "webhook_auth_header_name": TEXT,
                    "webhook_auth_header_value": TEXT,
                },
            }
        }
    },
}

WORD = _object(text=TEXT, start=WHOLE, end=WHOLE, confidence=NUMBER)
PASSAGE = _object(text=TEXT, start=WHOLE, end=WHOLE, confidence=NUMBER, words=_list(WORD))
STATUS: Schema = {**TEXT, "enum": STATUS_WORDS}
ITEM = _object(
    id=TEXT,
    resource_url=TEXT,
    status=STATUS,
    created=TEXT,
    completed=_or_null(TEXT),
    audio_url=TEXT,
    error=_or_null(TEXT),
)
PAGE = _object(
    limit=WHOLE,
    result_count=WHOLE,
    current_url=TEXT,
    prev_url=_or_null(TEXT),
    next_url=_or_null(TEXT),
)
MATCH = _object(text=TEXT, count=WHOLE, timestamps=_list(_list(WHOLE)), indexes=_list(WHOLE))

UPLOADED = _json("Where it is kept for a while", _object(upload_url=TEXT))
TRANSCRIPT = _json(
    "The transcript as it stands",
    _object(
        id=TEXT,
        status=STATUS,
        audio_url=TEXT,
        text=_or_null(TEXT),
        words=_or_null(_list(WORD)),
        confidence=_or_null(NUMBER),
        audio_duration=_or_null(WHOLE),
        language_code=_or_null(TEXT),
        speech_model_used=_or_null(TEXT),
        error=_or_null(TEXT),
    ),
)
TRANSCRIPTS = _json("The newest transcripts", _object(page_details=PAGE, transcripts=_list(ITEM)))
SENTENCES = _json(
    "Sentence by sentence",
    _object(id=TEXT, confidence=NUMBER, audio_duration=NUMBER, sentences=_list(PASSAGE)),
)
PARAGRAPHS = _json(
    "Paragraph by paragraph",
    _object(id=TEXT, confidence=NUMBER, audio_duration=NUMBER, paragraphs=_list(PASSAGE)),
)
MATCHES = _json(
    "Where the words were said", _object(id=TEXT, total_count=WHOLE, matches=_list(MATCH))
)
CAPTIONS: dict[str, Schema] = {
    "200": {
        "description": "Subtitles",
        "content": {
            media_type: {"schema": TEXT} for media_type in ("application/x-subrip", "text/vtt")
        },
    }
}

LOOK_FAILURES = ("job_not_found", "option_invalid", "validation_error", "database_unavailable")
READ_FAILURES = (*LOOK_FAILURES, "result_not_ready")
UPLOAD_FAILURES = (
    *ARRIVAL_CODES,
    "option_invalid",
    "file_missing",
    "too_many_uploads",
    *STORAGE_CODES,
    "database_unavailable",
)
ASK_FAILURES = (
    "request_invalid",
    "media_type_unsupported",
    "upload_too_large",
    "option_invalid",
    "idempotency_conflict",
    "upload_not_found",
    *SOURCE_CODES,
    "webhook_url_refused",
    *RECORDING_CODES,
    *TENANT_CODES,
    "server_busy",
    *STORAGE_CODES,
    "database_unavailable",
)
