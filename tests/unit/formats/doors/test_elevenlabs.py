"""A transcript in ElevenLabs' words: nothing lost between the words, and true times."""

import json
import math

import pytest

from domain.language_codes import THREE_LETTERS, code_of, three_letters
from domain.languages import LANGUAGES
from domain.transcript import Fallback, Warning_, Word
from formats.doors.elevenlabs import render_transcription, render_webhook
from formats.doors.elevenlabs_exports import FORMATS, Limits, cut
from tests.unit.formats.transcripts import evenly, make_segment, make_transcript


def two_segments():
    """Eight words of half a second each, with a pause of 1.5 s in the middle."""
    return make_transcript(
        make_segment(" One two, three four.", 0, 2, *evenly("One two, three four.", 0, 0.5)),
        make_segment(
            " Five six seven eight.", 3.5, 5.5, *evenly("Five six seven eight.", 3.5, 0.5)
        ),
    )


def render(transcript, **fields):
    return render_transcription(transcript, transcription_id="an-id", fields=fields)


def written(transcript, name, **options):
    (item,) = render(transcript, additional_formats=[{"format": name, **options}])[
        "additional_formats"
    ]
    return item


def test_the_answer_has_what_the_official_client_requires():
    answer = render(two_segments())

    assert answer["language_code"] == "eng"
    assert answer["text"] == "One two, three four. Five six seven eight."
    assert answer["transcription_id"] == "an-id"
    assert answer["audio_duration_secs"] == 5.5
    assert "additional_formats" not in answer


def test_words_and_what_stands_between_them_are_the_whole_text():
    answer = render(two_segments())

    assert "".join(word["text"] for word in answer["words"]) == answer["text"]
    assert [word["type"] for word in answer["words"][:3]] == ["word", "spacing", "word"]


def test_spacing_takes_the_time_between_its_words():
    pause = render(two_segments())["words"][7]

    assert pause == {"text": " ", "type": "spacing", "start": 2.0, "end": 3.5, "logprob": 0.0}


def test_words_that_overlap_leave_no_negative_time_between_them():
    words = (Word(" a", 0, 1.0), Word(" b", 0.9, 1.5))

    spacing = render(make_transcript(make_segment(" a b", 0, 1.5, *words)))["words"][1]

    assert (spacing["start"], spacing["end"]) == (1.0, 1.0)


def test_a_script_without_blanks_has_no_spacing():
    words = (Word("你", 0, 0.5), Word("好", 0.5, 1.0))

    answer = render(make_transcript(make_segment("你好", 0, 1, *words), language="zh"))

    assert [word["text"] for word in answer["words"]] == ["你", "好"]
    assert answer["language_code"] == "zho"


def test_the_logprob_is_that_of_the_word_and_never_endless():
    words = (Word(" sure", 0, 1, 0.5), Word(" never", 1, 2, 0.0))

    answer = render(make_transcript(make_segment(" sure never", 0, 2, *words)))

    assert answer["words"][0]["logprob"] == pytest.approx(math.log(0.5))
    assert math.isfinite(answer["words"][2]["logprob"])


def test_characters_share_the_time_of_their_word():
    segment = make_segment(" abcd", 0, 2, Word(" abcd", 0, 2))

    (word,) = render(make_transcript(segment), timestamps_granularity="character")["words"]

    assert [c["text"] for c in word["characters"]] == ["a", "b", "c", "d"]
    assert [c["start"] for c in word["characters"]] == [0.0, 0.5, 1.0, 1.5]
    assert word["characters"][-1]["end"] == word["end"]


def test_without_timestamps_the_words_are_there_without_times():
    words = render(two_segments(), timestamps_granularity="none")["words"]

    assert [word["text"] for word in words[:3]] == ["One", " ", "two,"]
    assert all("start" not in word and "characters" not in word for word in words)


def test_words_that_were_not_asked_for_have_no_times():
    words = render(make_transcript(make_segment(" Hello there. ", 0, 2)))["words"]

    assert [word["text"] for word in words] == ["Hello", " ", "there."]
    assert all("start" not in word for word in words)


def test_words_that_do_not_add_up_to_the_text_give_way_to_it():
    segment = make_segment(" Hello there.", 0, 1.3, Word(" Hello", 0, 1))

    words = render(make_transcript(segment))["words"]

    assert "".join(word["text"] for word in words) == "Hello there."
    assert (words[0]["start"], words[-1]["end"]) == (0.1, 1.3)


def test_an_empty_transcript_is_an_answer_too():
    answer = render(make_transcript(duration_s=1.0))

    assert (answer["text"], answer["words"]) == ("", [])


def test_a_language_that_the_caller_chose_is_certain():
    assert render(make_transcript())["language_probability"] == 1.0
    assert render(make_transcript(language_probability=0.4))["language_probability"] == 0.4


def test_what_the_reader_must_know_stands_in_the_answer():
    transcript = make_transcript(
        fallbacks=(Fallback("smaller_model", "load", "base", "tiny", "out of memory"),),
        warnings=(Warning_("audio_damaged", "the recording is damaged"),),
    )

    assert render(transcript)["warnings"] == [
        {"code": "fallback_smaller_model", "message": "out of memory"},
        {"code": "audio_damaged", "message": "the recording is damaged"},
    ]
    assert "warnings" not in render(make_transcript())


@pytest.mark.parametrize("name", FORMATS)
def test_every_additional_format_says_what_it_is(name):
    item = written(two_segments(), name)

    assert item["requested_format"] == name
    assert item["is_base64_encoded"] is False
    assert "seven" in item["content"]


def test_srt_is_cut_by_pauses_length_and_characters():
    content = written(two_segments(), "srt", max_segment_chars=10)["content"]

    blocks = [block.splitlines()[2] for block in content.split("\n\n")]
    assert blocks == ["One two,", "three", "four.", "Five six", "seven", "eight."]
    assert content.startswith("1\n00:00:00,000 --> 00:00:01,000\nOne two,\n")


def test_srt_lines_are_as_long_as_is_asked():
    content = written(two_segments(), "srt", max_characters_per_line=9)["content"]

    lines = [line for line in content.splitlines() if line and "-->" not in line]
    assert max(map(len, lines)) <= 9


def test_txt_may_go_without_times():
    timed = written(two_segments(), "txt")["content"]
    plain = written(two_segments(), "txt", include_timestamps=False)["content"]

    assert timed.startswith("[00:00:00.000 --> 00:00:02.000]\nOne two, three four.\n")
    assert plain == "One two, three four.\n\nFive six seven eight.\n"


def test_txt_lines_are_as_long_as_is_asked():
    content = written(two_segments(), "txt", max_characters_per_line=9, include_timestamps=False)[
        "content"
    ]

    assert content.startswith("One two,\nthree\nfour.\n\nFive six\n")


def test_html_says_nothing_but_text():
    segment = make_segment(" <b>&", 0, 1, Word(" <b>&", 0, 1))

    content = written(make_transcript(segment), "html", include_timestamps=False)["content"]

    assert "<p>&lt;b&gt;&amp;</p>" in content


def test_segmented_json_has_segments_with_their_words():
    item = written(two_segments(), "segmented_json", max_segment_duration_s=1)

    body = json.loads(item["content"])
    first = body["segments"][0]
    assert body["language_code"] == "eng"
    assert (first["text"], first["start"], first["end"]) == ("One two,", 0.0, 1.0)
    assert [word["text"] for word in first["words"]] == ["One", " ", "two,"]
    assert len(body["segments"]) == 4


def test_segmented_json_without_times_has_none():
    item = written(two_segments(), "segmented_json", include_timestamps=False)

    assert "start" not in item["content"]


@pytest.mark.parametrize(
    ("limits", "texts"),
    [
        (Limits(), ["One two, three four.", "Five six seven eight."]),
        (Limits(silence_s=2), ["One two, three four. Five six seven eight."]),
        (Limits(silence_s=1), ["One two, three four.", "Five six seven eight."]),
        (Limits(duration_s=1.5), ["One two, three", "four.", "Five six seven", "eight."]),
        (Limits(chars=1), ["One", "two,", "three", "four.", "Five", "six", "seven", "eight."]),
    ],
)
def test_the_text_is_cut_where_the_limits_say(limits, texts):
    parts = cut(two_segments(), limits)

    assert [part.text for part in parts] == texts


def test_a_webhook_carries_the_transcription_and_what_its_owner_added():
    body = render_webhook({"text": "Hi"}, request_id="r", metadata={"a": 1}, timestamp_s=7)

    assert body == {
        "type": "speech_to_text_transcription",
        "event_timestamp": 7,
        "data": {
            "request_id": "r",
            "webhook_metadata": {"a": 1},
            "transcription": {"text": "Hi"},
        },
    }


def test_every_language_has_three_letters_of_its_own():
    assert set(THREE_LETTERS) == set(LANGUAGES)
    assert len(set(THREE_LETTERS.values())) == len(LANGUAGES)


@pytest.mark.parametrize(
    ("given", "code"),
    [("en", "en"), ("ENG", "en"), ("jv", "jw"), ("jav", "jw"), ("cmn", "zh"), ("haw", "haw")],
)
def test_codes_of_two_and_three_letters_are_understood(given, code):
    assert code_of(given) == code


def test_unknown_codes_are_not_guessed():
    assert code_of("xxx") is None
    assert three_letters("xx") == "xx"
