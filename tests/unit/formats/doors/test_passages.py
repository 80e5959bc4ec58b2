import pytest

from domain.transcript import Word
from formats.doors.passages import joined, paragraphs, sentences, timed_words, utterances
from tests.unit.formats.transcripts import evenly, make_segment, make_transcript


def texts(passages):
    return [passage.text for passage in passages]


def test_words_come_in_order_and_none_is_blank():
    first = make_segment(" One.", 0.0, 1.0, Word(" One.", 0.0, 1.0), Word(" ", 1.0, 1.0))
    second = make_segment(" Two.", 1.0, 2.0, Word(" Two.", 1.0, 2.0))

    words = timed_words(make_transcript(first, second))

    assert [word.word for word in words] == [" One.", " Two."]


def test_text_without_timed_words_is_taken_to_be_spoken_evenly():
    segment = make_segment(" one two", 1.0, 3.0)

    words = timed_words(make_transcript(segment))

    assert words == (Word(" one", 1.0, 2.0), Word(" two", 2.0, 3.0))


def test_a_sentence_ends_with_its_mark_even_behind_a_closing_quote():
    found = sentences(evenly('He said "No." Did he? Yes', 0.0, 1.0))

    assert texts(found) == ['He said "No."', "Did he?", "Yes"]


def test_an_abbreviation_and_an_initial_end_no_sentence():
    found = sentences(evenly("Mr. J. Smith spoke. They left.", 0.0, 1.0))

    assert texts(found) == ["Mr. J. Smith spoke.", "They left."]


def test_marks_of_languages_without_blanks_end_sentences_too():
    words = (Word("はい。", 0.0, 1.0), Word("元気", 1.0, 2.0))

    assert texts(sentences(words)) == ["はい。", "元気"]


@pytest.mark.parametrize(
    ("pause_s", "expected"), [(0.8, ["one two", "three"]), (3.0, ["one two three"])]
)
def test_an_utterance_ends_where_nobody_speaks_for_long(pause_s, expected):
    words = (*evenly("one two", 0.0, 1.0), *evenly("three", 3.0, 1.0))

    assert texts(utterances(words, pause_s)) == expected


def test_no_words_form_nothing():
    assert (sentences(()), utterances((), 1.0), paragraphs([])) == ([], [], [])


def test_a_long_pause_begins_a_paragraph():
    words = (*evenly("One. Two.", 0.0, 1.0), *evenly("Three.", 4.0, 1.0))

    groups = paragraphs(sentences(words))

    assert [texts(group) for group in groups] == [["One.", "Two."], ["Three."]]


def test_a_paragraph_holds_five_sentences_at_most():
    groups = paragraphs(sentences(evenly("One. Two. Three. Four. Five. Six.", 0.0, 1.0)))

    assert [len(group) for group in groups] == [5, 1]


def test_a_passage_reaches_from_its_first_word_to_its_last():
    words = (Word(" a", 1.0, 2.0, 0.5), Word(" b.", 2.0, 4.0, 1.0))

    whole = joined(sentences(words))

    assert (whole.start, whole.end, whole.text, whole.confidence) == (1.0, 4.0, "a b.", 0.75)
