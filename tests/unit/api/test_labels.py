"""Labels, and text that comes as JSON and is none."""

import pytest
from marshmallow import Schema, ValidationError

from api.schemas.labels import Labels, require_storable

SCHEMA = Schema.from_dict({"labels": Labels()})()


def load(value):
    return SCHEMA.load({"labels": value})["labels"]


def test_labels_are_an_object_or_its_json():
    labels = {"room": 5, "name": "ü", "is_open": True, "share": 0.5, "nothing": None}

    assert load(labels) == labels
    assert load('{"room": 5}') == {"room": 5}


REFUSED = {
    "no json": "{",
    "a list": [],
    "a list as json": "[]",
    "a number": 5,
    "an object inside": {"a": {}},
    "a list inside": {"a": []},
    "an empty name": {"": 1},
    "a long name": {"x" * 101: 1},
    "too many": {str(n): n for n in range(51)},
    "too long": {"a": "x" * 16_400},
    "a nul": {"a": "b\0"},
    "a nul in a name": {"a\0": "b"},
    "half a character": {"a": "\ud800"},
    "no number": '{"a": NaN}',
    "too large a number": '{"a": 1e999}',
    "too deep": "[" * 100_000,
}


@pytest.mark.parametrize("value", REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_a_label_is_refused(value):
    with pytest.raises(ValidationError):
        load(value)


@pytest.mark.parametrize("value", [{"a": ["b\0"]}, ["\udfff"], {"a": float("inf")}])
def test_what_no_database_takes_is_found_at_any_depth(value):
    with pytest.raises(ValidationError):
        require_storable(value)


def test_plain_values_are_storable():
    require_storable({"a": ["b", 1, 0.5, None, True, {"ü": "🎉"}]})
