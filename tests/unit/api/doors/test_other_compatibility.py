"""The tables of Deepgram and AssemblyAI are true: all is named, and what is refused is."""

import inspect
import re

import pytest
from assemblyai import RawTranscriptionConfig
from deepgram.listen.v1.media.raw_client import RawMediaClient

from api.doors.assemblyai.body import read_body
from api.doors.deepgram.query import KNOWN, read_query
from api.doors.problem import Refused
from formats.doors.assemblyai_fields import OPTIONS
from tests.source_tree import ROOT

ROW = re.compile(r"^\| `(\w+)` \| (\w[\w ]*) \|", re.MULTILINE)
HEADER = ("webhook_auth_header_name", "webhook_auth_header_value")
WORDS = {"supported", "refused", "no effect"}


def table_of(title):
    """What the documentation says of each field of an API."""
    page = (ROOT / "docs" / "compatibility.md").read_text()
    return dict(ROW.findall(page.partition(f"\n## {title}\n")[2].partition("\n## ")[0]))


DEEPGRAM = table_of("Deepgram")
ASSEMBLYAI = table_of("AssemblyAI")
# A value that Deepgram takes, where `true` is none.
OF_DEEPGRAM = {
    "model": "nova-3",
    "language": "de",
    "utt_split": "0.5",
    "callback": "https://example.org",
    "callback_method": "PUT",
    "extra": "a:b",
    "punctuate": "false",
    "alternatives": "2",
}
# What no job is made of, because it only repeats what happens anyway.
SILENT = {"detect_language"}
OF_ASSEMBLYAI = {
    "speech_model": "best",
    "speech_models": ["best"],
    "language_code": "de",
    "punctuate": False,
    "format_text": False,
    "prompt": "x",
    "keyterms_prompt": ["x"],
    "word_boost": ["x"],
    "temperature": 0.5,
    "webhook_url": "https://example.org",
}


def test_the_table_of_deepgram_has_exactly_what_is_known():
    of_client = set(inspect.signature(RawMediaClient.transcribe_file).parameters)

    assert set(DEEPGRAM) == KNOWN
    assert of_client - {"self", "request", "request_options"} <= set(DEEPGRAM)
    assert set(DEEPGRAM.values()) <= WORDS


@pytest.mark.parametrize("name", DEEPGRAM)
def test_the_table_of_deepgram_says_what_happens(name):
    pair = (name, OF_DEEPGRAM.get(name, "true"))
    if DEEPGRAM[name] == "refused":
        with pytest.raises(Refused) as refused:
            read_query([pair])
        assert refused.value.details["option"] == name
    else:
        is_different = read_query([pair]) != read_query([])
        assert is_different == (DEEPGRAM[name] == "supported" and name not in SILENT)


def test_the_table_of_assemblyai_has_exactly_what_is_known():
    assert set(ASSEMBLYAI) == OPTIONS
    assert set(RawTranscriptionConfig.model_fields) <= set(ASSEMBLYAI)
    assert set(ASSEMBLYAI.values()) <= WORDS


@pytest.mark.parametrize("name", sorted(set(ASSEMBLYAI) - {"audio_url", *HEADER}))
def test_the_table_of_assemblyai_says_what_happens(name):
    plain = {"audio_url": "https://example.org/a"}
    asked = {**plain, name: OF_ASSEMBLYAI.get(name, True)}
    if ASSEMBLYAI[name] == "refused":
        with pytest.raises(Refused) as refused:
            read_body(asked)
        assert refused.value.details["option"] == name
    else:
        assert read_body(asked) != read_body(plain)
