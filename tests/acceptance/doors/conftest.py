"""One running server that the official clients of all doors are tried on."""

import httpx
import pytest

from tests.acceptance.doors.neighbour import Neighbour

# What a door's tests need of the server beyond the defaults of `make_server`; one line each.
DOOR_SETTINGS = {
    "MODEL_ALIASES": "whisper-1=tiny,gpt-4o-transcribe=tiny",
}


@pytest.fixture(scope="session")
def neighbour():
    """Another server, which ours may call: it has recordings, and takes webhooks."""
    found = Neighbour()
    yield found
    found.stop()


@pytest.fixture(scope="session")
def door_server(make_server, neighbour):
    """The server, with model tiny. Tests leave it whole: no kills, no settings changed for long."""
    return make_server(**DOOR_SETTINGS, OUTGOING_ALLOW=neighbour.host_and_port)


@pytest.fixture(scope="session")
def door_key(door_server):
    """A key that may do everything, in tenant `default`."""
    return door_server.secrets["admin_api_key"]


@pytest.fixture
def door_http(door_server, door_key):
    """Plain HTTP with the key, for what no official client can send."""
    with httpx.Client(
        base_url=door_server.url, headers={"X-API-Key": door_key}, timeout=90
    ) as client:
        yield client
