"""What OpenAI's fields mean here, and which are refused."""

import pytest

from api.doors.form import values_of
from api.doors.openai.requests import read_transcription, read_translation
from api.doors.openai.schemas import (
    OpenAITranscriptionFormSchema,
    OpenAITranslationFormSchema,
)
from api.multipart import Form, FormFile
from config import load_settings
from domain.errors import ScriptoriumError

FILE = FormFile(upload=object(), filename="a.wav", content_type="audio/wav")


@pytest.fixture
def settings(tmp_path):
    return load_settings(
        database_url="postgresql://nobody@127.0.0.1:1/none",
        redis_url="redis://127.0.0.1:1/0",
        admin_api_key="0123456789abcdef",
        data_dir=tmp_path,
        model_size="base",
        model_aliases="whisper-1=small,gpt-4o-transcribe=turbo",
    )


def transcription(settings, *pairs, model="tiny"):
    form = Form([("model", model), *pairs], FILE)
    return read_transcription(settings, values_of(form, OpenAITranscriptionFormSchema()))


def translation(settings, *pairs, model="tiny"):
    form = Form([("model", model), *pairs], FILE)
    return read_translation(settings, values_of(form, OpenAITranslationFormSchema()))


def refused_field(read, settings, *pairs, **options):
    with pytest.raises(ScriptoriumError) as refused:
        read(settings, *pairs, **options)
    return refused.value.details["option"]


def test_a_file_and_a_model_are_enough(settings):
    asked = transcription(settings)

    assert asked.file is FILE
    assert (asked.options.model_size, asked.options.task) == ("tiny", "transcribe")
    assert (asked.options.language, asked.options.temperature) == (None, None)
    assert asked.options.word_timestamps is False
    assert asked.is_streamed is False
    assert asked.fields == {"model": "tiny", "response_format": "json"}


@pytest.mark.parametrize(
    ("model", "size"),
    [("whisper-1", "small"), ("GPT-4o-Transcribe", "turbo"), ("gpt-transcribe", "base")],
)
def test_hosted_models_are_ours_under_other_names(settings, model, size):
    assert transcription(settings, model=model).options.model_size == size


def test_a_temperature_of_zero_is_one(settings):
    asked = transcription(settings, ("temperature", "0"))

    assert asked.options.temperature == 0.0
    assert asked.options.temperature is not None


def test_prompt_and_keywords_are_what_whisper_reads_before(settings):
    keywords = [("keywords[]", "Zarniwoop"), ("keywords[]", "Magrathea")]

    both = transcription(settings, ("prompt", "A guide."), *keywords)
    alone = transcription(settings, *keywords)

    assert both.options.initial_prompt == "A guide. Zarniwoop, Magrathea."
    assert alone.options.initial_prompt == "Zarniwoop, Magrathea."


@pytest.mark.parametrize(
    "pairs",
    [
        [("language", "de")],
        [("languages[]", "de")],
        [("languages", "de")],
        [("language", "de"), ("languages[]", "de")],
        [("language", "German")],
    ],
)
def test_the_language_comes_in_either_field(settings, pairs):
    assert transcription(settings, *pairs).options.language == "de"


@pytest.mark.parametrize("name", ["timestamp_granularities", "timestamp_granularities[]"])
def test_words_are_timed_when_they_are_asked_for(settings, name):
    verbose = ("response_format", "verbose_json")

    words = transcription(settings, verbose, (name, "word"), (name, "segment"))
    segments = transcription(settings, verbose, (name, "segment"))

    assert words.options.word_timestamps is True
    assert words.fields["timestamp_granularities"] == ["word", "segment"]
    assert segments.options.word_timestamps is False


@pytest.mark.parametrize("name", ["json", "text", "srt", "verbose_json", "vtt"])
def test_every_format_is_taken_for_both(settings, name):
    asked = ("response_format", name)

    assert transcription(settings, asked).fields["response_format"] == name
    assert translation(settings, asked).fields["response_format"] == name


@pytest.mark.parametrize(
    "pairs",
    [
        [("chunking_strategy", "auto")],
        [("chunking_strategy[type]", "server_vad")],
        [("chunking_strategy", '{"type": "server_vad"}')],
    ],
)
def test_cutting_as_it_is_done_anyway_may_be_asked_for(settings, pairs):
    assert transcription(settings, *pairs).options == transcription(settings).options


@pytest.mark.parametrize("response_format", ["json", "text"])
def test_a_stream_is_asked_for(settings, response_format):
    pairs = [("stream", "true"), ("response_format", response_format)]

    assert transcription(settings, *pairs, model="gpt-4o-transcribe").is_streamed is True
    assert transcription(settings, *pairs, model="tiny").is_streamed is True


def test_whisper_1_does_not_stream_as_documented(settings):
    pairs = [("stream", "true"), ("response_format", "srt")]

    assert transcription(settings, *pairs, model="whisper-1").is_streamed is False


@pytest.mark.parametrize(
    ("pairs", "field"),
    [
        ([("response_format", "diarized_json")], "response_format"),
        ([("response_format", "docx")], "response_format"),
        ([("timestamp_granularities[]", "word")], "timestamp_granularities"),
        (
            [("response_format", "verbose_json"), ("timestamp_granularities", "letter")],
            "timestamp_granularities",
        ),
        ([("include[]", "logprobs")], "include"),
        ([("known_speaker_names[]", "Ann")], "known_speaker_names"),
        ([("known_speaker_references[]", "data:audio/wav;base64,AA")], "known_speaker_references"),
        ([("chunking_strategy", "never")], "chunking_strategy"),
        ([("chunking_strategy[type]", "client_vad")], "chunking_strategy"),
        (
            [("chunking_strategy[type]", "server_vad"), ("chunking_strategy[threshold]", "0.5")],
            "chunking_strategy[threshold]",
        ),
        ([("chunking_strategy", '{"threshold": 0.5}')], "chunking_strategy[threshold]"),
        ([("chunking_strategy", '{"size": 3}')], "chunking_strategy[size]"),
        ([("languages[]", "de"), ("languages[]", "fr")], "languages"),
        ([("language", "de"), ("languages[]", "fr")], "language"),
        ([("language", "klingon")], "language"),
        ([("temperature", "1.5")], "temperature"),
        ([("prompt", "x" * 10_001)], "prompt"),
        ([("keywords", "x" * 10_001)], "prompt"),
        ([("keywords", "word")] * 101, "keywords"),
        ([("stream", "true"), ("response_format", "srt")], "response_format"),
        ([("stream", "perhaps")], "stream"),
        ([("task", "translate")], "task"),
    ],
)
def test_what_is_not_supported_is_refused_by_name(settings, pairs, field):
    assert refused_field(transcription, settings, *pairs) == field


def test_speaker_labels_are_said_to_be_missing_yet(settings):
    with pytest.raises(ScriptoriumError, match="not available yet"):
        transcription(settings, ("response_format", "diarized_json"))


@pytest.mark.parametrize("read", [transcription, translation])
def test_a_model_that_nobody_knows_is_refused(settings, read):
    assert refused_field(read, settings, model="gpt-9") == "model"
    assert refused_field(read, settings, model="") == "model"


def test_a_translation_is_one(settings):
    asked = translation(settings, ("prompt", "A guide."), ("temperature", "0.2"))

    assert (asked.options.task, asked.options.initial_prompt) == ("translate", "A guide.")
    assert asked.options.temperature == 0.2
    assert asked.is_streamed is False


@pytest.mark.parametrize("model", ["tiny.en", "turbo", "gpt-4o-transcribe"])
def test_a_model_that_cannot_translate_is_refused_as_the_model(settings, model):
    assert refused_field(translation, settings, model=model) == "model"


@pytest.mark.parametrize(
    "pair", [("response_format", "diarized_json"), ("language", "de"), ("stream", "true")]
)
def test_a_translation_has_fewer_fields(settings, pair):
    assert refused_field(translation, settings, pair) == pair[0]
