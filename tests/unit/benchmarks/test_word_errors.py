import pytest

from benchmarks.word_errors import WordErrors, count_word_errors, normalise


def test_spelling_case_and_punctuation_are_no_errors():
    counts = count_word_errors("Mr. Smith's colour, twenty one!", "mister smith's color 21", "en")

    assert counts.errors == 0
    assert counts.words > 0


def test_each_kind_of_error_is_counted():
    counts = count_word_errors(
        "the cat sat down right here again", "a cat sat right here again now", "en"
    )

    assert counts == WordErrors(words=7, substitutions=1, deletions=1, insertions=1)
    assert counts.percent == pytest.approx(300 / 7)


def test_an_empty_transcript_has_every_word_deleted():
    counts = count_word_errors("three words here", "", "en")

    assert counts == WordErrors(words=3, deletions=3)


def test_a_reference_of_punctuation_alone_counts_for_nothing():
    assert count_word_errors(".", "hello", "en") == WordErrors()


def test_a_language_without_blanks_is_counted_by_signs():
    counts = count_word_errors("判断する。", "判定する", "ja")

    assert counts == WordErrors(words=4, substitutions=1)


def test_other_languages_keep_their_words():
    assert normalise("Las arenas, ¡blancas!", "es") == "las arenas blancas"


def test_counts_add_up_and_the_rate_is_that_of_the_sum():
    total = WordErrors(words=1, deletions=1) + WordErrors(words=9)

    assert total.percent == pytest.approx(10.0)


def test_no_words_give_no_rate_above_nothing():
    assert WordErrors().percent == 0
