"""The second engine against the library that it uses, and against openai-whisper."""

import pytest

from domain.options import TranscriptionOptions
from engines.base import SAMPLE_RATE_HZ
from engines.ctranslate2_whisper import COMPUTE_TYPES, FasterWhisperLoader
from tests.real_models import real_loader, two_cities

CASES = {  # options, and how many seconds of the recording
    "as it comes": ({}, 33),
    "words": ({"word_timestamps": True}, 33),
    "beams and a prompt": ({"beam_size": 2, "initial_prompt": "Doctor Manette"}, 10),
    "translation of a named language": ({"task": "translate", "language": "de"}, 5),
}


@pytest.fixture(scope="module")
def engine():
    loader = real_loader("tiny", kind=FasterWhisperLoader)
    engine = loader.load("tiny", "cpu")
    yield engine
    loader.unload(engine)


def transcribe(engine, audio, **options):
    return engine.transcribe(
        audio,
        TranscriptionOptions("tiny", **options),
        on_progress=lambda _: None,
        should_stop=lambda: False,
    )


@pytest.fixture(scope="module")
def exact_engine():
    """In float32: int8 turns the last bits of the two spectrograms into other words."""
    loader = real_loader("tiny", kind=FasterWhisperLoader)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(COMPUTE_TYPES, "cpu", "float32")
        engine = loader.load("tiny", "cpu")
    yield engine
    loader.unload(engine)


@pytest.mark.parametrize(("options", "length_s"), CASES.values(), ids=CASES)
def test_a_sequence_of_windows_is_the_librarys_token_for_token(exact_engine, options, length_s):
    audio = two_cities()[: length_s * SAMPLE_RATE_HZ]

    ours = transcribe(exact_engine, audio, decode_mode="sequential", **options)
    found, info = exact_engine.model.transcribe(audio, **{"beam_size": 1, **options})
    theirs = list(found)

    assert [list(s.tokens) for s in ours.segments] == [s.tokens for s in theirs]
    assert [(s.start, s.end, s.seek) for s in ours.segments] == [
        (s.start, s.end, s.seek) for s in theirs
    ]
    assert ours.language == info.language
    if options.get("word_timestamps"):
        assert [(w.word, w.start, w.end) for s in ours.segments for w in s.words] == [
            (w.word, w.start, w.end) for s in theirs for w in s.words
        ]


def test_the_converted_weights_say_in_float32_what_openai_whisper_says(exact_engine):
    loader = real_loader("tiny")
    reference = loader.load("tiny", "cpu")

    ours, theirs = (
        transcribe(engine, two_cities(), decode_mode="sequential")
        for engine in (exact_engine, reference)
    )

    assert [s.tokens for s in ours.segments] == [s.tokens for s in theirs.segments]
    loader.unload(reference)


def test_batches_lose_no_speech(engine):
    transcript = transcribe(engine, two_cities())

    assert transcript.text.startswith("It was the best of times, it was the worst of times.")
    assert "direct the other way. In short, the period was so far like" in transcript.text


@pytest.mark.parametrize("mode", ["batched", "sequential"])
def test_the_coverage_of_the_speech_stands_in_the_transcript(engine, mode):
    transcript = transcribe(engine, two_cities(), decode_mode=mode)

    assert transcript.coverage.share > 0.9
    assert transcript.coverage.gaps == ()


def test_a_recording_begins_with_the_threads_that_are_free_then(engine, monkeypatch):
    audio = two_cities()[: 2 * SAMPLE_RATE_HZ]
    monkeypatch.setattr(engine._share, "_fixed_threads", 2)

    transcribe(engine, audio)

    assert engine._threads == 2


def test_an_engine_that_was_unloaded_says_so():
    loader = real_loader("tiny", kind=FasterWhisperLoader)
    engine = loader.load("tiny", "cpu")
    loader.unload(engine)

    with pytest.raises(RuntimeError, match="unloaded"):
        transcribe(engine, two_cities())
