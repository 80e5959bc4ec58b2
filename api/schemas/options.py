"""What may be asked of a transcription, as form fields and as query parameters."""

from collections.abc import Mapping
from typing import Any

from flask_smorest.fields import Upload
from marshmallow import fields, post_load, validate

from api.schemas.base import Choice, Language, ModelSize, StrictSchema
from domain.errors import OptionInvalid
from domain.languages import LANGUAGES
from domain.options import (
    DECODE_MODES,
    MAX_BEAM_SIZE,
    MAX_INITIAL_PROMPT_CHARS,
    MODEL_SIZES,
    PRIORITIES,
    TASKS,
    TranscriptionOptions,
    check_options,
)

KNOWS_EVERYTHING = "large-v3"  # no rule speaks against it, so it stands in for a model not named


class OptionsSchema(StrictSchema):
    """The options of one job. Nothing has a default here: what was not said stays absent."""

    model_size = ModelSize(
        metadata={
            "enum": list(MODEL_SIZES),
            "description": "Whisper model; the server's WHISPER_MODEL_SIZE when absent",
        }
    )
    language = Language(
        metadata={
            "description": "ISO 639-1 code or English name; `auto` or absent: detect. Codes: "
            + ", ".join(LANGUAGES),
            "example": "en",
        }
    )
    task = Choice("task", TASKS, metadata={"description": "`translate` goes into English"})
    priority = Choice("priority", PRIORITIES, metadata={"description": "`normal` when absent"})
    initial_prompt = fields.String(
        validate=validate.Length(max=MAX_INITIAL_PROMPT_CHARS),
        metadata={"description": "Names and style to expect; Whisper reads its last 223 tokens"},
    )
    temperature = fields.Float(
        validate=validate.Range(0, 1),
        metadata={"description": "Absent: Whisper's ladder 0, 0.2 ... 1"},
    )
    beam_size = fields.Integer(
        validate=validate.Range(1, MAX_BEAM_SIZE), metadata={"description": "Absent: no beams"}
    )
    word_timestamps = fields.Boolean(metadata={"description": "A time span for every word"})
    allow_downgrade = fields.Boolean(
        metadata={"description": "May a smaller model step in when memory runs out? (true)"}
    )
    decode_mode = Choice(
        "decode_mode",
        DECODE_MODES,
        metadata={
            "description": "`batched` when absent: windows side by side, faster; "
            "`sequential`: one after the other, each with the text before it as context"
        },
    )


class SubmissionSchema(OptionsSchema):
    """The options of one job, and what else a submission may ask for."""

    reuse_result = fields.Boolean(
        metadata={
            "description": "Take the result of an earlier job of yours with the same recording and "
            "options, if there is one; the new job is completed at once and its warnings say so. "
            "(false)"
        }
    )
    webhook_url = fields.String(
        metadata={
            "description": "An https address that is told what happens to this job",
            "example": "https://example.org/hook",
        }
    )
    webhook_events = fields.String(
        metadata={
            "description": "Of what, separated by commas; else of its end",
            "example": "started,completed,failed",
        }
    )


class SubmitQuerySchema(SubmissionSchema):
    """Options in the address of a form upload; the form may add to them."""

    @post_load
    def check(self, data: dict[str, Any], **_: object) -> dict[str, Any]:
        """Refuse what no form field could mend, before the body is read."""
        options_from(data, default_model=KNOWS_EVERYTHING)
        return data


class PutQuerySchema(SubmitQuerySchema):
    """Options in the address of a raw upload."""

    filename = fields.String(metadata={"description": "Kept for display", "example": "talk.mp3"})


class SubmitFormSchema(SubmissionSchema):
    """The multipart form of an upload."""

    file = Upload(metadata={"description": "The recording; or `source_url`"})
    source_url = fields.String(
        metadata={
            "description": "Where the recording lies, instead of `file`: an https address that "
            "anybody on the internet could read. It is fetched before the answer comes",
            "example": "https://example.org/talk.mp3",
        }
    )


def merge_given(query: dict[str, Any], form: dict[str, Any]) -> dict[str, Any]:
    """Both places as one. Raises OptionInvalid when they say different things."""
    for name in query.keys() & form.keys():
        if query[name] != form[name]:
            raise OptionInvalid(
                f"{name} is given twice, with different values: in the address and in the form",
                option=name,
            )
    return {**query, **form}


def options_from(given: Mapping[str, Any], *, default_model: str) -> TranscriptionOptions:
    """The options of the job, checked. Raises OptionInvalid."""
    names = TranscriptionOptions.__dataclass_fields__
    options = {name: value for name, value in given.items() if name in names}
    return check_options(TranscriptionOptions(**{"model_size": default_model, **options}))
