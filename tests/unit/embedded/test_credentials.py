import json
import stat

import pytest

from domain.errors import ConfigurationError
from embedded.credentials import (
    api_key_path,
    load_credentials,
    secrets_path,
    write_api_key,
    write_private,
)


def test_secrets_are_made_once_and_reused(tmp_path):
    first = load_credentials(tmp_path)

    second = load_credentials(tmp_path)

    assert second == first
    assert len({first.postgres_password, first.valkey_password, first.admin_api_key}) == 3


def test_the_file_of_secrets_is_for_its_owner_alone(tmp_path):
    load_credentials(tmp_path)
    secrets_path(tmp_path).chmod(0o644)

    load_credentials(tmp_path)

    assert stat.S_IMODE(secrets_path(tmp_path).stat().st_mode) == 0o600


def test_no_secret_shows_in_the_repr(tmp_path):
    credentials = load_credentials(tmp_path)

    shown = repr(credentials)

    assert not any(value in shown for value in vars(credentials).values())


def test_the_admin_key_stands_alone_in_a_file_for_its_owner(tmp_path):
    credentials = load_credentials(tmp_path)

    write_api_key(tmp_path, credentials, credentials.admin_api_key)

    assert api_key_path(tmp_path).read_text().strip() == credentials.admin_api_key
    assert stat.S_IMODE(api_key_path(tmp_path).stat().st_mode) == 0o600


def test_an_admin_key_that_somebody_chose_is_not_written_down(tmp_path):
    credentials = load_credentials(tmp_path)
    write_api_key(tmp_path, credentials, credentials.admin_api_key)

    write_api_key(tmp_path, credentials, "a-key-of-my-own-1234")

    assert not api_key_path(tmp_path).exists()


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"postgres_password": "x"}'])
def test_a_damaged_file_is_named_and_not_replaced(tmp_path, content):
    secrets_path(tmp_path).write_text(content)

    with pytest.raises(ConfigurationError, match=r"secrets\.json is damaged"):
        load_credentials(tmp_path)

    assert secrets_path(tmp_path).read_text() == content


def test_a_private_file_replaces_the_old_one_and_leaves_no_draft(tmp_path):
    path = tmp_path / "ports.json"
    path.write_text("old")
    path.chmod(0o644)

    write_private(path, json.dumps({"postgres": 1}))

    assert json.loads(path.read_text()) == {"postgres": 1}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [path]
