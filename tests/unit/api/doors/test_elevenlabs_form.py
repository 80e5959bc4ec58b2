"""What a form may say: every field of the official client is understood or refused by name."""

import inspect
import json
import re

import pytest
from elevenlabs.speech_to_text.client import SpeechToTextClient

from api.doors.elevenlabs.forms import FormInvalid, check_form
from api.doors.elevenlabs.schemas import ConvertFormSchema, ConvertQuerySchema
from api.doors.elevenlabs.translation import door_fields_of, options_of
from api.doors.elevenlabs.values import MAX_PROMPT_CHARS, Unsupported
from api.multipart import Form
from domain.errors import OptionInvalid
from tests.source_tree import ROOT

SOURCE = ("source_url", "https://example.org/a.mp3")
MODEL = ("model_id", "scribe_v2")
NOT_IN_THE_FORM = {"self", "token", "enable_logging", "request_options"}
ALWAYS_SENT = ("keyterms", "webhook_metadata", "entity_detection", "entity_redaction")


def read(*pairs):
    return check_form(Form([MODEL, SOURCE, *pairs]), ConvertFormSchema())


def refusal(*pairs):
    """Which fields were refused, each with the first sentence about it."""
    with pytest.raises(FormInvalid) as caught:
        read(*pairs)
    return caught.value.details


def test_every_field_of_the_official_client_is_known():
    asked = set(inspect.signature(SpeechToTextClient.convert).parameters) - NOT_IN_THE_FORM

    assert asked == set(ConvertFormSchema().load_fields)
    assert set(ConvertQuerySchema().load_fields) == {"enable_logging"}


def test_every_field_is_documented_with_what_becomes_of_it():
    text = (ROOT / "docs" / "compatibility.md").read_text()
    table = text[text.index("## ElevenLabs") :].partition("\n## ")[0]
    documented = dict(re.findall(r"^\| `(\w+)` \| ([\w ]+) \|", table, re.MULTILINE))
    fields = {**ConvertFormSchema().load_fields, **ConvertQuerySchema().load_fields}
    expected = {
        name: "refused" if isinstance(field, Unsupported) else "supported"
        for name, field in fields.items()
    }

    assert documented == {**expected, "seed": "no effect"}


@pytest.mark.parametrize("name", ALWAYS_SENT)
def test_the_word_null_that_the_client_sends_for_nothing_is_nothing(name):
    assert read((name, "null")) == read()


def test_a_form_with_every_word_null_asks_for_nothing():
    names = set(ConvertFormSchema().load_fields) - {"file", "model_id", "source_url"}

    assert read(*((name, "null") for name in names)) == read()
    assert read(*((name, "") for name in names)) == read()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("diarize", "false"),
        ("tag_audio_events", "False"),
        ("no_verbatim", "false"),
        ("use_multi_channel", "false"),
        ("multichannel_output_style", "separate"),
        ("entity_detection", "[]"),
        ("secondary_language_codes", "[]"),
        ("webhook", "false"),
    ],
)
def test_what_asks_for_nothing_is_accepted(name, value):
    assert read((name, value)).get(name) in (None, False)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("diarize", "true"),
        ("tag_audio_events", "true"),
        ("num_speakers", "2"),
        ("diarization_threshold", "0.22"),
        ("use_speaker_library", "true"),
        ("detect_speaker_roles", "true"),
        ("no_verbatim", "true"),
        ("use_multi_channel", "true"),
        ("multichannel_output_style", "combined"),
        ("entity_detection", '"all"'),
        ("entity_redaction", '["pii"]'),
        ("entity_redaction_mode", "redacted"),
        ("secondary_language_codes", "de"),
        ("numbers_format", "digits"),
        ("transcript_edit", "make it shorter"),
    ],
)
def test_what_is_not_supported_is_refused_by_name(name, value):
    found = refusal((name, value))

    assert list(found) == [name]
    assert found[name][0].startswith("Not supported by this server: ")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("language_code", "klingon"),
        ("temperature", "1.5"),
        ("temperature", "nan"),
        ("seed", "-1"),
        ("timestamps_granularity", "letter"),
        ("file_format", "mp3"),
        ("webhook", "perhaps"),
        ("additional_formats", "txt"),
        ("additional_formats", '{"format": "txt"}'),
        ("additional_formats", "[" * 100_000),
        ("additional_formats", '[{"format": "txt", "max_segment_chars": 0}]'),
        ("additional_formats", '[{"format": "txt", "max_segment_chars": 10.5}]'),
        ("additional_formats", '[{"format": "docx"}]'),
        ("additional_formats", '[{"format": "pdf"}]'),
        ("additional_formats", '[{"format": "vtt"}]'),
        ("additional_formats", "[{}]"),
        ("additional_formats", '[{"format": "srt", "include_timestamps": false}]'),
        ("additional_formats", '[{"format": "txt", "include_speakers": true}]'),
        ("additional_formats", '[{"format": "html", "max_characters_per_line": 40}]'),
        ("additional_formats", json.dumps([{"format": "txt"}] * 11)),
        ("keyterms", "x" * 51),
        ("keyterms", "one two three four five six"),
        ("keyterms", "a <tag>"),
        ("keyterms", '["a", 1]'),
        ("keyterms", '["a"'),
    ],
)
def test_a_value_that_cannot_be_is_refused_by_name(name, value):
    assert list(refusal((name, value))) == [name]


def test_a_field_of_a_format_that_is_not_known_is_refused():
    with pytest.raises(OptionInvalid, match="speakers"):
        read(("additional_formats", '[{"format": "txt", "speakers": true}]'))


def test_every_fault_is_told_at_once():
    assert set(refusal(("diarize", "true"), ("temperature", "x"))) == {"diarize", "temperature"}


def test_a_model_is_required():
    with pytest.raises(FormInvalid) as caught:
        check_form(Form([SOURCE]), ConvertFormSchema())

    assert list(caught.value.details) == ["model_id"]


@pytest.mark.parametrize("pairs", [(), (SOURCE, ("cloud_storage_url", "https://example.org"))])
def test_there_is_exactly_one_recording(pairs):
    with pytest.raises(FormInvalid, match="not valid") as caught:
        check_form(Form([MODEL, *pairs]), ConvertFormSchema())

    (messages,) = caught.value.details.values()
    assert messages == ["Exactly one of file, source_url, cloud_storage_url."]


@pytest.mark.parametrize(
    "pairs",
    [
        [("keyterms", "Ada Lovelace"), ("keyterms", "Babbage")],
        [("keyterms[]", "Ada Lovelace"), ("keyterms[]", "Babbage")],
        [("keyterms", '["Ada Lovelace", "Babbage"]')],
    ],
)
def test_keyterms_come_repeated_or_as_one_list(pairs, settings):
    options = options_of(settings, read(*pairs))

    assert options.initial_prompt == "Ada Lovelace, Babbage"


def test_keyterms_that_whisper_would_not_read_are_refused():
    terms = [("keyterms", "x" * 49)] * (MAX_PROMPT_CHARS // 51)

    assert read(*terms)["keyterms"]
    assert "Whisper would read only" in refusal(*terms, ("keyterms", "x" * 50))["keyterms"][0]


def test_formats_that_were_encoded_twice_are_understood():
    text = json.dumps([{"format": "txt", "include_timestamps": False}])

    assert read(("additional_formats", json.dumps(text))) == read(("additional_formats", text))


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ('{"a": {"b": 1}}', {"a": {"b": 1}}),
        (json.dumps('{"id": "x"}'), {"id": "x"}),
        ("{}", {}),
    ],
)
def test_metadata_is_kept_as_it_is(given, kept):
    assert read(("webhook", "true"), ("webhook_metadata", given))["webhook_metadata"] == kept


@pytest.mark.parametrize(
    "given",
    [
        "[1]",
        "text",
        "1",
        '{"a": {"b": {"c": 1}}}',
        '{"a": NaN}',
        '{"a": 1e999}',
        '{"a": "\\u0000"}',
        '{"a": "\\ud800"}',
        json.dumps({"a": "x" * 16_384}),
    ],
)
def test_metadata_that_cannot_be_kept_is_refused(given):
    assert list(refusal(("webhook", "true"), ("webhook_metadata", given))) == ["webhook_metadata"]


@pytest.mark.parametrize(
    "pair",
    [("webhook_metadata", "{}"), ("webhook_id", "0198c5a0-0000-7000-8000-000000000000")],
)
def test_words_for_a_webhook_need_one(pair):
    assert refusal(pair) == {pair[0]: ["Only with webhook=true."]}


@pytest.mark.parametrize("name", ["keyterms", "source_url"])
def test_a_nul_character_is_refused(name):
    with pytest.raises(OptionInvalid, match="NUL"):
        read((name, "a\0b"))


def test_a_field_with_two_values_is_refused():
    with pytest.raises(OptionInvalid, match="seed is given twice"):
        read(("seed", "1"), ("seed", "2"))


@pytest.mark.parametrize(
    ("pairs", "expected"),
    [
        ([], {"language": None, "temperature": None, "word_timestamps": True}),
        ([("language_code", "deu")], {"language": "de"}),
        ([("temperature", "0")], {"temperature": 0.0}),
        ([("timestamps_granularity", "none")], {"word_timestamps": False}),
        ([("timestamps_granularity", "character")], {"word_timestamps": True}),
        ([("seed", "7")], {"temperature": None}),
    ],
)
def test_fields_become_options(pairs, expected, settings):
    options = options_of(settings, read(*pairs)).to_dict()

    assert options == {**options, **expected, "model_size": settings.model_size}


def test_additional_formats_need_the_times_of_words(settings):
    form = read(("timestamps_granularity", "none"), ("additional_formats", '[{"format": "srt"}]'))

    assert options_of(settings, form).word_timestamps is True
    assert door_fields_of(form) == {
        "timestamps_granularity": "none",
        "additional_formats": [{"format": "srt"}],
    }


def test_their_models_and_ours_are_understood_and_unknown_ones_are_not(settings):
    form = read()

    assert options_of(settings, {**form, "model_id": "tiny"}).model_size == "tiny"
    medical = options_of(settings, {**form, "model_id": "scribe_v2_medical"})
    assert medical.model_size == settings.model_size
    with pytest.raises(OptionInvalid) as caught:
        options_of(settings, {**form, "model_id": "scribe_v9"})
    assert caught.value.details["option"] == "model_id"
