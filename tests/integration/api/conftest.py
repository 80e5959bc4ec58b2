"""The API over real Postgres; in one process, or behind a real server."""

import os
import secrets
import subprocess
import sys
import time
from contextlib import contextmanager

import httpx
import pytest
from flask.testing import FlaskClient

from api.current import EXTENSION
from app import create_app
from embedded.ports import free_port
from embedded.process import ROOT
from tests.integration.services.conftest import (  # noqa: F401 - fixtures, found by their names
    dead_letters,
    model,
    published,
    services,
    session_settings,
    worker,
)

START_TIMEOUT_S = 60
API_KEY = secrets.token_hex(16)  # of every server and client here
KEY = {"X-API-Key": API_KEY}
API_KEY_OF = "HTTP_X_API_KEY"  # as WSGI calls the header


class KeyedClient(FlaskClient):
    """Sends the admin key of the application that it asks, unless a test sends another."""

    def __init__(self, app, *arguments, **options):
        super().__init__(app, *arguments, **options)
        key = app.extensions[EXTENSION].settings.admin_api_key
        self.environ_base[API_KEY_OF] = key


@pytest.fixture
def app(services):  # noqa: F811 - pytest's way to ask for a fixture
    return make_app(services)


@pytest.fixture
def client(app):
    return app.test_client()


@pytest.fixture
def admin(client):
    return client


def make_app(services):  # noqa: F811 - not the fixture
    app = create_app(services=services)
    app.test_client_class = KeyedClient
    return app


@pytest.fixture(scope="module")
def server(migrated_database, redis_url, tmp_path_factory):
    """Address and data folder of the API behind gunicorn, as it is deployed."""
    folder = tmp_path_factory.mktemp("server")
    with web_server(migrated_database, redis_url, folder) as (address, _):
        yield address, folder


@contextmanager
def web_server(database, redis_url, folder, **settings):
    """Address and process of a server of the API, which ends with the block."""
    port = free_port()
    environment = {
        **os.environ,
        "DATABASE_URL": database,
        "REDIS_URL": redis_url,
        "ADMIN_API_KEY": API_KEY,
        "DATA_DIR": str(folder),
        "MAX_UPLOAD_SIZE_MB": "2",
        "MIN_FREE_DISK_MB": "0",
        "PORT": str(port),
        "WEB_WORKERS": "1",
        "LIMIT_REQUESTS_PER_MINUTE": "0",
        **settings,
    }
    command = [sys.executable, "-m", "gunicorn", "-c", "deploy/gunicorn.conf.py"]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [*command, "app:create_app()"], cwd=ROOT, env=environment, stdout=log, stderr=log
        )
        try:
            address = f"http://127.0.0.1:{port}"
            wait_until(lambda: is_alive(address), START_TIMEOUT_S, (folder / "log").read_text)
            yield address, process
        finally:
            process.terminate()
            process.wait(timeout=30)


def is_alive(address):
    try:
        return httpx.get(f"{address}/health").status_code == 200
    except httpx.TransportError:
        return False


def wait_until(is_so, timeout_s, explain=lambda: ""):
    deadline = time.monotonic() + timeout_s
    while not is_so():
        assert time.monotonic() < deadline, explain()
        time.sleep(0.05)  # between two looks at the condition
