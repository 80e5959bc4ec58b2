import pytest

from engines.window_rules import (
    Piece,
    cut_window,
    has_no_speech,
    needs_hotter,
    temperatures_of,
)

BEGIN = 1000  # <|0.00|>


def at(seconds):
    return BEGIN + round(seconds / 0.02)


def test_pairs_of_timestamps_cut_segments_and_unfinished_speech_is_heard_again():
    tokens = [at(0), 1, 2, at(2), at(2), 3, at(5), at(5), 4]

    cut = cut_window(tokens, BEGIN, 3000)

    assert cut.pieces == (Piece(0, 4, 0.0, 2.0), Piece(4, 7, 2.0, 5.0))
    assert cut.advance_frames == 500
    assert not cut.ends_in_silence


def test_a_single_timestamp_at_the_end_closes_the_window():
    tokens = [at(0), 1, at(2), at(2), 2, at(7)]

    cut = cut_window(tokens, BEGIN, 2500)

    assert [piece.end_s for piece in cut.pieces] == [2.0, 7.0]
    assert cut.advance_frames == 2500
    assert cut.ends_in_silence


def test_without_a_pair_the_last_timestamp_ends_the_only_segment():
    cut = cut_window([at(0), 1, 2, at(4)], BEGIN, 3000)

    assert cut.pieces == (Piece(0, 4, 0.0, 4.0),)
    assert cut.advance_frames == 3000


@pytest.mark.parametrize("tokens", [[], [1, 2], [at(0), 1]])
def test_without_an_end_the_segment_is_as_long_as_the_recorded_window(tokens):
    cut = cut_window(tokens, BEGIN, 2999)

    assert cut.pieces == (Piece(0, len(tokens), 0.0, 29.99),)
    assert cut.advance_frames == 2999


@pytest.mark.parametrize(
    ("compression_ratio", "avg_logprob", "no_speech_prob", "expected"),
    [
        (1.5, -0.3, 0.0, False),
        (2.5, -0.3, 0.0, True),  # repeats itself
        (1.5, -1.1, 0.0, True),  # unlikely
        (1.5, -1.1, 0.7, False),  # silence
        (2.5, -0.3, 0.9, True),  # confident repetition is no silence
    ],
)
def test_a_hotter_try_is_for_repetition_and_doubt_not_for_silence(
    compression_ratio, avg_logprob, no_speech_prob, expected
):
    assert needs_hotter(compression_ratio, avg_logprob, no_speech_prob) is expected


@pytest.mark.parametrize(
    ("no_speech_prob", "avg_logprob", "expected"),
    [(0.7, -1.2, True), (0.7, -0.5, False), (0.5, -1.2, False), (0.7, float("nan"), True)],
)
def test_a_window_is_dropped_only_when_no_speech_is_likely_and_the_text_is_not(
    no_speech_prob, avg_logprob, expected
):
    assert has_no_speech(no_speech_prob, avg_logprob) is expected


def test_a_chosen_temperature_stands_alone():
    assert temperatures_of(0.4) == (0.4,)
    assert temperatures_of(None) == (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
