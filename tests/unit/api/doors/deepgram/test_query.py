import inspect

import pytest
from deepgram.listen.v1.media.raw_client import RawMediaClient

from api.doors.deepgram.query import (
    HOSTED_MODELS,
    KNOWN,
    MAX_PROMPT_CHARS,
    OFF,
    ONLY_ONE_VALUE,
    REFUSED,
    options_for,
    read_query,
)
from api.doors.problem import Refused
from config import Settings
from domain.errors import OptionInvalid

SETTINGS = Settings(_env_file=None, model_size="base")


def read(**values):
    return read_query(
        (name, value)
        for name, given in values.items()
        for value in (given if isinstance(given, list) else [given])
    )


def refused_field(**values):
    with pytest.raises(Refused) as caught:
        read(**values)
    return caught.value.details["option"]


def test_every_parameter_of_the_official_client_is_known():
    given = set(inspect.signature(RawMediaClient.transcribe_file).parameters)

    assert given - {"self", "request", "request_options"} <= KNOWN


def test_without_parameters_the_server_decides():
    options = options_for(SETTINGS, read())

    assert (options.model_size, options.language, options.initial_prompt) == ("base", None, None)
    assert options.word_timestamps


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("nova-3", "base"),
        ("Nova-2-Medical", "base"),
        ("tiny", "tiny"),
        ("base", "base"),
        ("whisper-large", "large-v3"),
        ("whisper-small", "small"),
    ],
)
def test_a_model_is_theirs_or_ours(given, expected):
    assert options_for(SETTINGS, read(model=given)).model_size == expected


def test_an_unknown_model_is_refused_by_name():
    with pytest.raises(OptionInvalid) as caught:
        options_for(SETTINGS, read(model="nova-99"))

    assert caught.value.details["option"] == "model"


def test_their_models_do_not_hide_ours():
    assert "base" not in HOSTED_MODELS


@pytest.mark.parametrize(("tag", "code"), [("en-US", "en"), ("pt_BR", "pt"), ("de", "de")])
def test_a_language_is_read_without_its_region(tag, code):
    assert options_for(SETTINGS, read(language=tag)).language == code


@pytest.mark.parametrize("name", OFF)
def test_what_is_not_available_may_be_off_and_not_on(name):
    read(**{name: "false"})

    assert refused_field(**{name: "true"}) == name


@pytest.mark.parametrize("name", REFUSED)
def test_what_has_no_off_is_refused_by_name(name):
    assert refused_field(**{name: "1"}) == name


@pytest.mark.parametrize("name", ONLY_ONE_VALUE)
def test_some_parameters_have_one_value_here(name):
    read(**{name: ONLY_ONE_VALUE[name]})

    assert refused_field(**{name: "2"}) == name


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"colour": "red"}, "colour"),
        ({"language": "multi"}, "language"),
        ({"language": ["en", "de"]}, "language"),
        ({"detect_language": "true", "language": "en"}, "detect_language"),
        ({"detect_language": "en"}, "detect_language"),
        ({"punctuate": "yes"}, "punctuate"),
        ({"utt_split": "soon"}, "utt_split"),
        ({"utt_split": "nan"}, "utt_split"),
        ({"utt_split": "0"}, "utt_split"),
        ({"keywords": "Bob:5"}, "keywords"),
        ({"keyterm": ["x"] * 101}, "keyterm"),
        ({"keyterm": "x" * (MAX_PROMPT_CHARS + 1)}, "keyterm"),
        ({"tag": ["x"] * 33}, "tag"),
        ({"tag": "x" * 129}, "tag"),
        ({"extra": "without a value"}, "extra"),
        ({"extra": ["a:1", "a:2"]}, "extra"),
        ({"extra": "tag:1", "tag": "one"}, "extra"),
        ({"model": "tiny\0"}, "model"),
    ],
)
def test_what_cannot_be_done_is_refused_by_name(values, field):
    assert refused_field(**values) == field


def test_an_empty_value_is_as_good_as_none():
    assert read(language="", redact="", keyterm=["", " "]) == read()


def test_the_same_value_twice_is_one():
    assert read(language=["en", "en"]).language == "en"


def test_terms_go_into_the_prompt_in_their_order():
    asked = read(keyterm=["Scriptorium", "Whisper"], keywords="quill")

    assert options_for(SETTINGS, asked).initial_prompt == "Scriptorium, Whisper, quill"


def test_tags_and_extras_are_kept_and_become_labels():
    asked = read(tag=["one", "two"], extra="ref:a:b")

    assert asked.kept == {"tag": ["one", "two"], "extra": {"ref": "a:b"}}
    assert asked.labels == {"tag": "one, two", "ref": "a:b"}


def test_only_what_changes_the_answer_is_kept():
    asked = read(utterances="true", utt_split="1.5", paragraphs="false", mip_opt_out="true")

    assert asked.kept == {"utterances": True, "utt_split": 1.5}


@pytest.mark.parametrize(
    ("values", "kept"),
    [
        ({"punctuate": "true"}, {}),
        ({"punctuate": "false"}, {"punctuate": False}),
        ({"punctuate": "false", "smart_format": "true"}, {"paragraphs": True}),
    ],
)
def test_punctuation_is_left_out_only_when_nothing_asks_for_it(values, kept):
    assert read(**values).kept == kept


@pytest.mark.parametrize(
    ("values", "kept"),
    [
        ({"smart_format": "true"}, {"paragraphs": True}),
        ({"smart_format": "true", "paragraphs": "false"}, {}),
        ({"smart_format": "false"}, {}),
        ({"smart_format": "false", "paragraphs": "true"}, {"paragraphs": True}),
    ],
)
def test_a_smart_format_has_paragraphs_unless_they_are_not_wanted(values, kept):
    assert read(**values).kept == kept
