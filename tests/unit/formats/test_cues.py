from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.transcript import Segment, Word
from formats.cues import Cue, Layout, make_cues
from tests.unit.formats.transcripts import evenly, make_segment, make_transcript


def cues_of(*segments: Segment, width: int | None = None, count: int | None = None) -> list[Cue]:
    return make_cues(make_transcript(*segments), Layout(width, count))


def test_without_limits_a_segment_is_one_cue():
    cues = cues_of(make_segment(" Hello there.", 0.5, 2.0), make_segment(" Bye.", 2.0, 2.75))

    assert cues == [Cue(500, 2000, ("Hello there.",)), Cue(2000, 2750, ("Bye.",))]


def test_lines_fill_up_to_the_width_and_no_further():
    (cue,) = cues_of(make_segment(" aaa bbb ccc dd", 0, 4), width=7)

    assert cue.lines == ("aaa bbb", "ccc dd")


def test_more_lines_than_allowed_go_to_the_next_cue():
    cues = cues_of(make_segment(" aaa bbb ccc ddd eee", 0, 4), width=3, count=2)

    assert [cue.lines for cue in cues] == [("aaa", "bbb"), ("ccc", "ddd"), ("eee",)]


def test_a_cut_segment_takes_its_times_from_its_words():
    words = (Word(" one", 1.0, 1.4), Word(" two", 1.5, 2.0), Word(" three", 4.0, 4.5))

    cues = cues_of(make_segment(" one two three", 1.0, 5.0, *words), width=7, count=1)

    assert cues == [Cue(1000, 2000, ("one two",)), Cue(4000, 4500, ("three",))]


def test_a_cut_segment_without_words_is_divided_by_characters():
    cues = cues_of(make_segment(" aaaa bbbb", 10.0, 19.0), width=4, count=1)

    assert cues == [Cue(10_000, 14_000, ("aaaa",)), Cue(15_000, 19_000, ("bbbb",))]


def test_words_that_do_not_add_up_to_the_text_are_not_trusted():
    cues = cues_of(make_segment(" aaaa bbbb", 0.0, 9.0, Word(" aaaa", 0, 1)), width=4, count=1)

    assert cues == [Cue(0, 4000, ("aaaa",)), Cue(5000, 9000, ("bbbb",))]


def test_a_word_in_pieces_is_not_torn_apart():
    pieces = (Word(" don", 0, 1), Word("'t", 1, 2), Word(" go", 2, 3))

    cues = cues_of(make_segment(" don't go", 0, 3, *pieces), width=5, count=1)

    assert cues == [Cue(0, 2000, ("don't",)), Cue(2000, 3000, ("go",))]


def test_text_without_blanks_is_broken_between_characters():
    words = tuple(Word(c, i / 2, (i + 1) / 2) for i, c in enumerate("今日は晴れです"))

    cues = cues_of(make_segment("今日は晴れです", 0, 3.5, *words), width=4, count=1)

    assert cues == [Cue(0, 2000, ("今日は晴",)), Cue(2000, 3500, ("れです",))]


@pytest.mark.parametrize("text", ["", "  ", "\n", "\u00a0", "\x00"])
def test_a_segment_without_text_makes_no_cue(text: str):
    assert cues_of(make_segment(text, 0, 1), width=2) == []


def test_a_cue_ends_when_the_next_begins():
    cues = cues_of(make_segment("a", 0, 3), make_segment("b", 2, 4))

    assert [(cue.start_ms, cue.end_ms) for cue in cues] == [(0, 2000), (2000, 4000)]


def test_a_segment_of_no_length_is_still_shown():
    cues = cues_of(make_segment("a", 1, 1), make_segment("b", 1, 1))

    assert [(cue.start_ms, cue.end_ms) for cue in cues] == [(1000, 1001), (1001, 1002)]


texts = st.text(
    st.one_of(
        st.sampled_from("abc -\t\n.,、。「」日本語はー한국กเา\u00a0\u0301\x00&<>"),
        st.characters(exclude_categories=["Cs"]),
    ),
    max_size=40,
)
seconds = st.floats(0, 100_000, allow_nan=False)


@st.composite
def segments(draw: st.DrawFn) -> Segment:
    text = draw(texts)
    start, end = draw(seconds), draw(seconds)
    words = draw(
        st.sampled_from([(), evenly(text, start, 0.25), evenly(text, start, 0.0)]),
    )
    return make_segment(text, start, end, *words)


@given(
    st.lists(segments(), max_size=6),
    st.one_of(st.none(), st.integers(1, 50)),
    st.one_of(st.none(), st.integers(1, 4)),
)
def test_cues_are_in_order_within_limits_and_lose_no_text(
    found: list[Segment], width: int | None, count: int | None
):
    cues = cues_of(*found, width=width, count=count)

    assert all(0 <= cue.start_ms < cue.end_ms for cue in cues)
    assert all(one.end_ms <= two.start_ms for one, two in pairwise(cues))
    assert all(line.strip() for cue in cues for line in cue.lines)
    assert all(cue.lines for cue in cues)
    assert all(len(line) <= width for cue in cues for line in cue.lines if width)
    assert all(len(cue.lines) <= count for cue in cues if count)
    assert letters(*(line for cue in cues for line in cue.lines)) == letters(
        *(segment.text for segment in found)
    )


def letters(*texts_: str) -> str:
    """What a reader sees: no blanks, no control characters."""
    return "".join(
        c for text in texts_ for c in text if not (c.isspace() or ord(c) < 32 or ord(c) == 127)
    )
