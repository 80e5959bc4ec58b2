"""The table of OpenAI's fields is true: it names each, and what is refused is refused."""

import inspect
import re

import pytest
from openai.resources.audio import Transcriptions, Translations

from api.doors.form import values_of
from api.doors.openai.requests import read_transcription, read_translation
from api.doors.openai.schemas import (
    OpenAITranscriptionFormSchema,
    OpenAITranslationFormSchema,
)
from api.multipart import Form, FormFile
from config import load_settings
from domain.errors import ScriptoriumError
from tests.source_tree import ROOT

NOT_IN_THE_FORM = {"self", "extra_headers", "extra_query", "extra_body", "timeout"}
ROW = re.compile(r"^\| `(\w+)` \| (\w[\w ]*) \|", re.MULTILINE)
FORMS = {
    "POST /v1/audio/transcriptions": (OpenAITranscriptionFormSchema(), read_transcription),
    "POST /v1/audio/translations": (OpenAITranslationFormSchema(), read_translation),
}
# A value that OpenAI takes, for every field that may be given alone.
VALUES = {
    "prompt": "A guide.",
    "language": "en",
    "languages": "en",
    "keywords": "Magrathea",
    "response_format": "srt",
    "temperature": "0",
    "timestamp_granularities": "word",
    "stream": "true",
    "chunking_strategy": "auto",
    "include": "logprobs",
    "known_speaker_names": "Ann",
    "known_speaker_references": "data:audio/wav;base64,AA",
}
FILE = FormFile(upload=object(), filename=None, content_type=None)
NEEDS = {"timestamp_granularities": [("response_format", "verbose_json")]}


def table_of(route):
    """What the documentation says of each field of a route."""
    page = (ROOT / "docs" / "compatibility.md").read_text()
    section = page.partition(f"### `{route}`\n")[2].partition("\n#")[0]
    return dict(ROW.findall(section))


def read(settings, route, *pairs):
    schema, understand = FORMS[route]
    return understand(settings, values_of(Form([("model", "tiny"), *pairs], FILE), schema))


@pytest.fixture
def settings(tmp_path):
    return load_settings(
        database_url="postgresql://nobody@127.0.0.1:1/none",
        redis_url="redis://127.0.0.1:1/0",
        admin_api_key="0123456789abcdef",
        data_dir=tmp_path,
    )


@pytest.mark.parametrize(
    ("route", "call"),
    [
        ("POST /v1/audio/transcriptions", Transcriptions.create),
        ("POST /v1/audio/translations", Translations.create),
    ],
)
def test_every_field_of_the_official_client_is_known(route, call):
    schema, _ = FORMS[route]

    of_client = set(inspect.signature(call).parameters) - NOT_IN_THE_FORM

    assert of_client == set(schema.load_fields)


@pytest.mark.parametrize("route", FORMS)
def test_the_table_has_exactly_the_fields_of_the_form(route):
    schema, _ = FORMS[route]

    assert set(table_of(route)) == set(schema.load_fields)
    assert set(table_of(route).values()) <= {"supported", "refused", "no effect"}


@pytest.mark.parametrize("route", FORMS)
def test_what_the_table_calls_refused_is_refused_by_name_and_nothing_else_is(settings, route):
    table = table_of(route)
    for field in set(table) - {"file", "model"}:
        pairs = [*NEEDS.get(field, []), (field, VALUES[field])]
        if table[field] == "refused":
            with pytest.raises(ScriptoriumError) as refused:
                read(settings, route, *pairs)
            assert refused.value.details["option"] == field
        else:
            assert read(settings, route, *pairs)


@pytest.mark.parametrize("route", FORMS)
def test_what_the_table_says_has_no_effect_has_none(settings, route):
    plain = read(settings, route)
    for field, here in table_of(route).items():
        if here == "no effect":
            assert read(settings, route, (field, VALUES[field])) == plain
        elif here == "supported" and field in VALUES:
            assert read(settings, route, *NEEDS.get(field, []), (field, VALUES[field])) != plain
