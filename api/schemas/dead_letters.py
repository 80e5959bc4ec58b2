"""Dead letters: jobs that were given up."""

from typing import Any

from marshmallow import Schema, fields, validate, validates_schema

from api.schemas.base import StrictSchema
from api.schemas.jobs import DEFAULT_LIMIT, MAX_LIMIT
from domain.errors import OptionInvalid

MAX_IDS = 1000  # each is a transaction of its own, and the client waits for all
MAX_ID = 2**63 - 1  # of a Postgres bigint
NO_NUL = validate.ContainsNoneOf("\0", error="Holds a NUL character.")


class ErrorSummarySchema(Schema):
    """One dead letter, without its stack."""

    id = fields.Integer(required=True)
    job_id = fields.UUID(required=True)
    type = fields.String(required=True, metadata={"description": "Stable code"})
    error_class = fields.String(required=True)
    message = fields.String(required=True)
    reason = fields.String(required=True, metadata={"description": "Why it was not tried again"})
    retry_count = fields.Integer(
        required=True, metadata={"description": "Attempts beyond the first"}
    )
    worker_id = fields.String(allow_none=True)
    memory_mb = fields.Float(
        allow_none=True, metadata={"description": "Resident memory of the worker process, MiB"}
    )
    resolved = fields.Boolean(required=True)
    resolution = fields.String(allow_none=True)
    resolved_at = fields.AwareDateTime(allow_none=True)
    created_at = fields.AwareDateTime(required=True)


class DeadLetterSchema(ErrorSummarySchema):
    """One dead letter with all that is known."""

    stack_trace = fields.String(allow_none=True)
    options = fields.Dict(required=True)
    attempts = fields.List(
        fields.Dict(), required=True, metadata={"description": "The job's history, oldest first"}
    )


class ErrorListQuerySchema(StrictSchema):
    """Which dead letters to list."""

    cursor = fields.String(metadata={"description": "`next_cursor` of the page before"})
    limit = fields.Integer(load_default=DEFAULT_LIMIT, validate=validate.Range(1, MAX_LIMIT))
    type = fields.String(metadata={"description": "Code, as in `type` of a dead letter"})
    resolved = fields.Boolean()


class ErrorListSchema(Schema):
    """One page of dead letters, newest first."""

    errors = fields.List(fields.Nested(ErrorSummarySchema), required=True)
    total = fields.Integer(required=True, metadata={"description": "On all pages together"})
    next_cursor = fields.String(allow_none=True, required=True)
    has_more = fields.Boolean(required=True)


class SelectionSchema(StrictSchema):
    """Some dead letters: by id, or every open one of a type."""

    ids = fields.List(
        fields.Integer(strict=True, validate=validate.Range(1, MAX_ID)),
        validate=validate.Length(1, MAX_IDS),
    )
    type = fields.String(validate=[validate.Length(1, 100), NO_NUL])

    @validates_schema
    def name_some(self, data: dict[str, Any], **_: object) -> None:
        """Exactly one way to choose."""
        if ("ids" in data) == ("type" in data):
            raise OptionInvalid("give either ids or type", option="ids", allowed=["ids", "type"])


class NoteSchema(StrictSchema):
    """A word on why a dead letter is settled."""

    note = fields.String(validate=[validate.Length(1, 1000), NO_NUL])


class ResolveSelectionSchema(SelectionSchema, NoteSchema):
    """Which dead letters are settled, and why."""


class OutcomeSchema(Schema):
    """What became of one dead letter of a bulk request."""

    id = fields.Integer(required=True)
    job_id = fields.UUID(allow_none=True)
    done = fields.Boolean(required=True, attribute="is_done")
    code = fields.String(allow_none=True, metadata={"description": "Why not"})
    message = fields.String(allow_none=True)


class OutcomesSchema(Schema):
    """What became of each."""

    outcomes = fields.List(fields.Nested(OutcomeSchema), required=True)
