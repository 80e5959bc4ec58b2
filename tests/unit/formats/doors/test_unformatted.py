import pytest

from domain.transcript import Word
from formats.doors.unformatted import bare_word, unformatted, without_punctuation
from tests.unit.formats.transcripts import make_segment, make_transcript


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (" Hello, world.", " Hello world"),
        ("Don't: it's well-known!", "Don't it's well-known"),
        ("It is 3.5% of $2.", "It is 3.5% of $2"),
        ("one — two", "one two"),
        ("はい。元気", "はい元気"),
        ("по-русски, да?", "по-русски да"),
    ],
)
def test_marks_go_and_what_belongs_to_a_word_stays(text, expected):
    assert without_punctuation(text) == expected


@pytest.mark.parametrize(("word", "expected"), [(" Hello,", "hello"), (" —", "—")])
def test_a_bare_word_is_never_empty(word, expected):
    assert bare_word(word) == expected


def test_a_transcript_may_lose_its_marks_its_capitals_or_both():
    segment = make_segment(" Oh, Bob.", 0.0, 1.0, Word(" Oh,", 0.0, 0.5), Word(" Bob.", 0.5, 1.0))
    transcript = make_transcript(segment)

    unmarked = unformatted(transcript, punctuated=False, capitalised=True)
    small = unformatted(transcript, punctuated=True, capitalised=False)
    both = unformatted(transcript, punctuated=False, capitalised=False)

    assert (unmarked.text, small.text, both.text) == ("Oh Bob", "oh, bob.", "oh bob")
    assert [word.word for word in both.segments[0].words] == [" oh", " bob"]
    assert unformatted(transcript, punctuated=True, capitalised=True) is transcript
