"""The limits of a tenant as the API shows and takes them."""

from typing import Any

from marshmallow import Schema, ValidationError, fields, validate

from api.schemas.base import StrictSchema
from domain.limits import MAX_LIMIT

COUNT = validate.Range(0, MAX_LIMIT)
WORDS = {
    "requests_per_minute": "Requests within any minute, all keys together",
    "waiting_jobs": "Jobs that may wait; a submission beyond them is refused",
    "running_jobs": "Jobs that may run at the same time; the others wait",
    "bytes_per_day": "Recordings submitted per day of UTC, in bytes",
    "audio_hours_per_day": "Audio submitted per day of UTC, in hours",
}


class Whole(fields.Integer):
    """A whole number; true and false are none."""

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> Any:
        if isinstance(value, bool):
            raise ValidationError("Not a valid integer.")
        return super()._deserialize(value, *args, **kwargs)


class Hours(fields.Float):
    """A number; true and false are none."""

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> Any:
        if isinstance(value, bool):
            raise ValidationError("Not a valid number.")
        return super()._deserialize(value, *args, **kwargs)


def _said(name: str) -> dict[str, Any]:
    return {"metadata": {"description": f"{WORDS[name]}. 0: no limit"}}


class OverridesSchema(StrictSchema):
    """Limits of one tenant alone; null: that of the settings."""

    requests_per_minute = Whole(
        strict=True, allow_none=True, validate=COUNT, **_said("requests_per_minute")
    )
    waiting_jobs = Whole(strict=True, allow_none=True, validate=COUNT, **_said("waiting_jobs"))
    running_jobs = Whole(strict=True, allow_none=True, validate=COUNT, **_said("running_jobs"))
    bytes_per_day = Whole(strict=True, allow_none=True, validate=COUNT, **_said("bytes_per_day"))
    audio_hours_per_day = Hours(allow_none=True, validate=COUNT, **_said("audio_hours_per_day"))


class LimitsSchema(Schema):
    """All limits, as they hold. 0 is no limit."""

    requests_per_minute = fields.Integer(required=True, **_said("requests_per_minute"))
    waiting_jobs = fields.Integer(required=True, **_said("waiting_jobs"))
    running_jobs = fields.Integer(required=True, **_said("running_jobs"))
    bytes_per_day = fields.Integer(required=True, **_said("bytes_per_day"))
    audio_hours_per_day = fields.Float(required=True, **_said("audio_hours_per_day"))


class TenantLimitsSchema(Schema):
    """What holds for a tenant, and what of it was set for that tenant alone."""

    tenant = fields.String(required=True)
    limits = fields.Nested(LimitsSchema, required=True)
    overrides = fields.Dict(
        required=True, metadata={"description": "Set for this tenant; the rest is the settings'"}
    )
