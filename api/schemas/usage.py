"""Usage as the API shows it."""

from typing import Any

from marshmallow import Schema, fields

from api.schemas.base import StrictSchema

# `from` is a word of Python's own, so these have no class body.
DAYS: dict[str, fields.Field[Any]] = {
    "from": fields.Date(
        metadata={"description": "First day in UTC, YYYY-MM-DD; 29 days before `to` when absent"}
    ),
    "to": fields.Date(
        metadata={"description": "Last day in UTC; today when absent. At most 366 days in all"}
    ),
}
WHOSE = fields.String(metadata={"description": "One tenant; all of them when absent"})

UsageQuerySchema = StrictSchema.from_dict(DAYS, name="UsageQuery")
AdminUsageQuerySchema = StrictSchema.from_dict({**DAYS, "tenant": WHOSE}, name="AdminUsageQuery")


class UsageDaySchema(Schema):
    """One day of one tenant."""

    tenant = fields.String(required=True)
    day = fields.Date(required=True)
    jobs_submitted = fields.Integer(required=True)
    jobs_completed = fields.Integer(required=True)
    submitted_audio_s = fields.Float(
        required=True, metadata={"description": "Of recordings, as they were probed"}
    )
    audio_s = fields.Float(
        required=True, metadata={"description": "Of completed jobs, as they were decoded"}
    )
    compute_s = fields.Float(
        required=True, metadata={"description": "That models worked on completed jobs"}
    )
    bytes = fields.Integer(required=True, metadata={"description": "Of recordings"})


class UsageByDaySchema(Schema):
    """Usage by day, oldest first; days without any are left out."""

    first = fields.Date(required=True, data_key="from")
    last = fields.Date(required=True, data_key="to")
    days = fields.List(fields.Nested(UsageDaySchema), required=True)
