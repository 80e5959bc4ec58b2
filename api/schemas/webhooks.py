"""Endpoints for webhooks, and the log of what was sent to them."""

from typing import Any

from marshmallow import Schema, fields, post_load, validate

from api.schemas.base import Choice, Moment, StrictSchema
from api.schemas.jobs import DEFAULT_LIMIT, MAX_LIMIT
from api.schemas.labels import require_storable
from services.webhooks.addresses import MAX_URL_CHARS
from services.webhooks.deliveries import STATUSES
from services.webhooks.endpoints import MAX_OVERLAP_H
from services.webhooks.events import ENDS, EVENTS, TEST
from services.webhooks.pausing import ASKED, FAILING, GONE
from services.webhooks.queue import DELIVERED, FAILED

MAX_DESCRIPTION_CHARS = 200
DEFAULT_OVERLAP_H = 24.0
ANY = "any"

EVENT_NAMES = {
    "description": "Which events to tell of: " + ", ".join(f"`{event}`" for event in EVENTS),
    "example": ["completed", "failed"],
}


class EndpointChangesSchema(StrictSchema):
    """What may be changed of an endpoint; what is not named stays."""

    url = fields.String(
        validate=[validate.Length(1, MAX_URL_CHARS), require_storable],
        metadata={"description": "An https address", "example": "https://example.org/hook"},
    )
    events = fields.List(
        fields.String(validate=require_storable),
        validate=validate.Length(1, 2 * len(EVENTS)),
        metadata=EVENT_NAMES,
    )
    description = fields.String(
        validate=[validate.Length(max=MAX_DESCRIPTION_CHARS), require_storable]
    )
    is_paused = fields.Boolean(metadata={"description": "true: send it nothing for now"})


class EndpointFormSchema(EndpointChangesSchema):
    """A new endpoint."""

    class Meta:
        """A new endpoint is not paused."""

        exclude = ("is_paused",)

    url = fields.String(
        required=True,
        validate=[validate.Length(1, MAX_URL_CHARS), require_storable],
        metadata={"description": "An https address", "example": "https://example.org/hook"},
    )
    events = fields.List(
        fields.String(validate=require_storable),
        load_default=list(ENDS),
        validate=validate.Length(1, 2 * len(EVENTS)),
        metadata=EVENT_NAMES,
    )


class EndpointSchema(Schema):
    """An endpoint."""

    id = fields.UUID(required=True)
    url = fields.String(required=True)
    description = fields.String(required=True)
    events = fields.List(fields.String(metadata={"enum": list(EVENTS)}), required=True)
    is_paused = fields.Boolean(required=True)
    paused_at = fields.AwareDateTime(allow_none=True)
    pause_reason = fields.String(
        allow_none=True,
        metadata={
            "description": f"`{GONE}`: it answered 410; `{FAILING}`: for too long; `{ASKED}`"
        },
    )
    failing_since = fields.AwareDateTime(
        allow_none=True, metadata={"description": "The first failure since the last success"}
    )
    old_secret_until = fields.AwareDateTime(
        allow_none=True, metadata={"description": "While the secret before signs as well"}
    )
    created_at = fields.AwareDateTime(required=True)


class EndpointSecretSchema(EndpointSchema):
    """An endpoint with the secret that was just made for it."""

    secret = fields.String(
        required=True, metadata={"description": "Shown this once", "example": "whsec_..."}
    )


class EndpointListSchema(Schema):
    """All endpoints of a tenant, oldest first."""

    webhooks = fields.List(fields.Nested(EndpointSchema), required=True)


class RotationSchema(StrictSchema):
    """How a secret is to be replaced."""

    overlap_h = fields.Float(
        load_default=DEFAULT_OVERLAP_H,
        validate=validate.Range(0, MAX_OVERLAP_H),
        metadata={"description": "Hours in which the old secret signs as well; 0: none"},
    )


class SecretSchema(Schema):
    """The secret that signs what goes to addresses of the tenant's jobs."""

    secret = fields.String(
        required=True, metadata={"description": "Shown this once", "example": "whsec_..."}
    )
    old_secret_until = fields.AwareDateTime(allow_none=True)


class AttemptSchema(Schema):
    """One attempt to deliver a message."""

    at = fields.String(required=True, metadata={"format": "date-time"})
    status = fields.Integer(allow_none=True, metadata={"description": "Of HTTP"})
    reason = fields.String(
        allow_none=True, metadata={"description": "A word, where there was no answer"}
    )
    ms = fields.Integer(required=True)
    retry_in_s = fields.Float(
        allow_none=True, metadata={"description": "The wait before the next attempt"}
    )


class DeliverySchema(Schema):
    """One message to one address."""

    id = fields.UUID(required=True)
    message_id = fields.String(
        required=True, metadata={"description": "The header `webhook-id`", "example": "msg_..."}
    )
    webhook_id = fields.UUID(
        allow_none=True, metadata={"description": "Null: the address of the job's own"}
    )
    job_id = fields.UUID(allow_none=True, metadata={"description": "Null: a test"})
    event = fields.String(required=True, metadata={"enum": [*EVENTS, TEST]})
    status = fields.String(required=True, metadata={"enum": list(STATUSES)})
    attempts = fields.Integer(required=True)
    next_attempt_at = fields.AwareDateTime(allow_none=True)
    created_at = fields.AwareDateTime(required=True, metadata={"description": "When it happened"})
    delivered_at = fields.AwareDateTime(allow_none=True)
    log = fields.List(fields.Nested(AttemptSchema), required=True)


class DeliveryWithBodySchema(DeliverySchema):
    """One message with what is sent."""

    body = fields.String(required=True, metadata={"description": "As it is signed"})


class DeliveryListSchema(Schema):
    """One page of messages, newest first."""

    deliveries = fields.List(fields.Nested(DeliverySchema), required=True)
    next_cursor = fields.String(allow_none=True, required=True)
    has_more = fields.Boolean(required=True)


class DeliveryQuerySchema(StrictSchema):
    """Which messages of an endpoint to list."""

    cursor = fields.String(metadata={"description": "`next_cursor` of the page before"})
    limit = fields.Integer(load_default=DEFAULT_LIMIT, validate=validate.Range(1, MAX_LIMIT))
    event = Choice("event", (*EVENTS, TEST))
    status = Choice("status", STATUSES)
    job_id = fields.UUID()


class ReplaySchema(StrictSchema):
    """What to send again."""

    class Meta:
        """`from` is a word of Python's own."""

        include = {  # noqa: RUF012 - the library's declaration style
            "from": Moment(
                required=True, metadata={"description": "What happened at or after this time"}
            ),
        }

    to = Moment(metadata={"description": "And before this one; now when absent"})
    status = Choice(
        "status",
        (FAILED, DELIVERED, ANY),
        load_default=FAILED,
        metadata={"description": "`failed` when absent: what was given up"},
    )

    @post_load
    def rename(self, data: dict[str, Any], **_: object) -> dict[str, Any]:
        """As the service names them."""
        status = data["status"]
        return {
            "since": data["from"],
            "until": data.get("to"),
            "status": None if status == ANY else status,
        }


class ReplayedSchema(Schema):
    """How many messages are sent again."""

    count = fields.Integer(required=True)
