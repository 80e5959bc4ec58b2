from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Barrier

import numpy as np
import pytest

from domain.errors import Stopped
from domain.options import TranscriptionOptions
from domain.windows import ignore_window
from engines.base import SAMPLE_RATE_HZ
from engines.fake import FakeLoader
from tests.kept_windows import through_json
from tests.real_models import real_loader, two_cities

SILENCE = np.zeros(2 * SAMPLE_RATE_HZ, np.float32)

RESUMED = {  # options, seconds of silence and of speech, and how many windows were decoded
    "words and a prompt": ({"word_timestamps": True, "initial_prompt": "Doctor Manette"}, 0, 33, 1),
    "silence only": ({}, 30, 5, 1),
    "silence and speech": ({"language": "en"}, 30, 33, 2),
}
RESUMED_SAMPLING = {
    "sampling": ({"temperature": 0.4}, 0, 33, 1),
    "sampling too hot to be context": ({"temperature": 0.8}, 0, 33, 1),
}


def transcribe(
    engine,
    audio,
    should_stop=lambda: False,
    on_progress=lambda _: None,
    on_window=ignore_window,
    resume=(),
    **options,
):
    wanted = TranscriptionOptions("tiny", **{"temperature": 0.0, **options})
    return engine.transcribe(
        audio,
        wanted,
        on_progress=on_progress,
        should_stop=should_stop,
        on_window=on_window,
        resume=resume,
    )


def silence_and_speech(silence_s, speech_s):
    silence = np.zeros(silence_s * SAMPLE_RATE_HZ, np.float32)
    return np.concatenate([silence, two_cities()[: speech_s * SAMPLE_RATE_HZ]])


def check_resumed(engine, options, silence_s, speech_s, stop_after):
    audio = silence_and_speech(silence_s, speech_s)
    shares, kept, rest = [], [], []
    undisturbed = transcribe(engine, audio, on_progress=shares.append, **options)
    with pytest.raises(Stopped):
        transcribe(engine, audio, lambda: len(kept) == stop_after, on_window=kept.append, **options)

    resumed = transcribe(
        engine, audio, on_progress=rest.append, resume=through_json(kept), **options
    )

    assert resumed.text == undisturbed.text
    assert resumed.segments == undisturbed.segments
    assert resumed.language == undisturbed.language
    assert resumed.language_probability == undisturbed.language_probability
    assert rest == shares[stop_after:]


def check_together(engine, **options):
    speech = two_cities()
    recordings = [speech[: 9 * SAMPLE_RATE_HZ], speech[-12 * SAMPLE_RATE_HZ :]]
    alone = [transcribe(engine, audio, **options) for audio in recordings]
    both_there = Barrier(2)

    def borrow(audio):
        both_there.wait(20)
        return transcribe(engine, audio, **options)

    with ThreadPoolExecutor(2) as threads:
        together = list(threads.map(borrow, recordings))

    assert [t.segments for t in together] == [t.segments for t in alone]
    assert alone[0].segments != alone[1].segments


class EngineContract:
    """What every engine must do. Subclasses provide the `loader` fixture."""

    @pytest.fixture(scope="class")
    @classmethod
    def engine(cls, loader):
        engine = loader.load("tiny", "cpu")
        yield engine
        loader.unload(engine)

    @pytest.fixture(scope="class")
    @classmethod
    def heard(cls, engine):
        """33 s of speech with words, and the shares of progress on the way."""
        shares = []
        transcript = transcribe(
            engine, two_cities(), on_progress=shares.append, word_timestamps=True
        )
        return transcript, shares

    def test_the_loader_names_a_device_that_it_can_load_on(self, loader):
        devices = loader.devices()

        assert devices[-1] == "cpu"

    def test_an_engine_says_what_it_is_and_how_much_memory_it_takes(self, loader, engine):
        info = engine.info

        assert (info.model_size, info.device) == ("tiny", "cpu")
        estimate_mb = loader.estimate_mb("tiny", "cpu")
        assert estimate_mb * 0.4 < info.memory_mb < estimate_mb * 1.1

    def test_a_transcript_says_who_made_it(self, heard, loader):
        transcript, _ = heard

        assert transcript.engine == loader.name
        assert (transcript.model_requested, transcript.model_used) == ("tiny", "tiny")
        assert transcript.device == "cpu"
        assert transcript.duration_s == 33.0

    def test_segments_are_numbered_in_order_and_lie_within_the_recording(self, heard):
        transcript, _ = heard

        starts = [segment.start for segment in transcript.segments]

        assert [s.id for s in transcript.segments] == list(range(len(transcript.segments)))
        assert starts == sorted(starts)
        assert all(0 <= s.start < s.end <= 34 for s in transcript.segments)
        assert transcript.text

    def test_words_are_within_their_segments_and_carry_probabilities(self, heard):
        transcript, _ = heard

        for segment in transcript.segments:
            assert segment.words
            assert segment.words[0].start >= segment.start - 0.01
            assert segment.words[-1].end <= segment.end + 0.01
            assert all(0 <= word.probability <= 1 for word in segment.words)

    def test_progress_rises_to_one(self, heard):
        _, shares = heard

        assert len(shares) >= 2
        assert shares == sorted(shares)
        assert shares[-1] == 1.0

    def test_a_detected_language_has_a_probability(self, heard):
        transcript, _ = heard

        assert transcript.language == "en"
        assert 0.5 < transcript.language_probability <= 1

    def test_a_chosen_language_has_none(self, engine):
        transcript = transcribe(engine, two_cities()[: 5 * SAMPLE_RATE_HZ], language="en")

        assert transcript.language == "en"
        assert transcript.language_probability is None

    def test_words_that_nobody_asked_for_are_unknown(self, engine):
        transcript = transcribe(engine, two_cities()[: 5 * SAMPLE_RATE_HZ])

        assert {segment.words for segment in transcript.segments} == {None}

    def test_the_same_recording_gives_the_same_transcript(self, engine):
        audio = two_cities()[: 5 * SAMPLE_RATE_HZ]

        first, second = transcribe(engine, audio), transcribe(engine, audio)

        assert first.segments == second.segments

    def test_silence_gives_no_words_and_a_warning(self, engine):
        transcript = transcribe(engine, SILENCE)

        assert transcript.text == ""
        assert [warning.code for warning in transcript.warnings] == ["silent_audio"]
        assert transcript.language_probability is None

    def test_a_recording_of_a_few_milliseconds_gives_no_words_and_a_warning(self, engine):
        transcript = transcribe(engine, np.full(50, 0.1, np.float32))

        assert [warning.code for warning in transcript.warnings] == ["audio_too_short"]
        assert transcript.duration_s == 50 / SAMPLE_RATE_HZ

    def test_a_stop_asked_before_the_start_hears_nothing(self, engine):
        shares = []

        with pytest.raises(Stopped):
            transcribe(engine, two_cities(), lambda: True, shares.append)

        assert shares == []

    def test_a_stop_between_windows_ends_the_work(self, engine):
        shares = []

        with pytest.raises(Stopped):
            transcribe(engine, two_cities(), lambda: bool(shares), shares.append)

        assert len(shares) == 1

    def test_a_stopped_engine_can_be_used_again(self, engine):
        with pytest.raises(Stopped):
            transcribe(engine, two_cities(), lambda: True)

        transcript = transcribe(engine, two_cities()[: 5 * SAMPLE_RATE_HZ])

        assert transcript.text

    @pytest.mark.parametrize(
        ("options", "silence_s", "speech_s", "stop_after"), RESUMED.values(), ids=RESUMED
    )
    def test_after_a_stop_the_rest_is_decoded_and_the_transcript_is_that_of_an_undisturbed_run(
        self, engine, options, silence_s, speech_s, stop_after
    ):
        check_resumed(engine, options, silence_s, speech_s, stop_after)

    def test_two_borrowers_at_once_get_what_each_gets_alone(self, engine):
        check_together(engine, word_timestamps=True)

    def test_it_serves_two_borrowers_at_least(self, engine):
        assert engine.max_borrowers >= 2

    def test_what_it_holds_is_at_least_its_weights(self, engine):
        assert engine.memory_mb >= engine.info.memory_mb

    def test_a_batch_of_one_cannot_shrink(self, engine):
        assert engine.shrink_batch(1) is False

    def test_windows_are_numbered_and_signed_and_hold_the_segments_in_order(self, engine, loader):
        windows = []

        transcript = transcribe(engine, silence_and_speech(30, 33), on_window=windows.append)

        held = [segment for window in windows for segment in window.segments]
        assert [window.number for window in windows] == list(range(len(windows)))
        assert {(w.engine, w.model_used) for w in windows} == {(loader.name, "tiny")}
        assert (windows[0].next_seek, windows[0].segments) == (3000, ())
        assert held == list(transcript.segments)[: len(held)]
        assert held

    def test_a_window_is_there_before_its_progress_is(self, engine):
        order = []

        transcribe(
            engine,
            silence_and_speech(60, 5),
            on_progress=lambda _: order.append("progress"),
            on_window=lambda _: order.append("window"),
        )

        assert order == ["window", "progress", "window", "progress", "progress"]

    def test_new_windows_go_on_counting_after_the_ones_that_are_there(self, engine):
        kept, added = [], []
        transcribe(engine, silence_and_speech(90, 0), on_window=kept.append)

        transcribe(engine, silence_and_speech(90, 0), on_window=added.append, resume=kept[:1])

        assert [(window.number, window.next_seek) for window in kept] == [(0, 3000), (1, 6000)]
        assert [(window.number, window.next_seek) for window in added] == [(1, 6000)]

    def test_a_recording_of_one_window_has_nothing_to_keep(self, engine):
        windows = []

        transcribe(engine, two_cities()[: 5 * SAMPLE_RATE_HZ], on_window=windows.append)

        assert windows == []

    @pytest.mark.parametrize("other", [{"model_used": "base"}, {"engine": "abacus"}])
    def test_windows_of_another_model_or_engine_count_for_nothing(self, engine, other):
        audio = silence_and_speech(60, 0)
        kept, added = [], []
        transcribe(engine, audio, on_window=kept.append)
        foreign = [replace(window, **other) for window in kept]

        transcribe(engine, audio, on_window=added.append, resume=foreign)

        assert [window.number for window in added] == [0]


class SamplingContract:
    """For engines that draw alike again: they know the state of their random generator."""

    @pytest.mark.parametrize(
        ("options", "silence_s", "speech_s", "stop_after"),
        RESUMED_SAMPLING.values(),
        ids=RESUMED_SAMPLING,
    )
    def test_after_a_stop_the_rest_is_drawn_as_in_an_undisturbed_run(
        self, engine, options, silence_s, speech_s, stop_after
    ):
        check_resumed(engine, options, silence_s, speech_s, stop_after)

    def test_two_borrowers_at_once_draw_what_each_draws_alone(self, engine):
        check_together(engine, temperature=0.6)


class TestFakeEngine(EngineContract, SamplingContract):
    @pytest.fixture(scope="class")
    @classmethod
    def loader(cls):
        return FakeLoader()


class Sequential:
    """An engine whose jobs all ask for one window after the other."""

    def __init__(self, engine):
        self._engine = engine

    def __getattr__(self, name):
        return getattr(self._engine, name)

    def transcribe(self, audio, options, **kwargs):
        options = replace(options, decode_mode="sequential")
        return self._engine.transcribe(audio, options, **kwargs)


class OpenAIWhisperContract(EngineContract, SamplingContract):
    """What both ways of decoding with openai-whisper's weights do."""

    @pytest.fixture(scope="class")
    @classmethod
    def loader(cls):
        return real_loader("tiny")

    def test_a_stop_inside_a_window_does_not_wait_for_its_end(self, engine):
        shares, asked = [], []

        def stop_at_the_second_question():
            asked.append(1)
            return len(asked) > 1

        with pytest.raises(Stopped):
            transcribe(engine, two_cities(), stop_at_the_second_question, shares.append)

        assert shares == []


class TestBatchedOpenAIWhisper(OpenAIWhisperContract):
    pass


class TestSequentialOpenAIWhisper(OpenAIWhisperContract):
    @pytest.fixture(scope="class")
    @classmethod
    def loaded(cls, loader):
        engine = loader.load("tiny", "cpu")
        yield engine
        loader.unload(engine)

    @pytest.fixture(scope="class")
    @classmethod
    def engine(cls, loaded):
        return Sequential(loaded)

    def test_a_stopped_decoder_asks_no_more(self, engine, loaded):
        with pytest.raises(Stopped):
            transcribe(engine, two_cities(), lambda: True)

        assert not loaded.model.decoder._forward_pre_hooks
