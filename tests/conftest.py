"""Real services for the tests that ask for them; they start with the first test that does."""

import os
import secrets
import shutil
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import psycopg2
import pytest
from psycopg2 import sql

from embedded.process import ROOT
from embedded.stack import locked, start_postgres, start_valkey

# No test needs its rows to survive a power cut.
FAST_POSTGRES = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


@pytest.fixture(scope="session")
def service_dir():
    """Folder of the embedded servers, where any user may pass: Postgres does not run as root."""
    folder = Path(tempfile.mkdtemp(prefix="scriptorium-tests-"))
    folder.chmod(0o711)
    with locked(folder):
        yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def database_url(request):
    """An empty database of this session: on the server that DATABASE_URL names, or on our own."""
    server_url = os.environ.get("DATABASE_URL", "").replace("+psycopg2", "", 1)
    if server_url:
        with fresh_database(server_url) as url:
            yield url
        return
    folder = request.getfixturevalue("service_dir")
    with start_postgres(folder, options=FAST_POSTGRES) as server, fresh_database(server.url) as url:
        yield url


@pytest.fixture(scope="session")
def redis_url(request):
    """The broker: the one that REDIS_URL names, or our own."""
    url = os.environ.get("REDIS_URL", "")
    if url:
        yield url
        return
    with start_valkey(request.getfixturevalue("service_dir")) as server:
        yield server.url


@pytest.fixture(scope="session")
def migrated_database(database_url, redis_url):
    """Address of the session's database, with the newest schema in it."""
    run_alembic(database_url, redis_url, "upgrade", "head")
    return database_url


@contextmanager
def fresh_database(server_url):
    """A database of a name of its own on this server, dropped in the end."""
    name = f"scriptorium_test_{secrets.token_hex(6)}"
    execute(server_url, sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    try:
        yield urlsplit(server_url)._replace(path=f"/{name}").geturl()
    finally:
        drop = sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name))
        execute(server_url, drop)


def execute(url, statement):
    connection = psycopg2.connect(url)
    try:
        connection.autocommit = True  # a database is not made in a transaction
        with connection.cursor() as cursor:
            cursor.execute(statement)
    finally:
        connection.close()


def run_alembic(database_url, redis_url, *arguments):
    """What Alembic printed; the test fails when Alembic does."""
    environment = {
        **os.environ,
        "DATABASE_URL": database_url,
        "REDIS_URL": redis_url,
        "ADMIN_API_KEY": "only-for-the-tests",
    }
    finished = subprocess.run(
        [sys.executable, "-m", "alembic", *arguments],
        cwd=ROOT,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert finished.returncode == 0, finished.stderr
    return finished.stdout
