from dataclasses import replace

import pytest

from benchmarks.speed_turns import error_percent, in_turn, median_gain, standings
from tests.unit.benchmarks.speed_runs import gain_of, turn_of


def test_the_ratio_is_the_median_of_the_rounds_and_not_of_the_times():
    turns = {
        "ours": [turn_of(1), turn_of(10), turn_of(2)],
        "whisper": [turn_of(3), turn_of(20), turn_of(8)],
    }

    found = standings(turns, base="ours")

    assert found["whisper"].ratio == pytest.approx(3.0)
    assert found["ours"].ratio == 1.0


def test_speed_is_told_by_its_median_lowest_and_highest():
    turns = {"ours": [turn_of(1), turn_of(4), turn_of(2)]}

    found = standings(turns, base="ours")["ours"]

    assert (found.rtfx, found.lowest, found.highest) == (30.0, 15.0, 60.0)


def test_processor_time_is_compared_round_by_round():
    turns = {
        "ours": [turn_of(1, cpu_s=1), turn_of(1, cpu_s=10)],
        "whisper": [turn_of(1, cpu_s=2), turn_of(1, cpu_s=40)],
    }

    found = standings(turns, base="ours")

    assert found["whisper"].cpu_ratio == pytest.approx(3.0)
    assert found["whisper"].cpu_s == 21.0


def test_a_round_that_was_cut_off_counts_for_nobody():
    turns = {"ours": [turn_of(1), turn_of(6)], "whisper": [turn_of(3)]}

    found = standings(turns, base="ours")

    assert found["ours"].rtfx == 60.0
    assert found["whisper"].ratio == 3.0


def test_errors_are_counted_over_the_words_of_all_rounds():
    turns = [turn_of(1, errors=1), turn_of(1, errors=4)]

    assert error_percent(turns) == 2.5


def test_without_known_words_there_is_no_error_rate():
    unknown = replace(turn_of(1), counts=None)

    assert error_percent([unknown, unknown]) is None


def test_the_gain_is_the_median_of_the_ratios():
    gains = [gain_of(10, 10), gain_of(44, 40), gain_of(90, 30)]

    assert median_gain(gains) == pytest.approx(1.1)


def test_who_begins_moves_on_with_each_round():
    orders = [in_turn(["a", "b", "c"], number) for number in range(4)]

    assert orders == [["a", "b", "c"], ["b", "c", "a"], ["c", "a", "b"], ["a", "b", "c"]]
