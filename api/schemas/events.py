"""What may be asked of event streams, and the history."""

from marshmallow import Schema, fields

from api.schemas.base import StrictSchema
from api.schemas.jobs import STATUSES


class StreamQuerySchema(StrictSchema):
    """Where a stream begins."""

    last_event_id = fields.String(
        metadata={
            "description": "Go on after the event of this id; the header Last-Event-ID counts more"
        }
    )


class HistoryEntrySchema(Schema):
    """One transition of a job, or something that was done to it."""

    event = fields.String(required=True, metadata={"example": "started"})
    status = fields.String(
        required=True, metadata={"enum": STATUSES, "description": "After the event"}
    )
    attempt = fields.Integer(required=True)
    actor = fields.String(
        required=True,
        metadata={
            "description": "A worker, `reconciler`, `api`, `admin`, `key:ID`, or `anonymous` with "
            "AUTH=off"
        },
    )
    at = fields.AwareDateTime(required=True)
    detail = fields.Dict(required=True, metadata={"description": "Facts that depend on the event"})
