"""How clients of other APIs write lists and objects into a form."""

import pytest
from marshmallow import fields, validate

from api.doors.form import InParts, JsonText, names_of, values_of
from api.multipart import Form
from api.schemas.base import StrictSchema
from domain.errors import OptionInvalid, ScriptoriumError


class ToySchema(StrictSchema):
    """One field of every kind."""

    model = fields.String()
    temperature = fields.Float(validate=validate.Range(0, 1))
    stream = fields.Boolean()
    words = fields.List(fields.String(validate=validate.OneOf(["a", "b", "null"])))
    strategy = InParts(("type", "threshold"))
    extra = JsonText()


def read(*pairs):
    return values_of(Form([*pairs]), ToySchema())


def test_every_way_to_write_a_field_is_known():
    assert names_of(ToySchema()) == {
        *("file", "model", "temperature", "stream", "extra", "words", "words[]"),
        *("strategy", "strategy[type]", "strategy[threshold]"),
    }


@pytest.mark.parametrize(
    "names", [("words", "words"), ("words[]", "words[]"), ("words", "words[]")]
)
def test_a_list_comes_with_brackets_or_without(names):
    assert read((names[0], "a"), (names[1], "b")) == {"words": ["a", "b"]}


def test_a_list_of_one_is_a_list():
    assert read(("words", "a")) == {"words": ["a"]}


def test_an_object_comes_in_parts_or_as_json_or_as_a_word():
    parts = read(("strategy[type]", "vad"), ("strategy[threshold]", "0.5"))
    as_json = read(("strategy", '{"type": "vad", "threshold": "0.5"}'))

    assert parts == as_json == {"strategy": {"type": "vad", "threshold": "0.5"}}
    assert read(("strategy", "auto")) == {"strategy": "auto"}


@pytest.mark.parametrize("value", ["true", "True", "1", "on"])
def test_a_truth_is_written_in_many_ways(value):
    assert read(("stream", value)) == {"stream": True}


def test_zero_and_false_are_values():
    assert read(("temperature", "0"), ("stream", "false")) == {"temperature": 0.0, "stream": False}


def test_what_is_empty_was_not_given():
    assert read(("model", ""), ("words[]", ""), ("strategy[type]", "")) == {}


def test_json_in_a_field_is_parsed():
    assert read(("extra", '[{"format": "srt"}]')) == {"extra": [{"format": "srt"}]}


def test_the_same_value_twice_is_one_value():
    assert read(("model", "tiny"), ("model", "tiny")) == {"model": "tiny"}


@pytest.mark.parametrize(
    ("pairs", "field"),
    [
        ([("model", "tiny"), ("model", "base")], "model"),
        ([("strategy[type]", "a"), ("strategy[type]", "b")], "strategy[type]"),
        ([("strategy", "auto"), ("strategy[type]", "vad")], "strategy"),
        ([("strategy", '{"kind": "vad"}')], "strategy[kind]"),
        ([("model", "ti\0ny")], "model"),
        ([("words[]", "a\0")], "words[]"),
        ([("unknown", "x")], "unknown"),
        ([("unknown[x]", "x")], "unknown"),
        ([("temperature", "warm")], "temperature"),
        ([("temperature", "2")], "temperature"),
        ([("temperature", "nan")], "temperature"),
        ([("stream", "maybe")], "stream"),
        ([("words[]", "c")], "words"),
        ([("strategy", "{")], "strategy"),
        ([("extra", "{")], "extra"),
        ([("extra", "[" * 100_000)], "extra"),
    ],
)
def test_what_cannot_be_meant_is_refused_by_its_name(pairs, field):
    with pytest.raises(ScriptoriumError) as refused:
        read(*pairs)

    assert refused.value.details["option"] == field
    assert refused.value.code in ("option_invalid", "validation_error")


def test_a_refusal_says_what_is_wrong():
    with pytest.raises(ScriptoriumError, match=r"temperature: Not a valid number\."):
        read(("temperature", "warm"))
    with pytest.raises(OptionInvalid, match="given twice"):
        read(("model", "tiny"), ("model", "base"))
