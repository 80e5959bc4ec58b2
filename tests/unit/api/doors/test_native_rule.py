"""One address, two APIs: which form is whose, and what the native one refuses by name."""

import re

import pytest

from api.doors.form import values_of
from api.doors.native.submit import FORM, HARMLESS, NAMES, REFUSED, is_native, options_of
from api.doors.openai.schemas import OpenAITranscriptionFormSchema
from api.multipart import Form, FormFile
from domain.errors import ScriptoriumError
from tests.source_tree import ROOT

FILE = FormFile(upload=object(), filename=None, content_type=None)
ROW = re.compile(r"^\| `(\w+)` \| (\w[\w ]*) \|", re.MULTILINE)
VALUES = {
    "name": "Monday",
    "model": "tiny",
    "language": "de",
    "vocabulary": '["Magrathea", "Slartibartfast"]',
    "timestamps_granularity": "segment",
    "speaker_detection": "diarize",
    "pii_detection": "true",
    "redact_pii_audio": "true",
    "lite_profile": "speaker",
    "audio_url": "https://example.com/talk.mp3",
    "webhook_url": "https://example.com/hook",
}

NATIVE = {
    "nothing but a file": [],
    "a file and a language": [("language", "en")],
    "the model auto": [("model", "auto"), ("language", "en")],
    "as their client sends it": [
        ("language", "auto"),
        ("speaker_detection", "none"),
        ("timestamps_granularity", "word"),
    ],
    "a name and a model of ours": [("model", "tiny"), ("name", "Monday")],
    "a name and a hosted model": [("model", "whisper-1"), ("name", "Monday")],
    "an address": [("audio_url", "https://example.com/talk.mp3")],
    "what is refused": [("model", "whisper-1"), ("retention", "7")],
}
OPENAI = {
    "as their client sends it": [("model", "whisper-1"), ("response_format", "json")],
    "a model of ours": [("model", "tiny")],
    "an empty model": [("model", "")],
    "an empty name": [("model", "tiny"), ("name", "")],
    "their field and no model": [("response_format", "srt")],
    "their list and no model": [("timestamp_granularities[]", "word")],
}


@pytest.mark.parametrize("pairs", NATIVE.values(), ids=NATIVE)
def test_what_only_the_native_api_knows_makes_a_form_native(pairs):
    assert is_native(pairs)


@pytest.mark.parametrize("pairs", OPENAI.values(), ids=OPENAI)
def test_every_other_form_is_that_of_openai(pairs):
    assert not is_native(pairs)


def test_the_two_forms_share_these_names_and_no_other():
    shared = NAMES & set(OpenAITranscriptionFormSchema().load_fields)

    assert shared == {"file", "model", "language"}


def table():
    page = (ROOT / "docs" / "compatibility.md").read_text()
    section = page.partition("### Dalston's submission\n")[2].partition("\n#")[0]
    return dict(ROW.findall(section))


def read(settings, *pairs):
    return options_of(settings, values_of(Form([*pairs], FILE), FORM))


def test_the_table_has_exactly_the_fields_of_the_form():
    assert set(table()) == NAMES
    assert set(table().values()) <= {"supported", "refused", "no effect"}


def test_what_the_table_calls_refused_is_refused_by_name_and_nothing_else_is(settings):
    for field, here in table().items():
        value = VALUES.get(field, "x")
        if here == "refused":
            with pytest.raises(ScriptoriumError) as refused:
                read(settings, (field, value))
            assert refused.value.details["option"] == field
        elif field != "file":
            assert read(settings, (field, value))
    assert {f for f, here in table().items() if here == "refused"} == {*REFUSED, *HARMLESS}


def test_what_asks_for_nothing_is_taken(settings):
    asked = [(name, str(harmless).lower()) for name, (harmless, _) in HARMLESS.items()]

    assert read(settings, *asked) == read(settings)


def test_fields_become_options_of_the_job(settings):
    options = read(settings, *((name, VALUES[name]) for name in ("model", "language")))
    with_terms = read(settings, ("vocabulary", VALUES["vocabulary"]))
    segments = read(settings, ("timestamps_granularity", "segment"))

    assert (options.model_size, options.language, options.word_timestamps) == ("tiny", "de", True)
    assert with_terms.initial_prompt == "Magrathea, Slartibartfast"
    assert segments.word_timestamps is False


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("vocabulary", "[1]"),
        ("vocabulary", '{"a": 1}'),
        ("vocabulary", "Magrathea"),
        ("vocabulary", '["' + "x" * 51 + '"]'),
        ("vocabulary", '["a\\u0000b"]'),
        ("timestamps_granularity", "character"),
        ("model", "scribe_v9"),
        ("language", "klingon"),
        ("name", "x" * 256),
        ("pii_detection", "perhaps"),
    ],
)
def test_a_value_that_is_not_allowed_is_refused_by_name(settings, field, value):
    with pytest.raises(ScriptoriumError) as refused:
        read(settings, (field, value))

    assert refused.value.details["option"] == field
