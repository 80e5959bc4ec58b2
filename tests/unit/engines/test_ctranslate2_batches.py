import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audio.speech import FRAME_S, SpeechMap
from domain.errors import OutOfMemory
from domain.options import TranscriptionOptions
from domain.speech import Span, merge_spans, subtract_spans, total_s
from domain.windows import Window
from engines.base import SAMPLE_RATE_HZ
from engines.ctranslate2_batches import (
    PlannedWindow,
    all_pieces,
    cut_at_pauses,
    plan_windows,
    quietest_frame,
    windows_of,
)
from engines.ctranslate2_decoder import Decoded, Decoder
from engines.out_of_memory import guard_memory
from tests.real_models import two_cities

STAMPS_FROM = 1000  # the id of <|0.00|> in these tests


def stamp(seconds):
    return STAMPS_FROM + round(seconds / 0.02)


def decoded(temperature, *, avg_logprob=-0.3, compression_ratio=1.5):
    return Decoded([1], temperature, avg_logprob, compression_ratio, no_speech_prob=0.0)


class ScriptedDecoder(Decoder):
    """A decoder whose model says, at each temperature, what it was told to."""

    def __init__(self, *script):
        super().__init__(None, None, TranscriptionOptions("tiny"), lambda: False)
        self._script = {step.temperature: step for step in script}
        self.temperatures = []

    def decode(self, encoded, context, temperature, n_windows=1):
        self.temperatures.append(temperature)
        return [self._script[temperature]]


def test_windows_cover_the_whole_recording_and_none_is_longer_than_half_a_minute():
    audio = np.concatenate([two_cities(), np.zeros(45 * SAMPLE_RATE_HZ, np.float32), two_cities()])

    plan = plan_windows(audio)

    assert plan[0].first == 0
    assert plan[-1].last == len(audio) // 160
    assert [w.first for w in plan[1:]] == [w.last for w in plan[:-1]]
    assert all(0 < w.last - w.first <= 3000 for w in plan)
    assert [w.is_heard for w in plan] == [True, True, False, False, True, True]


@given(
    st.lists(st.tuples(st.integers(0, 9_000), st.integers(1, 4_000)), max_size=12),
    st.integers(1, 12_000),
)
def test_every_plan_goes_on_to_the_end_and_hears_all_speech(spans, content_frames):
    speech = [(start, min(start + length, content_frames)) for start, length in spans]
    padded = merge_spans(Span(a / 100, b / 100) for a, b in speech if a < b)
    probabilities = np.zeros(int(content_frames / 100 / FRAME_S) + 1, np.float32)

    plan = cut_at_pauses(
        SpeechMap(padded, probabilities, content_frames / 100), content_frames, lambda *_: False
    )

    heard = merge_spans(Span(w.first / 100, w.last / 100) for w in plan if w.is_heard)
    assert [w.first for w in plan] == [0, *(w.last for w in plan[:-1])]
    assert plan[-1].last == content_frames
    assert all(0 < w.last - w.first <= 3000 for w in plan)
    assert total_s(subtract_spans(padded, heard)) == pytest.approx(0, abs=1e-6)


def test_a_window_ends_in_the_middle_of_the_clearest_pause():
    probabilities = np.ones(1000, np.float32)
    pause = slice(round(24.0 / FRAME_S), round(25.0 / FRAME_S))
    probabilities[pause] = 0.0
    probabilities[round(29.0 / FRAME_S)] = 0.0  # shorter
    speech = SpeechMap((Span(0.0, 32.0),), probabilities, 32.0)

    cut = quietest_frame(speech, 2000, 3000)

    assert 2400 <= cut <= 2500


def test_speech_behind_the_last_closed_segment_is_kept():
    tokens = [stamp(0), 5, stamp(4), stamp(4), 6, 7]

    pieces = all_pieces(tokens, STAMPS_FROM, 900)

    assert [(p.first, p.last) for p in pieces] == [(0, 3), (3, 6)]
    assert (pieces[1].start_s, pieces[1].end_s) == (4.0, 9.0)


def test_a_window_that_is_closed_has_no_piece_more():
    tokens = [stamp(0), 5, stamp(4), stamp(4), 6, stamp(8)]

    pieces = all_pieces(tokens, STAMPS_FROM, 900)

    assert [(p.start_s, p.end_s) for p in pieces] == [(0.0, 4.0), (4.0, 8.0)]


def test_kept_windows_of_another_plan_are_left_alone():
    plan = [PlannedWindow(0, 2900, is_heard=True), PlannedWindow(2900, 4000, is_heard=True)]
    kept = Window(0, 2900, "faster_whisper", "tiny")

    ours = windows_of(plan, [kept])
    others = windows_of(plan, [Window(0, 2850, "faster_whisper", "tiny")])

    assert (ours, others) == ([kept], [])


def test_a_failed_window_is_tried_hotter_until_its_text_passes():
    decoder = ScriptedDecoder(decoded(0.2, avg_logprob=-2.0), decoded(0.4))

    final = decoder.decode_with_fallback(None, [], tried=[decoded(0.0, compression_ratio=3.0)])

    assert final == decoded(0.4)
    assert decoder.temperatures == [0.2, 0.4]


def test_where_no_text_passes_the_likeliest_without_repetition_is_taken():
    script = [decoded(t / 10, avg_logprob=-1.2 - t / 10) for t in (2, 4, 6, 8, 10)]
    decoder = ScriptedDecoder(decoded(0.0, compression_ratio=9.0), *script)

    final = decoder.decode_with_fallback(None, [])

    assert final == decoded(1.0, avg_logprob=-1.4)


@pytest.mark.parametrize(
    "message",
    [
        "CUDA failed with error out of memory",
        "cuBLAS failed with status CUBLAS_STATUS_ALLOC_FAILED",
    ],
)
def test_a_device_that_is_full_is_recognised_by_the_librarys_words(message):
    def fail():
        raise RuntimeError(message)

    with pytest.raises(OutOfMemory):
        guard_memory(fail, model_size="tiny", device="cuda:0")
