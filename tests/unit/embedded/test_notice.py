from pathlib import Path

import pytest

from config import Settings
from embedded.credentials import make_credentials
from embedded.launcher import base_url
from embedded.notice import ready_notice

URL = "http://127.0.0.1:8000"


@pytest.fixture
def credentials():
    return make_credentials()


def settings_with(credentials, **values):
    ours = {
        "admin_api_key": credentials.admin_api_key,
        "flower_basic_auth": credentials.flower_basic_auth,
    }
    return Settings(_env_file=None, data_dir=Path("/d"), **{**ours, **values})


def test_a_person_is_shown_the_key_that_was_made_for_them(credentials):
    notice = ready_notice(settings_with(credentials), credentials, URL, shows_secrets=True)

    assert credentials.admin_api_key in notice
    assert f"{URL}/docs" in notice
    assert f'curl -H "X-API-Key: $(cat /d/api-key)" -F file=@recording.mp3 {URL}' in notice


def test_a_log_is_told_the_place_of_the_secrets_and_none_of_them(credentials):
    notice = ready_notice(settings_with(credentials), credentials, URL, shows_secrets=False)

    assert "/d/secrets.json" in notice
    assert not any(value in notice for value in vars(credentials).values())


def test_secrets_that_people_set_themselves_are_never_shown(credentials):
    settings = settings_with(
        credentials, admin_api_key="a-key-of-my-own-1234", flower_basic_auth="me:my-own-password"
    )

    notice = ready_notice(settings, credentials, URL, shows_secrets=True)

    assert "a-key-of-my-own-1234" not in notice
    assert "my-own-password" not in notice
    assert credentials.admin_api_key not in notice
    assert 'curl -H "X-API-Key: $ADMIN_API_KEY" -F' in notice


def test_a_folder_with_a_blank_in_its_name_is_quoted_in_the_line_to_try(credentials):
    settings = settings_with(credentials).model_copy(update={"data_dir": Path("/my data")})

    notice = ready_notice(settings, credentials, URL, shows_secrets=True)

    assert "$(cat '/my data/api-key')" in notice


def test_without_keys_the_line_to_try_has_none(credentials):
    settings = settings_with(credentials, auth="off")

    notice = ready_notice(settings, credentials, URL, shows_secrets=True)

    assert f"curl -F file=@recording.mp3 {URL}" in notice


def test_without_flower_nothing_is_said_of_it(credentials):
    settings = settings_with(credentials, flower_port=0)

    assert "Flower" not in ready_notice(settings, credentials, URL, shows_secrets=True)


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:8000"),
        ("0.0.0.0", "http://127.0.0.1:8000"),
        ("::", "http://[::1]:8000"),
        ("example.test", "http://example.test:8000"),
    ],
)
def test_the_address_for_this_machine_follows_from_the_host(host, url):
    assert base_url(Settings(_env_file=None, host=host, port=8000)) == url
