import pytest
from assemblyai import TranscriptionConfig

from api.doors.assemblyai.body import MAX_PROMPT_CHARS, options_for, read_body
from api.doors.problem import Refused
from config import Settings
from domain.errors import OptionInvalid, ScriptoriumError
from formats.doors.assemblyai_fields import OFF, REFUSED

SETTINGS = Settings(_env_file=None, model_size="base")
URL = "https://example.org/talk.mp3"


def read(**fields):
    return read_body({"audio_url": URL, **fields})


def options(**fields):
    return options_for(SETTINGS, read(**fields))


def refused_field(**fields):
    with pytest.raises(ScriptoriumError) as caught:
        options(**fields)
    return caught.value.details["option"]


def test_an_address_is_enough():
    asked = read()

    assert (asked.audio_url, asked.kept) == (URL, {"audio_url": URL})
    assert options().model_size == "base"
    assert options().word_timestamps
    assert (options().language, options().temperature) == (None, None)


@pytest.mark.parametrize("body", [None, [], "https://example.org", {}, {"audio_url": 7}])
def test_without_an_address_there_is_nothing_to_transcribe(body):
    with pytest.raises(Refused) as caught:
        read_body(body)

    assert caught.value.details["option"] == "audio_url"


def test_what_the_official_client_sends_by_default_is_taken():
    sent = TranscriptionConfig().raw.model_dump(exclude_none=True)

    assert read(**sent).kept == {"audio_url": URL}


@pytest.mark.parametrize("name", OFF)
def test_what_is_not_available_may_be_off_and_not_on(name):
    read(**{name: False})

    assert refused_field(**{name: True}) == name


@pytest.mark.parametrize("name", REFUSED)
def test_an_option_that_means_nothing_here_may_only_be_empty(name):
    read(**{name: None})
    read(**{name: []})

    assert refused_field(**{name: 1}) == name


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"colour": "red"}, "colour"),
        ({"language_detection": True, "language_code": "en"}, "language_detection"),
        ({"language_detection": "yes"}, "language_detection"),
        ({"language_code": 7}, "language_code"),
        ({"language_code": "xx"}, "language"),
        ({"punctuate": "no"}, "punctuate"),
        ({"format_text": 1}, "format_text"),
        ({"temperature": 2}, "temperature"),
        ({"temperature": True}, "temperature"),
        ({"temperature": "hot"}, "temperature"),
        ({"prompt": "x" * (MAX_PROMPT_CHARS + 1)}, "prompt"),
        ({"prompt": ["x"]}, "prompt"),
        ({"word_boost": "Bob"}, "word_boost"),
        ({"word_boost": [7]}, "word_boost"),
        ({"keyterms_prompt": ["x" * (MAX_PROMPT_CHARS + 1)]}, "keyterms_prompt"),
        ({"prompt": "x", "keyterms_prompt": ["y"]}, "keyterms_prompt"),
        ({"speech_model": "best", "speech_models": ["best"]}, "speech_models"),
        ({"speech_model": "unheard"}, "speech_model"),
        ({"speech_models": ["unheard", "unseen"]}, "speech_models"),
        ({"webhook_auth_header_name": "X-Key"}, "webhook_auth_header_value"),
        ({"webhook_auth_header_value": "secret"}, "webhook_auth_header_name"),
        (
            {"webhook_auth_header_name": "X-Key", "webhook_auth_header_value": "secret"},
            "webhook_auth_header_name",
        ),
        ({"webhook_url": "https://example.org/\0"}, "webhook_url"),
        ({"word_boost": ["half of a pair: \ud800"]}, "word_boost"),
    ],
)
def test_what_cannot_be_done_is_refused_by_name(fields, field):
    assert refused_field(**fields) == field


@pytest.mark.parametrize(
    ("fields", "model"),
    [
        ({"speech_model": "best"}, "base"),
        ({"speech_model": "tiny"}, "tiny"),
        ({"speech_models": ["unheard", "small", "tiny"]}, "small"),
    ],
)
def test_the_first_model_that_is_known_counts(fields, model):
    assert options(**fields).model_size == model


def test_an_unknown_model_is_told_with_those_that_there_are():
    with pytest.raises(OptionInvalid) as caught:
        options(speech_model="unheard")

    assert "universal" in caught.value.details["allowed"]


@pytest.mark.parametrize(("given", "code"), [("en_us", "en"), ("pt-BR", "pt"), ("de", "de")])
def test_a_language_is_read_without_its_region(given, code):
    assert options(language_code=given).language == code


@pytest.mark.parametrize(
    ("fields", "prompt"),
    [
        ({"word_boost": ["Bob", " Al "]}, "Bob, Al"),
        ({"keyterms_prompt": ["Scriptorium"]}, "Scriptorium"),
        ({"prompt": "A talk about quills."}, "A talk about quills."),
    ],
)
def test_what_to_expect_goes_into_the_prompt(fields, prompt):
    assert options(**fields).initial_prompt == prompt


def test_a_temperature_of_zero_is_one():
    assert options(temperature=0).temperature == 0.0


def test_a_header_for_webhooks_is_for_them_alone():
    asked = read(
        webhook_url="https://example.org/hook",
        webhook_auth_header_name="X-Key",
        webhook_auth_header_value="secret",
    )

    assert asked.webhook_headers == {"X-Key": "secret"}
    assert "secret" not in str(asked.kept)


def test_how_the_text_is_to_be_written_is_kept():
    assert read(punctuate=False, format_text=False).kept == {
        "audio_url": URL,
        "punctuate": False,
        "format_text": False,
    }
