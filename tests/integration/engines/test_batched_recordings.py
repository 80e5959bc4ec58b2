"""Recordings through the batched decoder, with real weights and real speech."""

import wave
from dataclasses import replace
from difflib import SequenceMatcher
from functools import partial
from statistics import median
from threading import Barrier, Event, Thread

import numpy as np
import pytest
import whisper

from domain.errors import OutOfMemory, Stopped
from domain.options import TranscriptionOptions
from domain.windows import ignore_window
from engines.base import SAMPLE_RATE_HZ
from engines.cpu_share import CpuShare
from engines.decoding_loop import ALIGNMENT_LOCK
from engines.openai_whisper import OpenAIWhisperLoader
from scripts.samples import sample_path
from tests.kept_windows import through_json
from tests.real_models import MODEL_DIR, two_cities

PATIENCE_S = 120


def sample(name):
    with wave.open(str(sample_path(name))) as recording:
        assert (recording.getframerate(), recording.getnchannels()) == (SAMPLE_RATE_HZ, 1)
        pcm = np.frombuffer(recording.readframes(recording.getnframes()), "<i2")
    return (pcm / 32768).astype(np.float32)


def silence(seconds):
    return np.zeros(round(seconds * SAMPLE_RATE_HZ), np.float32)


def speech_with_pauses():
    """Four utterances with 2, 35 and 4 s of silence between them."""
    return np.concatenate(
        [
            sample("austen_0880.wav"),
            silence(35),
            sample("austen_0920.wav"),
            silence(2),
            sample("austen_0890.wav"),
            silence(4),
            sample("jfk.wav"),
        ]
    )


RECORDINGS = {  # audio and options
    "one window after the other": (two_cities, {}),
    "words": (lambda: sample("jfk.wav"), {"word_timestamps": True, "language": "en"}),
    "drawn": (lambda: sample("austen_0870.wav"), {"temperature": 0.8}),
    "pauses and a prompt": (speech_with_pauses, {"initial_prompt": "Mr. Dashwood"}),
}


def transcribe(
    engine,
    audio,
    *,
    should_stop=lambda: False,
    on_progress=lambda _: None,
    on_window=ignore_window,
    resume=(),
    **options,
):
    return engine.transcribe(
        audio,
        TranscriptionOptions("tiny", **options),
        on_progress=on_progress,
        should_stop=should_stop,
        on_window=on_window,
        resume=resume,
    )


def run_all(calls):
    """What the calls return, or raise, all begun at the same moment."""
    outcomes, start = {}, Barrier(len(calls))

    def run(name, call):
        start.wait(PATIENCE_S)
        try:
            outcomes[name] = call()
        except (Stopped, OutOfMemory) as error:
            outcomes[name] = error

    threads = [Thread(target=run, args=item, daemon=True) for item in calls.items()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_S)
    return outcomes


def calls_of(engine, names=tuple(RECORDINGS)):
    return {
        name: lambda make=make, options=options: transcribe(engine, make(), **options)
        for name, (make, options) in RECORDINGS.items()
        if name in names
    }


@pytest.fixture(scope="module")
def one_by_one(engine):
    return {name: call() for name, call in calls_of(engine).items()}


def check_same(together, alone):
    assert together.segments == alone.segments
    assert together.language == alone.language
    assert together.language_probability == alone.language_probability


def test_recordings_that_are_decoded_together_say_to_the_bit_what_each_says_alone(
    engine, one_by_one
):
    together = run_all(calls_of(engine))

    assert together.keys() == one_by_one.keys()
    for name, transcript in together.items():
        assert transcript.text
        check_same(transcript, one_by_one[name])


def test_recordings_that_are_decoded_together_are_one_engine_at_work(tmp_path):
    share = CpuShare(tmp_path / "places", cores=2)
    loader = OpenAIWhisperLoader(MODEL_DIR, device="cpu", share=share)
    engine = loader.load("tiny", "cpu")
    threads, arrived = [], {"one": Event(), "another": Event()}

    def call(name):
        def should_stop():
            arrived[name].set()
            return False

        def on_progress(_):
            assert all(event.wait(PATIENCE_S) for event in arrived.values())
            threads.append(share.threads())

        return transcribe(
            engine, sample("jfk.wav"), should_stop=should_stop, on_progress=on_progress
        )

    run_all({name: partial(call, name) for name in arrived})

    loader.unload(engine)
    assert threads == [2, 2]


def test_a_stop_of_one_recording_changes_no_other(engine, one_by_one):
    asked = []

    def should_stop():
        asked.append(1)
        return len(asked) > 3

    names = ("words", "pauses and a prompt")
    calls = calls_of(engine, names)
    calls["stopped"] = lambda: transcribe(engine, two_cities(), should_stop=should_stop)

    outcomes = run_all(calls)

    assert isinstance(outcomes["stopped"], Stopped)
    for name in names:
        check_same(outcomes[name], one_by_one[name])


def test_memory_that_runs_out_ends_what_is_decoded_and_the_engine_goes_on(
    engine, one_by_one, monkeypatch
):
    decoder = engine._batched_decoder()._decoder
    steps = []

    def fill_memory():
        steps.append(1)
        if len(steps) == 10:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory")
        return step()

    step = decoder.step
    monkeypatch.setattr(decoder, "step", fill_memory)

    with pytest.raises(OutOfMemory):
        transcribe(engine, two_cities())
    again = transcribe(engine, two_cities())

    check_same(again, one_by_one["one window after the other"])


def test_the_language_is_detected_on_speech_not_on_the_silence_before_it(engine):
    transcript = transcribe(engine, np.concatenate([silence(45), sample("jfk.wav")]))

    assert transcript.language == "en"
    assert 0.5 < transcript.language_probability <= 1


def plain(word):
    return "".join(filter(str.isalnum, word.casefold()))


def words_in_common(ours, theirs):
    """Pairs of words that stand in both, each (text, start, end)."""
    matcher = SequenceMatcher(None, [w[0] for w in ours], [w[0] for w in theirs], autojunk=False)
    return [
        (ours[block.a + i], theirs[block.b + i])
        for block in matcher.get_matching_blocks()
        for i in range(block.size)
    ]


@pytest.mark.parametrize("make", [two_cities, lambda: sample("jfk.wav")], ids=["dickens", "jfk"])
def test_words_lie_where_whisper_itself_has_them(engine, whisper_model, make):
    transcript = transcribe(engine, make(), word_timestamps=True)
    reference = whisper.transcribe(whisper_model, make(), fp16=False, word_timestamps=True)

    ours = [(plain(w.word), w.start, w.end) for s in transcript.segments for w in s.words]
    theirs = [
        (plain(w["word"]), w["start"], w["end"]) for s in reference["segments"] for w in s["words"]
    ]
    pairs = words_in_common(ours, theirs)
    assert len(pairs) > 0.9 * len(theirs)
    assert median(abs(a[1] - b[1]) for a, b in pairs) < 0.2
    assert median(abs(a[2] - b[2]) for a, b in pairs) < 0.2


def test_words_are_in_order_and_make_up_the_text_of_their_segment(engine):
    transcript = transcribe(engine, speech_with_pauses(), word_timestamps=True)

    for segment in transcript.segments:
        times = [time for word in segment.words for time in (word.start, word.end)]
        assert times == sorted(times)
        assert segment.start - 0.01 <= times[0] <= times[-1] <= segment.end + 0.01
        assert "".join(word.word for word in segment.words) == segment.text


@pytest.mark.parametrize(
    "options",
    [
        {"language": "de", "task": "translate"},
        {"language": "ja"},
        {"initial_prompt": "President Kennedy,"},
        {"temperature": 0.8},
    ],
    ids=lambda options: "-".join(map(str, options.values())),
)
def test_words_make_up_the_text_whatever_was_asked_for(engine, options):
    transcript = transcribe(engine, sample("jfk.wav"), word_timestamps=True, **options)

    words = [word for segment in transcript.segments for word in segment.words]
    assert "".join(word.word for word in words).strip() == transcript.text
    assert all(0 <= word.start <= word.end <= transcript.duration_s for word in words)
    assert all(0 < word.probability <= 1 for word in words)


def test_words_do_not_wait_for_an_alignment_of_the_sequential_decoder(engine):
    with ALIGNMENT_LOCK:
        outcomes = run_all(calls_of(engine, ("words",)))

    assert outcomes["words"].segments[0].words


def test_a_text_is_the_same_with_words_and_without(engine):
    plain = transcribe(engine, speech_with_pauses())

    with_words = transcribe(engine, speech_with_pauses(), word_timestamps=True)

    assert with_words.text == plain.text


@pytest.mark.parametrize("kept", [1, 2])
def test_words_behind_kept_windows_are_those_of_an_undisturbed_run(engine, kept):
    windows = []
    undisturbed = transcribe(
        engine, speech_with_pauses(), word_timestamps=True, on_window=windows.append
    )

    resumed = transcribe(
        engine,
        speech_with_pauses(),
        word_timestamps=True,
        resume=through_json(windows[:kept]),
    )

    assert len(windows) > kept
    check_same(resumed, undisturbed)


def test_all_speech_is_covered_and_nothing_is_suspected(engine):
    transcript = transcribe(engine, speech_with_pauses())

    assert transcript.coverage.share > 0.95
    assert transcript.coverage.gaps == ()
    assert transcript.coverage.suspicions == ()
    assert transcript.warnings == ()


def test_segments_lie_where_there_is_speech_and_in_order(engine):
    transcript = transcribe(engine, speech_with_pauses())

    starts = [segment.start for segment in transcript.segments]
    assert starts == sorted(starts)
    assert not any(4 < s.end <= 37 or 4 < s.start < 37 for s in transcript.segments)
    assert transcript.text.startswith("He was not an ill-disposed young man. Had he married")
    assert transcript.text.endswith("what you can do for your country.")


def test_where_nobody_speaks_nothing_is_invented(engine):
    ticks = silence(70)
    ticks[::SAMPLE_RATE_HZ] = 0.5
    shares = []

    transcript = transcribe(engine, ticks, on_progress=shares.append)

    assert transcript.segments == ()
    assert transcript.warnings == ()
    assert (transcript.language, transcript.coverage.share) == ("und", None)
    assert shares == [30 / 70, 1.0]


def test_an_initial_prompt_has_its_say_in_the_spelling(engine):
    audio = sample("austen_0870.wav")

    plainly = transcribe(engine, audio)
    prompted = transcribe(engine, audio, initial_prompt="Mister Jon Dashwoode and")

    assert "Mr. John Dashwood had then leisure" in plainly.text
    assert "Mister Jon Dashwoode had then leisure" in prompted.text


def test_a_translation_is_english_whatever_the_language_is_called(engine):
    audio = sample("jfk.wav")

    told, translated = (
        transcribe(engine, audio, language="de", task=task) for task in ("transcribe", "translate")
    )

    assert (translated.task, translated.language) == ("translate", "de")
    assert "ask what you can do for your country" in translated.text
    assert "ask what you can do for your country" not in told.text


@pytest.fixture(scope="module")
def kept(engine):
    windows = []
    transcribe(engine, speech_with_pauses(), on_window=windows.append)
    return windows


def test_of_kept_windows_none_is_decoded_again(engine, kept):
    added = []

    transcribe(engine, speech_with_pauses(), resume=through_json(kept), on_window=added.append)

    assert len(kept) > 1
    assert added == []


OTHER_PLANS = {
    "of another version": lambda w: replace(w, carried={**w.carried, "plan": 0}),
    "of the sequential decoder": lambda w: replace(w, carried={"language": "en"}),
    "cut at another place": lambda w: replace(w, next_seek=w.next_seek + 1),
}


@pytest.mark.parametrize("change", OTHER_PLANS.values(), ids=OTHER_PLANS)
def test_windows_that_other_rules_cut_are_decoded_anew(engine, kept, change):
    invented = [replace(change(window), segments=()) for window in kept]
    added = []

    transcribe(engine, speech_with_pauses(), resume=invented, on_window=added.append)

    assert added == kept


def test_the_engine_says_where_the_time_went(engine):
    transcript = transcribe(engine, sample("jfk.wav"), word_timestamps=True)

    assert transcript.timings_s.keys() == {
        *("speech_s", "mel_s", "encode_s", "language_s", "decode_s", "words_s")
    }
    assert all(spent_s >= 0 for spent_s in transcript.timings_s.values())
