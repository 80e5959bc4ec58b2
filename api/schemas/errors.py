"""The one error shape."""

from marshmallow import Schema, fields


class ErrorSchema(Schema):
    """What every failure looks like."""

    code = fields.String(
        required=True, metadata={"description": "Stable; match on it", "example": "job_not_found"}
    )
    message = fields.String(required=True, metadata={"description": "For people"})
    details = fields.Dict(
        required=True,
        metadata={"description": "Facts to act on: the field, the allowed values, the state ..."},
    )
    request_id = fields.String(
        required=True, metadata={"description": "As in the X-Request-ID header and in the log"}
    )
