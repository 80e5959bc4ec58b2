"""Transcripts as the formats `json` and `verbose_json` write them."""

from marshmallow import Schema, fields

from api.schemas.jobs import FallbackSchema, NoticeSchema

COVERAGE_EXAMPLE = {
    "speech_s": 61.4,
    "transcribed_s": 57.1,
    "share": 0.93,
    "gaps": [{"start_s": 12.4, "end_s": 16.7}],
    "suspicions": [
        {
            "kind": "repetition_loop",
            "reason": "repeated_text",
            "start_s": 40.0,
            "end_s": 52.0,
            "segment_ids": [9, 10, 11],
        }
    ],
}


class WordSchema(Schema):
    """One word and when it is said."""

    word = fields.String(required=True)
    start = fields.Float(required=True, metadata={"description": "Seconds"})
    end = fields.Float(required=True)
    probability = fields.Float(allow_none=True)


class PlainSegmentSchema(Schema):
    """One segment as Whisper cuts it."""

    id = fields.Integer(required=True)
    seek = fields.Integer(
        required=True, metadata={"description": "Where its window starts, in frames of 10 ms"}
    )
    start = fields.Float(required=True, metadata={"description": "Seconds"})
    end = fields.Float(required=True)
    text = fields.String(required=True)
    tokens = fields.List(fields.Integer(), required=True)
    temperature = fields.Float(required=True)
    avg_logprob = fields.Float(allow_none=True)
    compression_ratio = fields.Float(allow_none=True)
    no_speech_prob = fields.Float(allow_none=True)


class SegmentSchema(PlainSegmentSchema):
    """One segment, with its words where they were asked for."""

    words = fields.List(fields.Nested(WordSchema))


class GapSchema(Schema):
    """Speech of a second or more without text."""

    start_s = fields.Float(required=True)
    end_s = fields.Float(required=True)


class SuspicionSchema(Schema):
    """Text that bears the signs of not having been spoken, or of speech passed over."""

    kind = fields.String(
        required=True,
        metadata={"enum": ["repetition_loop", "hallucination", "dropped_speech"]},
    )
    reason = fields.String(
        required=True, metadata={"description": "The sign", "example": "repeated_text"}
    )
    start_s = fields.Float(required=True)
    end_s = fields.Float(required=True)
    segment_ids = fields.List(fields.Integer(), required=True)


class CoverageSchema(Schema):
    """How much of the speech that was found has text, and which text is suspect."""

    speech_s = fields.Float(
        required=True, metadata={"description": "Seconds of speech in the recording"}
    )
    transcribed_s = fields.Float(
        required=True, metadata={"description": "Of that, under a segment with text"}
    )
    share = fields.Float(
        required=True, allow_none=True, metadata={"description": "Null without speech"}
    )
    gaps = fields.List(fields.Nested(GapSchema), required=True)
    suspicions = fields.List(fields.Nested(SuspicionSchema), required=True)


class MeasuredCoverage(fields.Nested):
    """The coverage of one transcript."""

    def __init__(self) -> None:
        super().__init__(
            CoverageSchema,
            required=True,
            allow_none=True,
            metadata={
                "description": "Null where it was not measured, as in older results",
                "example": COVERAGE_EXAMPLE,
            },
        )


class TranscriptSchema(Schema):
    """A transcript in the format `json`. What is unknown is null."""

    text = fields.String(required=True)
    language = fields.String(required=True)
    language_probability = fields.Float(required=True, allow_none=True)
    task = fields.String(required=True)
    duration = fields.Float(required=True, metadata={"description": "Seconds of audio"})
    word_count = fields.Integer(required=True)
    confidence = fields.Float(required=True, allow_none=True)
    model_requested = fields.String(required=True)
    model_used = fields.String(required=True)
    engine = fields.String(required=True)
    device = fields.String(required=True)
    fallbacks = fields.List(fields.Nested(FallbackSchema), required=True)
    warnings = fields.List(fields.Nested(NoticeSchema), required=True)
    timings_s = fields.Dict(keys=fields.String(), values=fields.Float(), required=True)
    coverage = MeasuredCoverage()
    segments = fields.List(fields.Nested(SegmentSchema), required=True)


class PlainWordSchema(Schema):
    """One word without the blank before it, as OpenAI's API has it."""

    word = fields.String(required=True)
    start = fields.Float(required=True, metadata={"description": "Seconds"})
    end = fields.Float(required=True)


class UsageSchema(Schema):
    """What OpenAI's API would bill."""

    type = fields.String(required=True, metadata={"enum": ["duration"]})
    seconds = fields.Integer(required=True)


class VerboseTranscriptSchema(Schema):
    """A transcript in the format `verbose_json`: the fields of OpenAI's API, and `coverage`."""

    task = fields.String(required=True)
    language = fields.String(required=True, metadata={"description": "Its English name"})
    duration = fields.Float(required=True, metadata={"description": "Seconds of audio"})
    text = fields.String(required=True)
    segments = fields.List(fields.Nested(PlainSegmentSchema), required=True)
    words = fields.List(
        fields.Nested(PlainWordSchema), metadata={"description": "Only where asked for"}
    )
    usage = fields.Nested(UsageSchema, required=True)
    coverage = MeasuredCoverage()
