"""What OpenAI's audio API takes and answers, field by field."""

from flask_smorest.fields import Upload
from marshmallow import Schema, fields, validate

from api.doors.form import InParts
from api.schemas.base import Choice, StrictSchema
from api.schemas.transcripts import PlainSegmentSchema, UsageSchema, VerboseTranscriptSchema
from domain.options import MAX_INITIAL_PROMPT_CHARS

TRANSLATION_FORMATS = ("json", "text", "srt", "verbose_json", "vtt")
DIARIZED = "diarized_json"
TRANSCRIPTION_FORMATS = (*TRANSLATION_FORMATS, DIARIZED)
GRANULARITIES = ("word", "segment")
AUTO = "auto"
MAX_KEYWORDS = 100  # Whisper reads no more of them
VAD_TYPE = "server_vad"
VAD_PARTS = ("prefix_padding_ms", "silence_duration_ms", "threshold")


class AudioSchema(StrictSchema):
    """The fields that both endpoints take."""

    file = Upload(required=True, metadata={"description": "The recording"})
    model = fields.String(
        required=True,
        metadata={"description": "A name from `GET /v1/models`", "example": "whisper-1"},
    )
    prompt = fields.String(
        validate=validate.Length(max=MAX_INITIAL_PROMPT_CHARS),
        metadata={"description": "Names and style to expect; Whisper reads its last 223 tokens"},
    )
    temperature = fields.Float(
        validate=validate.Range(0, 1),
        metadata={"description": "Absent: 0, then up to 1 while the text looks broken"},
    )


class OpenAITranslationFormSchema(AudioSchema):
    """The form of a translation into English."""

    response_format = Choice("response_format", TRANSLATION_FORMATS)


class OpenAITranscriptionFormSchema(AudioSchema):
    """The form of a transcription. Lists come as `x[]` or as a repeated `x`."""

    response_format = Choice("response_format", TRANSCRIPTION_FORMATS)
    language = fields.String(metadata={"description": "Absent: detected", "example": "en"})
    languages = fields.List(
        fields.String(), metadata={"description": "One at most: the language of the recording"}
    )
    keywords = fields.List(
        fields.String(),
        validate=validate.Length(max=MAX_KEYWORDS),
        metadata={"description": "Words to expect; they join the prompt"},
    )
    timestamp_granularities = fields.List(
        Choice("timestamp_granularities", GRANULARITIES),
        metadata={"description": "For `verbose_json`; `segment` when absent"},
    )
    stream = fields.Boolean(
        metadata={"description": "Server-sent events with the text as it is decoded"}
    )
    chunking_strategy = InParts(
        ("type", *VAD_PARTS), metadata={"type": "string", "description": "`auto`"}
    )
    include = fields.List(fields.String(), metadata={"description": "Refused"})
    known_speaker_names = fields.List(fields.String(), metadata={"description": "Refused"})
    known_speaker_references = fields.List(fields.String(), metadata={"description": "Refused"})


class LanguageSchema(Schema):
    """A language that was heard."""

    code = fields.String(required=True)


class OpenAITranscriptionSchema(Schema):
    """The answer in `json`."""

    text = fields.String(required=True)
    languages = fields.List(
        fields.Nested(LanguageSchema), metadata={"description": "For gpt-transcribe alone"}
    )
    usage = fields.Nested(UsageSchema, required=True)


class OpenAIVerboseTranscriptionSchema(VerboseTranscriptSchema):
    """The answer in `verbose_json`: segments, words or both, as asked for."""

    segments = fields.List(fields.Nested(PlainSegmentSchema))


class OpenAIErrorDetailSchema(Schema):
    """What went wrong."""

    message = fields.String(required=True, metadata={"description": "For people"})
    type = fields.String(required=True, metadata={"example": "invalid_request_error"})
    param = fields.String(
        required=True,
        allow_none=True,
        metadata={"description": "The field at fault, where it is one"},
    )
    code = fields.String(required=True, metadata={"description": "Stable, as in docs/api.md"})


class OpenAIErrorSchema(Schema):
    """A failure as OpenAI's clients read it."""

    error = fields.Nested(OpenAIErrorDetailSchema, required=True)


class OpenAIModelSchema(Schema):
    """One name of a model."""

    id = fields.String(required=True, metadata={"example": "whisper-1"})
    object = fields.String(required=True, metadata={"enum": ["model"]})
    created = fields.Integer(
        required=True,
        metadata={"description": "When its weights were fetched, in Unix seconds; 0: not here yet"},
    )
    owned_by = fields.String(required=True)
    root = fields.String(required=True, metadata={"description": "The model behind the name"})
    is_installed = fields.Boolean(
        required=True, metadata={"description": "Without: its weights are fetched by its first job"}
    )


class OpenAIModelListSchema(Schema):
    """All names of models."""

    object = fields.String(required=True, metadata={"enum": ["list"]})
    data = fields.List(fields.Nested(OpenAIModelSchema), required=True)
