"""AUTH=off: everybody on this machine, and nobody through his browser."""

import pytest

from config import Settings, load_settings
from domain.errors import ConfigurationError
from tests.unit.api.conftest import ADMIN_KEY
from tests.unit.test_config import GOOD


def test_everybody_on_this_machine_may_submit_and_read(client):
    assert client.put("/transcribe/", data=b"sound").status_code == 202
    assert client.get("/transcribe/x").json["code"] == "job_not_found"


def test_any_key_is_as_good_as_none(client):
    answer = client.get("/transcribe/x", headers={"X-API-Key": "whatever a client must be given"})

    assert answer.status_code == 404


def test_admin_wants_its_key_all_the_same(client):
    assert client.get("/admin/errors/x").status_code == 401
    assert client.get("/admin/errors/x", headers={"X-API-Key": ADMIN_KEY}).status_code == 404


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:8000", "[::1]:8000"])
def test_the_names_of_this_machine_are_served(client, host):
    assert client.get("/transcribe/x", headers={"Host": host}).status_code == 404


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "attacker.example"},  # a name that was made to lead to this machine
        {"Host": "127.0.0.1.attacker.example:8000"},
        {"Origin": "https://attacker.example"},  # a form on a page from elsewhere
        {"Origin": "null"},
    ],
)
def test_a_page_from_elsewhere_cannot_use_the_browser_of_this_machine(client, headers):
    answer = client.put("/transcribe/", data=b"sound", headers=headers)

    assert (answer.status_code, answer.json["code"]) == (401, "api_key_invalid")


def test_a_page_that_cors_allows_can(client, services, settings):
    allowing = settings.model_copy(update={"cors_origins": "https://app.example"})
    object.__setattr__(services, "settings", allowing)

    answer = client.get("/transcribe/x", headers={"Origin": "https://app.example"})

    assert answer.json["code"] == "job_not_found"


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.5", "transcribe.example.com"])
def test_it_is_refused_where_others_can_connect(host):
    with pytest.raises(ConfigurationError, match=r"AUTH=off .* HOST must be a loopback"):
        load_settings(**GOOD, auth="off", host=host)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.53", "::1", "localhost"])
def test_it_is_possible_on_loopback(host):
    assert load_settings(**GOOD, auth="off", host=host).auth == "off"


def test_keys_are_asked_for_unless_somebody_says_otherwise():
    assert Settings(_env_file=None).auth == "on"
