import click
import pytest

from scripts.audit import parse_expected


def test_a_place_and_a_hash_are_read():
    assert parse_expected("12:abc") == (12, "abc")


@pytest.mark.parametrize("given", ["", "12", "12:", ":abc", "-1:abc", "²:abc"])
def test_what_is_no_place_with_a_hash_is_refused(given):
    with pytest.raises(click.BadParameter):
        parse_expected(given)
