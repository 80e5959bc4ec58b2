import json
import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import OptionInvalid
from domain.transcript import (
    Coverage,
    Fallback,
    Gap,
    Suspicion,
    Transcript,
    Warning_,
    Word,
)
from formats.registry import FORMATS, render
from formats.subtitles import timestamp
from tests.unit.formats.transcripts import evenly, make_segment, make_transcript

TIME = r"\d{2,}:\d\d:\d\d[.,]\d{3}"


@pytest.fixture
def transcript() -> Transcript:
    return make_transcript(
        make_segment(" Tom & <Jerry>", 0.0, 59.9996), make_segment(" a --> b", 60.0, 3600.5)
    )


def test_srt_numbers_its_blocks_and_escapes_nothing_but_the_arrow(transcript: Transcript):
    text = render(transcript, "srt")

    assert text == (
        "1\n00:00:00,000 --> 00:01:00,000\nTom & <Jerry>\n"
        "\n2\n00:01:00,000 --> 01:00:00,500\na -> b\n"
    )


def test_vtt_escapes_what_its_grammar_reserves(transcript: Transcript):
    text = render(transcript, "vtt")

    assert text == (
        "WEBVTT\n"
        "\n00:00:00.000 --> 00:01:00.000\nTom &amp; &lt;Jerry&gt;\n"
        "\n00:01:00.000 --> 01:00:00.500\na --&gt; b\n"
    )


def test_txt_has_one_line_per_segment_that_has_text():
    text = render(
        make_transcript(
            make_segment(" Hello\n there.", 0, 1),
            make_segment(" ", 1, 2),
            make_segment("Bye", 2, 3),
        ),
        "txt",
    )

    assert text == "Hello there.\nBye\n"


def test_tsv_has_whole_milliseconds_and_no_tab_inside_the_text():
    text = render(make_transcript(make_segment(" a\tb\nc", 0.0004, 59.9996)), "tsv")

    assert text == "start\tend\ttext\n0\t60000\ta b c\n"


def test_json_says_everything_that_is_known(transcript: Transcript):
    fallback = Fallback("smaller_model", "load", "base", "tiny", "out of memory")
    warning = Warning_("audio_repaired", "3 s were lost")
    known = replace(transcript, fallbacks=(fallback,), warnings=(warning,), model_used="tiny")

    body = json.loads(render(known, "json"))

    assert body["text"] == known.text
    assert body["duration"] == 3600.5
    assert (body["model_requested"], body["model_used"]) == ("base", "tiny")
    assert body["fallbacks"] == [
        {
            "rung": "smaller_model",
            "stage": "load",
            "from_model": "base",
            "to_model": "tiny",
            "reason": "out of memory",
        }
    ]
    assert body["warnings"] == [{"code": "audio_repaired", "message": "3 s were lost"}]
    assert body["confidence"] is None
    assert [segment["text"] for segment in body["segments"]] == [" Tom & <Jerry>", " a --> b"]
    assert "words" not in body["segments"][0]


def test_json_writes_null_for_a_number_that_is_none():
    segment = replace(make_segment("a", 0, 1), avg_logprob=float("nan"))

    body = json.loads(render(make_transcript(segment), "json"))

    assert body["segments"][0]["avg_logprob"] is None


@pytest.mark.parametrize("name", ["json", "verbose_json"])
def test_json_says_what_of_the_speech_is_covered(transcript: Transcript, name: str):
    suspicion = Suspicion("repetition_loop", "repeated_text", 0.0, 6.0, (0, 1, 2))
    coverage = Coverage(9.0, 6.0, 0.6667, (Gap(6.0, 9.0),), (suspicion,))

    body = json.loads(render(replace(transcript, coverage=coverage), name))

    assert body["coverage"] == {
        "speech_s": 9.0,
        "transcribed_s": 6.0,
        "share": 0.6667,
        "gaps": [{"start_s": 6.0, "end_s": 9.0}],
        "suspicions": [
            {
                "kind": "repetition_loop",
                "reason": "repeated_text",
                "start_s": 0.0,
                "end_s": 6.0,
                "segment_ids": [0, 1, 2],
            }
        ],
    }


def test_json_keeps_letters_as_they_are():
    assert "日本語" in render(make_transcript(make_segment("日本語", 0, 1)), "json")


def test_verbose_json_has_the_fields_of_openai_and_the_coverage():
    words = (Word(" one", 0.0, 0.5, 0.9), Word(" two", 0.5, 1.0, 0.8))
    body = json.loads(
        render(make_transcript(make_segment(" one two", 0.0, 1.2, *words)), "verbose_json")
    )

    assert body == {
        "task": "transcribe",
        "language": "english",
        "duration": 1.2,
        "text": "one two",
        "segments": [
            {
                "id": 0,
                "seek": 0,
                "start": 0.0,
                "end": 1.2,
                "text": " one two",
                "tokens": [],
                "temperature": 0.0,
                "avg_logprob": None,
                "compression_ratio": None,
                "no_speech_prob": None,
            }
        ],
        "words": [
            {"word": "one", "start": 0.0, "end": 0.5},
            {"word": "two", "start": 0.5, "end": 1.0},
        ],
        "usage": {"type": "duration", "seconds": 2},
        "coverage": None,
    }


def test_verbose_json_has_no_words_when_none_were_asked_for(transcript: Transcript):
    assert "words" not in json.loads(render(transcript, "verbose_json"))


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_writes_an_empty_transcript(name: str):
    text = render(make_transcript(), name)

    assert "None" not in text


def test_an_unknown_format_names_the_known_ones(transcript: Transcript):
    with pytest.raises(OptionInvalid) as caught:
        render(transcript, "docx")

    assert caught.value.details["allowed"] == list(FORMATS)


@pytest.mark.parametrize("option", ["max_line_width", "max_line_count"])
def test_a_limit_below_one_is_refused(transcript: Transcript, option: str):
    with pytest.raises(OptionInvalid) as caught:
        render(transcript, "srt", **{option: 0})

    assert caught.value.details["option"] == option


@pytest.mark.parametrize(
    ("milliseconds", "expected"),
    [(0, "00:00:00.000"), (59_999, "00:00:59.999"), (3_600_000 * 101 + 1, "101:00:00.001")],
)
def test_timestamps_have_hours_minutes_seconds_and_milliseconds(milliseconds: int, expected: str):
    assert timestamp(milliseconds, ".") == expected


@given(
    st.lists(st.text(st.sampled_from("ab &<>-\n1:0,.日"), max_size=30), max_size=5),
    st.sampled_from(["srt", "vtt"]),
    st.one_of(st.none(), st.integers(1, 20)),
)
def test_no_text_can_break_the_block_structure(texts: list[str], name: str, width: int | None):
    segments = [make_segment(text, i, i + 1, *evenly(text, i, 0.1)) for i, text in enumerate(texts)]

    text = render(make_transcript(*segments), name, max_line_width=width, max_line_count=2)

    number = r"\d+\n" if name == "srt" else ""
    block = rf"{number}{TIME} --> {TIME}\n(?!\n)([^\n]*\S[^\n]*\n){{1,2}}"
    header = "" if name == "srt" else "WEBVTT\n(\n|$)"
    assert re.fullmatch(rf"{header}({block}(\n{block})*)?", text)
