"""Keys, tenants and tokens as the API shows them, and how they are asked for."""

from marshmallow import Schema, fields, validate

from api.schemas.base import Choice, Moment, StrictSchema
from api.schemas.jobs import DEFAULT_LIMIT, MAX_LIMIT
from domain.access import DEFAULT_TENANT, EVERYDAY_SCOPES, SCOPES
from services.api_keys import MAX_NAME_CHARS
from services.single_use_tokens import MAX_TTL_S

MAX_OVERLAP_HOURS = 24 * 90
STATES = ("active", "expired", "revoked")


class KeySchema(Schema):
    """A key, without its secret."""

    id = fields.UUID(required=True)
    tenant = fields.String(required=True)
    name = fields.String(required=True)
    prefix = fields.String(required=True, metadata={"description": "Its first letters"})
    scopes = fields.List(fields.String(metadata={"enum": list(SCOPES)}), required=True)
    state = fields.String(required=True, metadata={"enum": list(STATES)})
    created_at = fields.AwareDateTime(required=True)
    expires_at = fields.AwareDateTime(required=True, allow_none=True)
    revoked_at = fields.AwareDateTime(required=True, allow_none=True)
    last_used_at = fields.AwareDateTime(
        required=True, allow_none=True, metadata={"description": "To the minute"}
    )


class MadeKeySchema(KeySchema):
    """A new key with its secret, which nobody can show again."""

    key = fields.String(required=True, metadata={"example": "sk_..."})
    replaces = fields.Nested(
        KeySchema,
        required=True,
        allow_none=True,
        metadata={"description": "After a rotation: the old key, good until its `expires_at`"},
    )


class KeyListQuerySchema(StrictSchema):
    """Which keys to list."""

    tenant = fields.String()
    state = Choice("state", STATES)
    cursor = fields.String()
    limit = fields.Integer(
        load_default=DEFAULT_LIMIT, validate=validate.Range(min=1, max=MAX_LIMIT)
    )


class KeyListSchema(Schema):
    """One page of keys."""

    keys = fields.List(fields.Nested(KeySchema), required=True)
    next_cursor = fields.String(required=True, allow_none=True)
    has_more = fields.Boolean(required=True)


class NewKeySchema(StrictSchema):
    """The key that is wanted."""

    name = fields.String(required=True, validate=validate.Length(min=1, max=MAX_NAME_CHARS))
    tenant = fields.String(load_default=DEFAULT_TENANT)
    scopes = fields.List(
        Choice("scopes", SCOPES),
        load_default=list(EVERYDAY_SCOPES),
        validate=validate.Length(min=1),
    )
    expires_at = Moment(allow_none=True, load_default=None)


class KeyRotationSchema(StrictSchema):
    """How a key gives way to the next."""

    overlap_hours = fields.Float(
        load_default=24.0,
        validate=validate.Range(min=0, max=MAX_OVERLAP_HOURS),
        metadata={"description": "How long the old key stays good"},
    )
    expires_at = Moment(
        allow_none=True,
        load_default=None,
        metadata={"description": "End of the new key; as the old one without"},
    )


class TenantSchema(Schema):
    """A tenant."""

    name = fields.String(required=True)
    created_at = fields.AwareDateTime(required=True)
    active_keys = fields.Integer(required=True)


class TenantListSchema(Schema):
    """Every tenant."""

    tenants = fields.List(fields.Nested(TenantSchema), required=True)


class NewTenantSchema(StrictSchema):
    """The tenant that is wanted."""

    name = fields.String(required=True)


class NewTokenSchema(StrictSchema):
    """The token that is wanted."""

    scopes = fields.List(
        Choice("scopes", EVERYDAY_SCOPES),
        load_default=None,
        validate=validate.Length(min=1),
        metadata={"description": "All that the key has of these without"},
    )
    ttl_s = fields.Integer(
        load_default=60,
        strict=True,
        validate=validate.Range(min=1, max=MAX_TTL_S),
        metadata={"description": "How long it may wait to be used, in seconds"},
    )


class TokenSchema(Schema):
    """A token for one request."""

    token = fields.String(required=True)
    expires_at = fields.AwareDateTime(required=True)
    scopes = fields.List(fields.String(metadata={"enum": list(EVERYDAY_SCOPES)}), required=True)
