"""Jobs as the API shows them, and what may be asked about them."""

from marshmallow import Schema, fields, validate

from api.schemas.base import Choice, Language, ModelSize, Moment, StrictSchema
from domain.lifecycle import JobStatus, Step
from domain.options import PRIORITIES
from formats.registry import FORMATS

DEFAULT_LIMIT = 25
MAX_LIMIT = 100
STATUSES = [status.value for status in JobStatus]


class SubmittedSchema(Schema):
    """The receipt of an upload."""

    job_id = fields.UUID(required=True)
    status = fields.String(required=True, metadata={"enum": STATUSES})
    message = fields.String(required=True)


class PatchSchema(StrictSchema):
    """What may be changed of a job that waits."""

    priority = Choice("priority", PRIORITIES, required=True)


class NoticeSchema(Schema):
    """Something that the reader of a result must know."""

    code = fields.String(required=True)
    message = fields.String(required=True)


class FallbackSchema(Schema):
    """One step down that was taken when memory ran out."""

    rung = fields.String(required=True, metadata={"example": "smaller_model"})
    stage = fields.String(required=True, metadata={"enum": ["load", "decode"]})
    from_model = fields.String(required=True)
    to_model = fields.String(required=True)
    reason = fields.String(required=True)


class JobSummarySchema(Schema):
    """One job, without its text. What is unknown is null."""

    job_id = fields.UUID(required=True)
    status = fields.String(required=True, metadata={"enum": STATUSES})
    progress = fields.Float(
        required=True, metadata={"description": "Share of the recording done, 0 to 1"}
    )
    current_step = fields.String(required=True, metadata={"enum": [step.value for step in Step]})
    created_at = fields.AwareDateTime(required=True)
    updated_at = fields.AwareDateTime(required=True)
    started_at = fields.AwareDateTime(
        allow_none=True, metadata={"description": "Of the current attempt"}
    )
    completed_at = fields.AwareDateTime(allow_none=True)
    next_attempt_at = fields.AwareDateTime(
        allow_none=True, metadata={"description": "Set while the job waits for a retry"}
    )
    model_size = fields.String(required=True, metadata={"description": "As asked for"})
    model_used = fields.String(
        allow_none=True, metadata={"description": "Differs from model_size after a fallback"}
    )
    language = fields.String(allow_none=True, metadata={"description": "Found, or asked for"})
    language_probability = fields.Float(allow_none=True)
    duration = fields.Float(allow_none=True, metadata={"description": "Seconds of audio"})
    word_count = fields.Integer(allow_none=True)
    confidence = fields.Float(
        allow_none=True,
        metadata={"description": "Geometric mean probability of a token, 0 to 1"},
    )
    name = fields.String(allow_none=True, metadata={"description": "As its owner calls it"})
    labels = fields.Dict(metadata={"description": "Its owner's own; nothing here reads them"})
    batch_id = fields.UUID(allow_none=True)
    door = fields.String(metadata={"description": "The API it came by: native, openai, ..."})
    filename = fields.String(allow_none=True)
    content_type = fields.String(allow_none=True, metadata={"description": "As the client said"})
    size_bytes = fields.Integer(required=True)
    sha256 = fields.String(required=True)
    priority = fields.String(required=True, metadata={"enum": ["high", "normal"]})
    task = fields.String(required=True, metadata={"enum": ["transcribe", "translate"]})
    options = fields.Dict(required=True, metadata={"description": "All options, as they run"})
    attempt = fields.Integer(required=True, metadata={"description": "Runs begun so far"})
    max_attempts = fields.Integer(required=True)
    fallbacks = fields.List(fields.Nested(FallbackSchema), required=True)
    warnings = fields.List(fields.Nested(NoticeSchema), required=True)
    queue_position = fields.Integer(
        allow_none=True, metadata={"description": "1 is next; counted up to 1001, then that"}
    )
    time_left_s = fields.Float(allow_none=True)
    timings = fields.Dict(
        keys=fields.String(),
        values=fields.Float(),
        allow_none=True,
        metadata={"description": "Seconds per stage"},
    )
    error_type = fields.String(
        allow_none=True, metadata={"description": "Code of the last failed attempt"}
    )
    error_message = fields.String(allow_none=True)
    cancel_requested = fields.Boolean(required=True)
    request_id = fields.String(allow_none=True)


class JobSchema(JobSummarySchema):
    """One job, with its text once it is completed."""

    transcription = fields.String(allow_none=True, metadata={"description": "The whole text"})


class JobQuerySchema(StrictSchema):
    """How to look at one job."""

    wait = fields.Float(
        validate=validate.Range(min=0),
        metadata={
            "description": "Hold the answer up to this many seconds, until something changes; "
            "at most MAX_WAIT_S",
            "example": 30,
        },
    )


class DeleteQuerySchema(StrictSchema):
    """What to do with one job."""

    purge = fields.Boolean(
        load_default=False,
        metadata={"description": "Remove a finished job, its result and its recording"},
    )


class ResultQuerySchema(StrictSchema):
    """In which shape the transcript is wanted."""

    format = Choice("format", FORMATS, metadata={"description": "Else by Accept; else json"})
    max_line_width = fields.Integer(
        validate=validate.Range(10, 200),
        metadata={"description": "Characters per line; srt and vtt only"},
    )
    max_line_count = fields.Integer(
        validate=validate.Range(1, 10), metadata={"description": "Lines per cue; srt and vtt only"}
    )


class JobListQuerySchema(StrictSchema):
    """Which jobs to list."""

    cursor = fields.String(metadata={"description": "`next_cursor` of the page before"})
    limit = fields.Integer(load_default=DEFAULT_LIMIT, validate=validate.Range(1, MAX_LIMIT))
    status = Choice("status", STATUSES)
    language = Language(metadata={"description": "Code or English name"})
    model_size = ModelSize(metadata={"description": "As asked for"})
    created_from = Moment(metadata={"description": "At or after; UTC unless it says otherwise"})
    created_to = Moment(metadata={"description": "Before; UTC unless it says otherwise"})
    filename = fields.String(metadata={"description": "Part of the name, in any case"})
    batch_id = fields.UUID()
    door = fields.String(metadata={"description": "The API they came by"})


class JobListSchema(Schema):
    """One page of jobs, newest first."""

    jobs = fields.List(fields.Nested(JobSummarySchema), required=True)
    next_cursor = fields.String(allow_none=True, required=True)
    has_more = fields.Boolean(required=True)
