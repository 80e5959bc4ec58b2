"""The audit log as the API shows it."""

from marshmallow import Schema, fields, validate

from api.schemas.base import StrictSchema
from api.schemas.dead_letters import MAX_ID
from api.schemas.jobs import DEFAULT_LIMIT, MAX_LIMIT


class AuditQuerySchema(StrictSchema):
    """Which entries to list."""

    tenant = fields.String()
    target = fields.String(metadata={"description": "The id of a job, a key, an endpoint ..."})
    before_id = fields.Integer(
        validate=validate.Range(1, MAX_ID),
        metadata={"description": "`next_before_id` of the page before"},
    )
    limit = fields.Integer(load_default=DEFAULT_LIMIT, validate=validate.Range(1, MAX_LIMIT))


class AuditEntrySchema(Schema):
    """Who did what to which job or key."""

    id = fields.Integer(required=True)
    at = fields.AwareDateTime(required=True)
    tenant = fields.String(required=True)
    actor = fields.String(required=True, metadata={"example": "key:0199…"})
    action = fields.String(required=True, metadata={"example": "DELETE /transcribe/<job_id>"})
    target = fields.String(required=True)
    detail = fields.Dict(required=True)
    position = fields.Integer(
        allow_none=True, metadata={"description": "Place in the chain; null for a second or so"}
    )
    chain_hash = fields.String(allow_none=True)


class AuditListSchema(Schema):
    """One page of entries, newest first."""

    entries = fields.List(fields.Nested(AuditEntrySchema), required=True)
    next_before_id = fields.Integer(allow_none=True, required=True)
