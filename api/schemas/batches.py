"""Batches: what may be submitted in one call, and how it stands."""

from typing import Any

from marshmallow import Schema, fields, pre_load, validate

from api.idempotency import SANE_KEY
from api.schemas.base import StrictSchema
from api.schemas.jobs import DEFAULT_LIMIT, MAX_LIMIT, STATUSES
from api.schemas.labels import MAX_NAME_CHARS, Labels, require_storable
from api.schemas.options import SubmissionSchema

MAX_URL_CHARS = 4096
OUTCOMES = [*STATUSES, "refused"]
NAME = {"description": "For people; nothing here reads it"}
LABELS = {"description": "Your own: up to 50 texts, numbers, true or false", "type": "object"}


class BatchItemSchema(SubmissionSchema):
    """One recording at an address; its options come before those of the batch."""

    source_url = fields.String(
        required=True,
        validate=validate.Length(1, MAX_URL_CHARS),
        metadata={"example": "https://example.com/talk.mp3"},
    )
    name = fields.String(validate=validate.Length(1, MAX_NAME_CHARS), metadata=NAME)
    labels = Labels(metadata=LABELS)
    idempotency_key = fields.String(
        validate=validate.Regexp(f"^{SANE_KEY.pattern}$"),
        metadata={"description": "As the header Idempotency-Key of a single submission"},
    )


class BatchSchema(SubmissionSchema):
    """Recordings by address, and options for all of them."""

    name = fields.String(
        validate=validate.Length(1, MAX_NAME_CHARS), metadata={"description": "Of the batch"}
    )
    # Each is read for itself: one that is wrong does not stop the others.
    items = fields.List(
        fields.Raw(),
        required=True,
        validate=validate.Length(min=1),
    )

    @pre_load
    def refuse_what_is_no_text(self, data: Any, **_: object) -> Any:
        """Refuse what could not be kept, in whatever field, but for the items' own."""
        if isinstance(data, dict):
            require_storable({name: held for name, held in data.items() if name != "items"})
        return data


class BatchBodySchema(BatchSchema):
    """The same for the specification, which shows what an item is."""

    items = fields.List(
        fields.Nested(BatchItemSchema),
        required=True,
        metadata={"description": "At most MAX_BATCH_ITEMS"},
    )


class BatchFormSchema(SubmissionSchema):
    """Fields of a form with several files, the same for all of them."""

    name = fields.String(
        validate=validate.Length(1, MAX_NAME_CHARS), metadata={"description": "Of the batch"}
    )
    labels = Labels(metadata=LABELS)


class BatchOutcomeSchema(Schema):
    """What became of one item: a job, or an error."""

    number = fields.Integer(required=True, metadata={"description": "From 1, as they came"})
    status = fields.String(required=True, metadata={"enum": ["pending", "refused"]})
    job_id = fields.UUID(allow_none=True)
    code = fields.String(allow_none=True, metadata={"description": "As of any error"})
    message = fields.String(allow_none=True)
    details = fields.Dict(allow_none=True)


class SubmittedBatchSchema(Schema):
    """The receipt of a batch."""

    batch_id = fields.UUID(required=True)
    items = fields.List(fields.Nested(BatchOutcomeSchema), required=True)


class BatchItemViewSchema(Schema):
    """One item as it stands."""

    number = fields.Integer(required=True)
    status = fields.String(required=True, metadata={"enum": OUTCOMES})
    name = fields.String(allow_none=True, metadata={"description": "The job's, or its file's"})
    job_id = fields.UUID(allow_none=True)
    progress = fields.Float(allow_none=True)
    code = fields.String(allow_none=True, metadata={"description": "Why it was refused or failed"})
    message = fields.String(allow_none=True)


class BatchViewSchema(Schema):
    """A batch as it stands."""

    batch_id = fields.UUID(required=True)
    name = fields.String(allow_none=True, required=True)
    created_at = fields.AwareDateTime(required=True)
    total = fields.Integer(required=True, metadata={"description": "Items, the refused ones too"})
    counts = fields.Dict(
        keys=fields.String(metadata={"enum": OUTCOMES}),
        values=fields.Integer(),
        required=True,
        metadata={"description": "Items by status"},
    )
    progress = fields.Float(
        required=True, metadata={"description": "Share of its jobs that is done, 0 to 1"}
    )
    is_finished = fields.Boolean(required=True)


class BatchWithItemsSchema(BatchViewSchema):
    """A batch with a page of its items."""

    items = fields.List(fields.Nested(BatchItemViewSchema), required=True)
    next_cursor = fields.String(allow_none=True, required=True)
    has_more = fields.Boolean(required=True)


class BatchListSchema(Schema):
    """A page of batches, the newest first."""

    batches = fields.List(fields.Nested(BatchViewSchema), required=True)
    next_cursor = fields.String(allow_none=True, required=True)
    has_more = fields.Boolean(required=True)


class PageQuerySchema(StrictSchema):
    """Which page."""

    cursor = fields.String(metadata={"description": "`next_cursor` of the page before"})
    limit = fields.Integer(load_default=DEFAULT_LIMIT, validate=validate.Range(1, MAX_LIMIT))


class BatchQuerySchema(PageQuerySchema):
    """How to look at a batch."""

    wait = fields.Float(
        load_default=0,
        validate=validate.Range(min=0),
        metadata={
            "description": "Hold the answer up to this many seconds, until something changes; "
            "at most MAX_WAIT_S"
        },
    )
