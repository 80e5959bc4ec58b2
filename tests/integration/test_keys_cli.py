"""`python -m scripts.keys`, on a real database."""

import re

import pytest
from click.testing import CliRunner

from scripts.keys import cli
from services.key_ring import KeyRing
from tests.integration.services.conftest import (  # noqa: F401 - fixtures, found by their names
    published,
    services,
    session_settings,
)

KEY = re.compile(r"sk_[A-Za-z0-9]{43}")
KEY_ID = re.compile(r"key ([0-9a-f-]{36})")


@pytest.fixture
def run(services, monkeypatch):  # noqa: F811 - pytest's way to ask for a fixture
    monkeypatch.setenv("COLUMNS", "200")  # for tables

    def run(*arguments):
        return CliRunner().invoke(cli, arguments, catch_exceptions=False)

    return run


@pytest.fixture
def find(services):  # noqa: F811 - pytest's way to ask for a fixture
    return lambda key: KeyRing().find(services, key)


def test_a_key_is_made_and_stands_alone_on_standard_output(run, find):
    made = run("create", "phone", "--scope", "read")

    assert made.exit_code == 0, made.output
    assert KEY.fullmatch(made.stdout.strip())
    assert find(made.stdout.strip()).scopes == {"read"}
    assert "shown this once" in made.stderr
    assert made.stdout.strip() not in made.stderr


def test_a_tenant_is_made_and_gets_a_key(run, find):
    added = run("tenants", "--add", "acme")
    made = run("create", "their server", "--tenant", "acme", "--days", "30")
    listed = run("tenants")

    assert "create NAME --tenant acme" in added.output
    assert find(made.stdout.strip()).tenant == "acme"
    assert "ends 20" in made.stderr
    assert re.search(r"acme\s*│\s*1", listed.output)


def test_the_list_shows_good_keys_and_with_all_the_others_too(run):
    first = run("create", "old [phone]")
    run("create", "new phone")
    key_id = KEY_ID.search(first.stderr)[1]

    revoked = run("revoke", key_id)
    good, everything = run("list").output, run("list", "--all").output

    assert "revoked" in revoked.output
    assert ("new phone" in good, "old [phone]" in good) == (True, False)
    assert "old [phone]" in everything
    assert key_id in everything
    assert first.stdout.strip() not in everything


def test_a_rotation_makes_a_new_key_and_says_until_when_the_old_one_opens(run, find):
    made = run("create", "phone")
    key_id = KEY_ID.search(made.stderr)[1]

    gentle = run("rotate", key_id)
    after = KEY_ID.search(gentle.stderr)[1]
    run("rotate", after, "--overlap-hours", "0")

    assert "stays good until" in gentle.stderr
    assert find(made.stdout.strip()) is not None
    assert find(gentle.stdout.strip()) is None


def test_without_keys_the_list_says_how_to_make_one(run):
    assert "python -m scripts.keys create NAME" in run("list").output
