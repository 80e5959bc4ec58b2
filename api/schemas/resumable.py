"""What may be said about a recording that arrives in pieces."""

from marshmallow import fields

from api.schemas.options import PutQuerySchema


class UploadMetadataSchema(PutQuerySchema):
    """The pairs of an Upload-Metadata header: the recording's name and type, and options."""

    filetype = fields.String(metadata={"description": "Media type", "example": "audio/mpeg"})
