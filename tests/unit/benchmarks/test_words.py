import pytest

from benchmarks.word_times import Apart, SpokenWord, how_far_apart, match_words, time_columns
from benchmarks.words import Row, seconds_line, whole_line


def spoken(*texts, step_s=1.0):
    return [SpokenWord(text, i * step_s, (i + 1) * step_s) for i, text in enumerate(texts)]


def row(**changed):
    apart = [Apart(0.02, -0.04), Apart(0.0, 0.3)]
    values = {
        "name": "a.wav", "kind": "read", "ours": 3, "whispers": 4, "apart": apart, "windows": 2,
        "apart_same_text": apart, "ours_s": [1.0, 9.0, 2.0], "whisper_s": [10.0, 40.0, 20.0],
        "whisper_kept_s": [4.0, 5.0, 6.0],
    }  # fmt: skip
    return Row(**{**values, **changed})


def test_words_that_both_have_are_matched_in_order_marks_and_capitals_aside():
    ours = spoken(" So,", " he", " said:", " No!")
    theirs = spoken(" so", " she", " said", " no", " more")

    pairs = match_words(ours, theirs)

    assert [(mine.text, word.text) for mine, word in pairs] == [
        *((" So,", " so"), (" said:", " said"), (" No!", " no"))
    ]


def test_marks_alone_are_not_matched():
    assert match_words(spoken(" -", " a"), spoken(" -", " b")) == []


def test_times_are_compared_pair_by_pair():
    pairs = [(SpokenWord("a", 1.02, 2.0), SpokenWord("a", 1.0, 2.5))]

    assert how_far_apart(pairs) == [Apart(0.02, -0.5)]


def test_columns_are_medians_ninetieths_and_shares_of_starts_and_ends():
    apart = [Apart(0.02, 0.0), Apart(-0.05, 0.1), Apart(0.0, -0.3)]

    assert time_columns(apart) == ("20", "50", "100", "300", "66.7", "83.3", "83.3")


def test_without_words_there_are_dashes():
    assert set(time_columns([])) == {"-"}


def test_a_line_sums_the_words_of_its_recordings():
    line = whole_line("read", [row(), row(ours=5, apart=[])])

    assert line[:7] == ("read", "2", "8", "8", "2", "10", "20")


@pytest.mark.parametrize(("files", "seconds"), [(1, "2.00"), (2, "4.00")])
def test_seconds_are_those_of_the_round_in_the_middle(files, seconds):
    line = seconds_line("read", [row()] * files)

    assert line[2] == seconds
    assert line[-1] == "10.0"
