"""The store: how full it is, and where it disagrees with the rows."""

from marshmallow import Schema, fields

from services.storage_audit import KINDS


class FindingSchema(Schema):
    """One disagreement between the store and the rows."""

    kind = fields.String(required=True, metadata={"enum": list(KINDS)})
    key = fields.String(required=True, metadata={"description": "Of the file in the store"})
    job_id = fields.UUID(allow_none=True)
    size_bytes = fields.Integer(
        allow_none=True, metadata={"description": "Of the file, or of the recording that is lost"}
    )
    found_at = fields.AwareDateTime(required=True)
    seen_at = fields.AwareDateTime(
        required=True, metadata={"description": "When it was last seen to be so"}
    )


class AuditSchema(Schema):
    """How far one check has come."""

    name = fields.String(required=True, metadata={"enum": ["files", "rows"]})
    ran_at = fields.AwareDateTime(required=True)
    finished_at = fields.AwareDateTime(
        allow_none=True, metadata={"description": "When it had last gone through everything"}
    )


class StorageSchema(Schema):
    """How full the store is, and what the audit found in it."""

    used_bytes = fields.Integer(
        required=True, metadata={"description": "Of its disk, by everything on it"}
    )
    free_bytes = fields.Integer(required=True)
    counts = fields.Dict(
        keys=fields.String(),
        values=fields.Integer(),
        required=True,
        metadata={"description": "Findings of each kind"},
    )
    audits = fields.List(fields.Nested(AuditSchema), required=True)
    findings = fields.List(
        fields.Nested(FindingSchema), required=True, metadata={"description": "The newest 100"}
    )
