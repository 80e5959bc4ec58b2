"""Dalston's native job API: what may be sent, and what is answered."""

from marshmallow import Schema, ValidationError, fields, post_load, validate

from api.doors.form import JsonText
from api.schemas.base import Choice, Language, StrictSchema
from api.schemas.jobs import MAX_LIMIT
from api.schemas.labels import MAX_NAME_CHARS, require_storable

GRANULARITIES = ("none", "segment", "word")
FORMATS = ("txt", "json", "srt", "vtt")
STATUSES = ("pending", "running", "completed", "failed", "cancelled")
SHOWN_STATUSES = [*STATUSES, "cancelling"]
DEFAULT_LIMIT = 20
MAX_TERMS = 100
MAX_TERM_CHARS = 50


def terms(value: object) -> None:
    """Raise ValidationError unless it is a list of short words."""
    is_list = isinstance(value, list) and len(value) <= MAX_TERMS
    if not is_list or not all(
        isinstance(term, str) and 0 < len(term) <= MAX_TERM_CHARS
        for term in value  # type: ignore[attr-defined]  # a list
    ):
        raise ValidationError(
            f"A JSON list of at most {MAX_TERMS} texts of 1 to {MAX_TERM_CHARS} characters."
        )
    require_storable(value)


class NativeFormSchema(StrictSchema):
    """The form of a native submission. What this server lacks is refused by name."""

    file = fields.Raw(metadata={"type": "string", "format": "binary"})
    audio_url = fields.String(metadata={"description": "Instead of `file`"})
    name = fields.String(validate=validate.Length(1, MAX_NAME_CHARS))
    model = fields.String(metadata={"description": "`auto` when absent: the server's own"})
    language = Language()
    vocabulary = JsonText(validate=terms, metadata={"description": "Names and terms to expect"})
    timestamps_granularity = Choice("timestamps_granularity", GRANULARITIES, load_default="word")
    speaker_detection = fields.String(metadata={"enum": ["none"]})
    pii_detection = fields.Boolean(metadata={"enum": [False]})
    redact_pii_audio = fields.Boolean(metadata={"enum": [False]})
    lite_profile = fields.String(metadata={"enum": ["core"]})
    webhook_url = fields.String(metadata={"description": "Told of the job's end"})
    model_diarize = fields.String()
    model_align = fields.String()
    model_pii_detect = fields.String()
    num_speakers = fields.String()
    min_speakers = fields.String()
    max_speakers = fields.String()
    pii_entity_types = fields.String()
    pii_redaction_mode = fields.String()
    retention = fields.String()
    webhook_metadata = fields.String()


class NativeErrorDetailSchema(Schema):
    """What went wrong."""

    code = fields.String(required=True, metadata={"description": "Stable, as in docs/api.md"})
    message = fields.String(required=True)
    details = fields.Dict(required=True)


class NativeErrorSchema(Schema):
    """A failure of this API."""

    error = fields.Nested(NativeErrorDetailSchema, required=True)


class NativeCreatedSchema(Schema):
    """The receipt of a native submission."""

    id = fields.UUID(required=True)
    status = fields.String(required=True, metadata={"enum": SHOWN_STATUSES})
    display_name = fields.String(required=True)
    created_at = fields.AwareDateTime(required=True)


class NativeWordSchema(Schema):
    """One word."""

    text = fields.String(required=True)
    start = fields.Float(required=True)
    end = fields.Float(required=True)
    confidence = fields.Float(required=True, allow_none=True)


class NativeSegmentSchema(Schema):
    """One segment."""

    id = fields.String(required=True)
    start = fields.Float(required=True)
    end = fields.Float(required=True)
    text = fields.String(required=True)


class NativeRetentionSchema(Schema):
    """How long a job is kept, by the settings of the server."""

    mode = fields.String(required=True, metadata={"enum": ["keep", "auto_delete"]})
    hours = fields.Integer(required=True, allow_none=True)
    purge_after = fields.AwareDateTime(required=True, allow_none=True)
    purged_at = fields.AwareDateTime(
        required=True, allow_none=True, metadata={"description": "When the recording was removed"}
    )


class NativeSummarySchema(Schema):
    """A job in a list."""

    id = fields.UUID(required=True)
    status = fields.String(required=True, metadata={"enum": SHOWN_STATUSES})
    display_name = fields.String(required=True)
    created_at = fields.AwareDateTime(required=True)
    started_at = fields.AwareDateTime(required=True, allow_none=True)
    completed_at = fields.AwareDateTime(required=True, allow_none=True)
    model = fields.String(required=True)
    progress = fields.Integer(required=True, metadata={"description": "Percent"})
    audio_duration_seconds = fields.Float(required=True, allow_none=True)
    result_language_code = fields.String(required=True, allow_none=True)
    result_word_count = fields.Integer(required=True, allow_none=True)


class NativeJobSchema(NativeSummarySchema):
    """A job with its transcript, once it has one."""

    error = fields.String(required=True, allow_none=True)
    current_stage = fields.String(required=True)
    total_wait_ms = fields.Integer(required=True, allow_none=True)
    retention = fields.Nested(NativeRetentionSchema, required=True)
    language_code = fields.String(required=True, allow_none=True)
    languages = fields.List(fields.String(), required=True, allow_none=True)
    text = fields.String(required=True, allow_none=True)
    words = fields.List(fields.Nested(NativeWordSchema), required=True, allow_none=True)
    segments = fields.List(fields.Nested(NativeSegmentSchema), required=True, allow_none=True)
    result_segment_count = fields.Integer(required=True, allow_none=True)
    result_character_count = fields.Integer(required=True, allow_none=True)


class NativeListSchema(Schema):
    """One page of jobs, newest first."""

    jobs = fields.List(fields.Nested(NativeSummarySchema), required=True)
    cursor = fields.String(required=True, allow_none=True)
    has_more = fields.Boolean(required=True)


class NativeCancelledSchema(Schema):
    """The answer to a cancellation."""

    id = fields.UUID(required=True)
    status = fields.String(required=True, metadata={"enum": ["cancelled", "cancelling"]})
    message = fields.String(required=True)


class NativeAudioSchema(Schema):
    """Where a recording can be fetched, once."""

    url = fields.String(required=True)
    expires_in = fields.Integer(required=True, metadata={"description": "Seconds"})
    type = fields.String(required=True, metadata={"enum": ["original"]})


class NativeStatsSchema(Schema):
    """How many jobs stand where; days are those of UTC."""

    running = fields.Integer(required=True)
    queued = fields.Integer(required=True)
    completed_today = fields.Integer(required=True)
    failed_today = fields.Integer(required=True)


class NativeListQuerySchema(StrictSchema):
    """Which jobs to list."""

    cursor = fields.String()
    limit = fields.Integer(load_default=DEFAULT_LIMIT, validate=validate.Range(1, MAX_LIMIT))
    status = Choice("status", STATUSES)


class NativeExportQuerySchema(StrictSchema):
    """How an export is laid out. Clients send all three for every format."""

    include_speakers = fields.Boolean(
        load_default=True, metadata={"description": "No effect: there are no speaker labels"}
    )
    max_line_length = fields.Integer(
        load_default=42,
        validate=validate.Range(10, 200),
        metadata={"description": "srt and vtt alone"},
    )
    max_lines = fields.Integer(
        load_default=2, validate=validate.Range(1, 10), metadata={"description": "As above"}
    )


class NativePatchSchema(StrictSchema):
    """What may be changed of a job: what people call it, in either of its two fields."""

    display_name = fields.String(validate=validate.Length(1, MAX_NAME_CHARS))
    name = fields.String(
        validate=validate.Length(1, MAX_NAME_CHARS),
        metadata={"description": "As in a submission; instead of `display_name`"},
    )

    @post_load
    def require_one_name(self, data: dict[str, str], **_: object) -> str:
        """The new name. Raises ValidationError unless there is one, and it is text."""
        if len(data) != 1:
            raise ValidationError("One of display_name and name.", "display_name")
        (name,) = data.values()
        require_storable(name)
        return name
