import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audio.speech import FRAME_S, SpeechMap, find_speech
from domain.speech import Span, merge_spans, subtract_spans, total_s
from domain.windows import Window
from engines.base import SAMPLE_RATE_HZ
from engines.ctranslate2_plan import (
    PlannedWindow,
    cut_at_pauses,
    plan_windows,
    quietest_frame,
    windows_of,
)
from tests.real_models import two_cities


def test_windows_cover_the_whole_recording_and_none_is_longer_than_half_a_minute():
    audio = np.concatenate([two_cities(), np.zeros(45 * SAMPLE_RATE_HZ, np.float32), two_cities()])

    plan = plan_windows(audio, find_speech(audio))

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


def test_kept_windows_of_another_plan_are_left_alone():
    plan = [PlannedWindow(0, 2900, speech=()), PlannedWindow(2900, 4000, speech=())]
    kept = Window(0, 2900, "faster_whisper", "tiny")

    ours = windows_of(plan, [kept])
    others = windows_of(plan, [Window(0, 2850, "faster_whisper", "tiny")])

    assert (ours, others) == ([kept], [])
