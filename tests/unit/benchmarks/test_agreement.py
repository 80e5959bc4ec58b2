import math

import pytest
import torch

from benchmarks.agreement import NEAR_TIE, Row, line, same_tokens
from benchmarks.agreement_sides import preference


def row(**changed):
    values = {
        "name": "a.wav", "kind": "read", "precision": "float32", "windows": 3, "same_windows": 2,
        "tokens": 60, "same_tokens": 57, "gaps": [NEAR_TIE / 2],
    }  # fmt: skip
    return Row(**{**values, **changed})


def test_tokens_count_as_the_same_in_order():
    assert same_tokens([1, 2, 3, 4], [1, 9, 3, 4]) == 3
    assert same_tokens([1, 2, 3], [2, 3, 1]) == 2
    assert same_tokens([], [1]) == 0


def test_a_line_sums_the_recordings_and_tells_near_ties_from_the_rest():
    rows = [row(), row(windows=2, same_windows=0, tokens=40, same_tokens=38, gaps=[0.7, -0.05])]

    columns = line("float32", rows)

    assert columns == ("float32", "5", "2", "100", "95.00%", "3", "2", "0.70")


def test_without_differences_there_is_no_gap():
    columns = line("float32", [row(same_windows=3, same_tokens=60, gaps=[])])

    assert columns[-4:] == ("100.00%", "0", "0", "0.00")


def test_a_timestamp_counts_with_all_of_them_against_a_word_and_alone_against_another():
    logits = torch.tensor([2.0, 1.0, 1.5, 1.0, float("-inf")])  # two words, three timestamps
    stamps = math.log(math.exp(1.5) + math.exp(1.0))

    assert preference(logits, 0, 1, 2) == pytest.approx(1.0)
    assert preference(logits, 2, 3, 2) == pytest.approx(0.5)
    assert preference(logits, 0, 2, 2) == pytest.approx(2.0 - stamps)
    assert preference(logits, 3, 0, 2) == pytest.approx(stamps - 2.0)
