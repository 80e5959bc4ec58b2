import os

import pytest

from domain.errors import ConfigurationError
from embedded import privileges
from embedded.privileges import Identity, candidates, choose_identity


def as_user(monkeypatch, user_id, *, has_name=True):
    monkeypatch.setattr(os, "getuid", lambda: user_id)
    monkeypatch.setattr(privileges, "has_user_name", lambda: has_name)


def test_root_tries_the_identity_with_the_fewest_rights_first(monkeypatch):
    as_user(monkeypatch, 0)

    names = [identity.name for identity in candidates()]

    assert names == ["nobody", "user namespace", "nobody+dac_override"]


def test_an_ordinary_user_runs_it_plainly(monkeypatch):
    as_user(monkeypatch, 1000)

    (identity,) = candidates()

    assert identity.lasting_command("postgres", "-D", "x") == ("postgres", "-D", "x")


def test_a_user_without_a_name_gets_one_from_a_user_namespace(monkeypatch):
    as_user(monkeypatch, 1_000_640_000, has_name=False)

    (identity,) = candidates()

    assert identity.name == "user namespace"
    assert identity.owner_id == 1_000_640_000


def test_a_changed_user_gets_the_death_signal_after_the_change(monkeypatch):
    as_user(monkeypatch, 0)

    commands = [identity.lasting_command("postgres") for identity in candidates()]

    assert all(command[-3:] == ("--pdeathsig", "INT", "postgres") for command in commands)


def test_when_no_identity_works_every_reason_is_told(monkeypatch, tmp_path):
    broken = [
        Identity("first", ("/no/such/program",), os.getuid()),
        Identity("second", ("sh", "-c", "echo it is forbidden >&2; exit 1"), os.getuid()),
    ]
    monkeypatch.setattr(privileges, "candidates", lambda: broken)

    with pytest.raises(ConfigurationError) as caught:
        choose_identity(tmp_path, tmp_path)

    assert "first: " in caught.value.message
    assert "second: it is forbidden" in caught.value.message
    assert "DATABASE_URL" in caught.value.message
