"""One running server that the official clients of all doors are tried on."""

import httpx
import pytest

# What a door's tests need of the server beyond the defaults of `make_server`; one line each.
DOOR_SETTINGS = {
    "MODEL_ALIASES": "whisper-1=tiny,gpt-4o-transcribe=tiny",
}


@pytest.fixture(scope="session")
def door_server(make_server):
    """The server, with model tiny. Tests leave it whole: no kills, no settings changed for long."""
    return make_server(**DOOR_SETTINGS)


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
