import psutil
import pytest

from chaos.awaiting import ask, await_value, wait_for
from chaos.errors import ChaosFailed


def answers(*values):
    """A look that gives one value after the other; an exception is raised."""
    left = list(values)

    def look():
        value = left.pop(0)
        if isinstance(value, Exception):
            raise value
        return value

    return look


def test_a_part_that_is_away_has_no_answer():
    assert ask(answers(psutil.NoSuchProcess(1))) is None


def test_a_defect_of_the_attack_is_not_taken_for_a_part_that_is_away():
    with pytest.raises(KeyError):
        ask(answers(KeyError("job")))


def test_it_is_asked_again_until_the_answer_is_true():
    assert await_value(answers(None, psutil.NoSuchProcess(1), "here"), 5, "it") == "here"


def test_patience_ends():
    assert wait_for(lambda: None, 0) is None
    with pytest.raises(ChaosFailed, match="waited 0 s for the end"):
        await_value(lambda: None, 0, "the end")
