"""Dead letters: jobs that were given up."""

from datetime import timedelta
from typing import Any, ClassVar

from marshmallow import Schema, fields, post_load, validate, validates_schema

from api.schemas.base import Choice, Language, Moment, StrictSchema
from api.schemas.jobs import DEFAULT_LIMIT, MAX_LIMIT
from api.schemas.labels import require_storable
from api.schemas.options import KNOWS_EVERYTHING, OptionsSchema, options_from
from domain.errors import OptionInvalid
from domain.lifecycle import Priority
from domain.options import MAX_BEAM_SIZE, MAX_INITIAL_PROMPT_CHARS, PRIORITIES
from services.dead_letters import Changes, Selection

MAX_IDS = 1000  # each is a transaction of its own, and the client waits for all
MAX_ID = 2**63 - 1  # of a Postgres bigint
MAX_AGE_DAYS = 36_500


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
    kept_windows = fields.Integer(
        required=True, metadata={"description": "Decoded, and kept for a retry"}
    )
    kept_s = fields.Float(
        required=True, metadata={"description": "Seconds of the recording in these windows"}
    )
    recording_removed_at = fields.AwareDateTime(
        allow_none=True, metadata={"description": "Set when there is nothing left to retry"}
    )


class ErrorListQuerySchema(StrictSchema):
    """Which dead letters to list."""

    cursor = fields.String(metadata={"description": "`next_cursor` of the page before"})
    limit = fields.Integer(load_default=DEFAULT_LIMIT, validate=validate.Range(1, MAX_LIMIT))
    type = fields.String(metadata={"description": "Code, as in `type` of a dead letter"})
    resolved = fields.Boolean()
    job_id = fields.UUID()
    created_from = Moment(metadata={"description": "At or after; UTC unless it says otherwise"})
    created_to = Moment(metadata={"description": "Before; UTC unless it says otherwise"})


class ErrorListSchema(Schema):
    """One page of dead letters, newest first."""

    errors = fields.List(fields.Nested(ErrorSummarySchema), required=True)
    total = fields.Integer(
        required=True, metadata={"description": "On all pages together, counted up to 1000"}
    )
    next_cursor = fields.String(allow_none=True, required=True)
    has_more = fields.Boolean(required=True)


class RetryOptionsSchema(OptionsSchema):
    """The options that a retry changes; null takes one back to what it is when absent."""

    class Meta:
        """Priority is no option of a job: it stands beside them."""

        exclude = ("priority",)

    language = Language(allow_none=True, metadata={"description": "As in a submission"})
    initial_prompt = fields.String(
        allow_none=True, validate=[validate.Length(max=MAX_INITIAL_PROMPT_CHARS), require_storable]
    )
    temperature = fields.Float(allow_none=True, validate=validate.Range(0, 1))
    beam_size = fields.Integer(allow_none=True, validate=validate.Range(1, MAX_BEAM_SIZE))

    @post_load
    def check(self, data: dict[str, Any], **_: object) -> dict[str, Any]:
        """Refuse what goes with no job, whatever its other options are."""
        options_from(data, default_model=KNOWS_EVERYTHING)
        return data


class ChangesSchema(StrictSchema):
    """What is to be different in a retry. What is not named stays as it was."""

    options = fields.Nested(RetryOptionsSchema)
    priority = Choice("priority", PRIORITIES)


class SelectionSchema(StrictSchema):
    """Some dead letters: by id, or every open one of a type."""

    WAYS: ClassVar[tuple[str, ...]] = ("ids", "type")

    ids = fields.List(
        fields.Integer(strict=True, validate=validate.Range(1, MAX_ID)),
        validate=validate.Length(1, MAX_IDS),
    )
    type = fields.String(validate=[validate.Length(1, 100), require_storable])

    @validates_schema
    def name_some(self, data: dict[str, Any], **_: object) -> None:
        """Exactly one way to choose."""
        if len(data.keys() & set(self.WAYS)) != 1:
            raise OptionInvalid(
                f"give exactly one of {', '.join(self.WAYS)}", option="ids", allowed=[*self.WAYS]
            )


class RetrySelectionSchema(SelectionSchema, ChangesSchema):
    """Which dead letters are tried again, and what is different then."""


class NoteSchema(StrictSchema):
    """A word on why a dead letter is settled."""

    note = fields.String(validate=[validate.Length(1, 1000), require_storable])


class ResolveSelectionSchema(SelectionSchema, NoteSchema):
    """Which dead letters are settled, and why."""


class ExpireSelectionSchema(SelectionSchema):
    """Which dead letters are given up for good: by id, type, or age."""

    WAYS = ("ids", "type", "older_than_days")

    older_than_days = fields.Integer(
        strict=True,
        validate=validate.Range(1, MAX_AGE_DAYS),
        metadata={"description": "Every open one that was written before"},
    )


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


def changes_from(body: dict[str, Any]) -> Changes:
    """What a loaded body wants to be different."""
    priority = body.get("priority")
    return Changes(
        options=body.get("options", {}), priority=Priority[priority.upper()] if priority else None
    )


def selection_from(body: dict[str, Any]) -> Selection:
    """The dead letters that a loaded body names."""
    days = body.get("older_than_days")
    return Selection(
        ids=body.get("ids"),
        error_type=body.get("type"),
        older_than=timedelta(days=days) if days else None,
    )
