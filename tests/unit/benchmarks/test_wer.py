from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.errors import BenchmarkFailed
from benchmarks.machine import Machine
from benchmarks.wer import Row, Run, Side, summary_line
from benchmarks.word_errors import WordErrors

MACHINE = Machine("cpu", 2, 4.0, None, 0.1, "3.11", "2.13", "20250625", None)
SETTINGS = {"model": "tiny", "threads": 1, "whisper_options": {}}


def side(text: str, words: int, errors: int) -> Side:
    return Side(text, None, WordErrors(words=words, deletions=errors))


def row(name: str, *, words: int, server: int, whisper: int) -> Row:
    return Row(name, "read", "en", side("Hello.", words, server), side("hello", words, whisper))


def test_the_rate_of_a_kind_is_that_of_all_its_words():
    rows = [row("a", words=90, server=0, whisper=1), row("b", words=10, server=2, whisper=0)]

    assert summary_line("read", rows) == ("read", "2", "100", "2.00", "1.00", "+1.00", "0")


def test_texts_that_differ_in_spelling_alone_are_the_same():
    same = row("a", words=1, server=0, whisper=0)
    other = replace(same, server=side("Good bye", 1, 1))

    assert not same.differs
    assert other.differs


def test_a_run_goes_on_where_it_was_cut_off(tmp_path: Path):
    first = Run(MACHINE, SETTINGS, tmp_path / "wer.json")
    first.add(row("a", words=4, server=1, whisper=0))
    second = Run(MACHINE, SETTINGS, tmp_path / "wer.json")

    second.resume()

    assert second.rows == first.rows


def test_rows_of_another_model_do_not_mix(tmp_path: Path):
    Run(MACHINE, SETTINGS, tmp_path / "wer.json").add(row("a", words=4, server=1, whisper=0))
    other = Run(MACHINE, {**SETTINGS, "model": "base"}, tmp_path / "wer.json")

    with pytest.raises(BenchmarkFailed, match="tiny"):
        other.resume()


def test_going_on_needs_a_file():
    with pytest.raises(BenchmarkFailed, match="--json"):
        Run(MACHINE, SETTINGS, None).resume()
