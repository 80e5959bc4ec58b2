"""What may be asked of ElevenLabs' speech-to-text, field by field, and how it answers."""

from typing import Any

from flask_smorest.fields import Upload
from marshmallow import Schema, ValidationError, fields, validate, validates_schema

from api.doors.elevenlabs.values import (
    NOT_SUPPORTED,
    IsoLanguage,
    JsonList,
    KeyTerms,
    Metadata,
    Unsupported,
)
from api.schemas.base import StrictSchema
from formats.doors.elevenlabs_exports import FORMATS

MAX_SEED = 2_147_483_647
MAX_FORMATS = 10
MAX_CHARS = 10_000
MAX_SECONDS = 36_000
GRANULARITIES = ("none", "word", "character")
FILE_FORMATS = ("pcm_s16le_16", "other")
SOURCES = ("file", "source_url", "cloud_storage_url")
WITH_LINES = ("txt", "srt")

FALSE = ("false", "0", "no", "off")
NOTHING = ("[]", '""', "{}")
NO_SPEAKERS = "it has no speaker labels yet"
NO_ENTITIES = "it finds no entities"
NO_CHANNELS = "it does not transcribe channels by themselves yet"
ONLY_SCRIBE_V3 = "it is for scribe_v3 alone"


class ElevenLabsAdditionalFormatSchema(StrictSchema):
    """One additional format and its options."""

    format = fields.String(required=True, metadata={"enum": [*FORMATS]})
    include_timestamps = fields.Boolean(allow_none=True, metadata={"description": "True"})
    include_speakers = fields.Boolean(allow_none=True, metadata={"description": "Only false"})
    segment_on_silence_longer_than_s = fields.Float(
        allow_none=True, validate=validate.Range(0, MAX_SECONDS)
    )
    max_segment_duration_s = fields.Float(
        allow_none=True, validate=validate.Range(0, MAX_SECONDS, min_inclusive=False)
    )
    max_segment_chars = fields.Integer(
        strict=True, allow_none=True, validate=validate.Range(1, MAX_CHARS)
    )
    max_characters_per_line = fields.Integer(
        strict=True,
        allow_none=True,
        validate=validate.Range(1, MAX_CHARS),
        metadata={"description": "Of txt and srt"},
    )

    @validates_schema
    def check(self, data: dict[str, Any], **_: object) -> None:
        """Refuse what a format cannot be."""
        name = data["format"]
        if name in ("docx", "pdf"):
            raise ValidationError(f"{NOT_SUPPORTED}it writes no {name}", "format")
        if name not in FORMATS:
            raise ValidationError(f"Must be one of: {', '.join(FORMATS)}.", "format")
        if data.get("include_speakers"):
            raise ValidationError(NOT_SUPPORTED + NO_SPEAKERS, "include_speakers")
        if name == "srt" and data.get("include_timestamps") is False:
            raise ValidationError("SRT always has times.", "include_timestamps")
        if name not in WITH_LINES and data.get("max_characters_per_line"):
            raise ValidationError("Only for txt and srt.", "max_characters_per_line")


class ConvertQuerySchema(StrictSchema):
    """What stands in the address; `token` beside it."""

    enable_logging = Unsupported("it keeps jobs as its settings say", neutral=("true", "1"))


class ConvertFormSchema(StrictSchema):
    """The form of a request. Whatever is absent, empty or `null` asks for nothing."""

    model_id = fields.String(required=True, metadata={"example": "scribe_v2"})
    file = Upload(metadata={"description": "The recording; or `source_url`"})
    source_url = fields.String(metadata={"description": "Where the recording is"})
    cloud_storage_url = fields.String(metadata={"description": "The older name of `source_url`"})
    file_format = fields.String(
        validate=validate.OneOf(FILE_FORMATS),
        metadata={"description": "`pcm_s16le_16`: bare samples, 16 kHz, mono, little-endian"},
    )
    language_code = IsoLanguage(metadata={"description": "ISO 639-1 or 639-3; absent: detect"})
    temperature = fields.Float(
        validate=validate.Range(
            0, 1, error=f"Must be from 0 to 1. {NOT_SUPPORTED}Whisper knows no higher temperature."
        ),
        metadata={"description": "From 0 to 1; absent: Whisper's ladder 0, 0.2 ... 1"},
    )
    seed = fields.Integer(
        validate=validate.Range(0, MAX_SEED),
        metadata={"description": "Any: sampling is seeded alike for every job, so it repeats"},
    )
    timestamps_granularity = fields.String(validate=validate.OneOf(GRANULARITIES))
    keyterms = KeyTerms(metadata={"description": "Repeated, or one JSON list"})
    additional_formats = JsonList(
        fields.Nested(ElevenLabsAdditionalFormatSchema), validate=validate.Length(max=MAX_FORMATS)
    )
    webhook = fields.Boolean()
    webhook_id = fields.UUID(metadata={"description": "One of the tenant's webhook endpoints"})
    webhook_metadata = Metadata(metadata={"description": "A JSON object, repeated in webhooks"})

    diarize = Unsupported(NO_SPEAKERS, neutral=FALSE)
    num_speakers = Unsupported(NO_SPEAKERS)
    diarization_threshold = Unsupported(NO_SPEAKERS)
    use_speaker_library = Unsupported(NO_SPEAKERS, neutral=FALSE)
    detect_speaker_roles = Unsupported(NO_SPEAKERS, neutral=FALSE)
    tag_audio_events = Unsupported("it marks no laughter or footsteps", neutral=FALSE)
    no_verbatim = Unsupported("it writes what Whisper hears", neutral=FALSE)
    use_multi_channel = Unsupported(NO_CHANNELS, neutral=FALSE)
    multichannel_output_style = Unsupported(NO_CHANNELS, neutral=("separate",))
    entity_detection = Unsupported(NO_ENTITIES, neutral=NOTHING)
    entity_redaction = Unsupported(NO_ENTITIES, neutral=NOTHING)
    entity_redaction_mode = Unsupported(NO_ENTITIES)
    secondary_language_codes = Unsupported(ONLY_SCRIBE_V3, neutral=NOTHING)
    numbers_format = Unsupported(ONLY_SCRIBE_V3)
    transcript_edit = Unsupported("it edits no transcripts", neutral=("",))

    @validates_schema
    def check(self, data: dict[str, Any], **_: object) -> None:
        """The rules between the fields."""
        given = [name for name in SOURCES if name in data]
        if len(given) != 1:
            raise ValidationError(
                f"Exactly one of {', '.join(SOURCES)}.", given[1] if given else "file"
            )
        for name in ("webhook_id", "webhook_metadata"):
            if data.get(name) is not None and not data.get("webhook"):
                raise ValidationError("Only with webhook=true.", name)


class ElevenLabsCharacterSchema(Schema):
    """One character; the time of a word is shared out evenly."""

    text = fields.String(required=True)
    start = fields.Float(required=True)
    end = fields.Float(required=True)


class ElevenLabsWordSchema(Schema):
    """A word, or the blanks between two."""

    text = fields.String(required=True)
    type = fields.String(required=True, metadata={"enum": ["word", "spacing"]})
    logprob = fields.Float(required=True)
    start = fields.Float(metadata={"description": "Seconds"})
    end = fields.Float()
    characters = fields.List(fields.Nested(ElevenLabsCharacterSchema))


class ElevenLabsWrittenFormatSchema(Schema):
    """The transcript in one additional format."""

    requested_format = fields.String(required=True)
    file_extension = fields.String(required=True)
    content_type = fields.String(required=True)
    is_base64_encoded = fields.Boolean(required=True)
    content = fields.String(required=True)


class ElevenLabsWarningSchema(Schema):
    """Something that the reader must know; ours alone."""

    code = fields.String(required=True)
    message = fields.String(required=True)


class ElevenLabsTranscriptionSchema(Schema):
    """A finished transcription."""

    language_code = fields.String(required=True, metadata={"example": "eng"})
    language_probability = fields.Float(required=True)
    text = fields.String(required=True)
    words = fields.List(fields.Nested(ElevenLabsWordSchema), required=True)
    transcription_id = fields.String(required=True)
    audio_duration_secs = fields.Float(required=True)
    additional_formats = fields.List(fields.Nested(ElevenLabsWrittenFormatSchema))
    warnings = fields.List(fields.Nested(ElevenLabsWarningSchema))


class ElevenLabsWebhookReceiptSchema(Schema):
    """The answer to `webhook=true`."""

    message = fields.String(required=True)
    request_id = fields.String(required=True)
    transcription_id = fields.String(required=True)


class ElevenLabsDeletedSchema(Schema):
    """The answer to a removal."""

    message = fields.String(required=True)


class ElevenLabsTokenSchema(Schema):
    """A token for one request."""

    token = fields.String(required=True)


class ElevenLabsErrorSchema(Schema):
    """A failure: a list of faulty fields, or a status with a message."""

    detail = fields.Raw(
        required=True,
        metadata={
            "oneOf": [
                {"type": "object", "required": ["status", "message"]},
                {"type": "array", "items": {"type": "object", "required": ["loc", "msg", "type"]}},
            ]
        },
    )
