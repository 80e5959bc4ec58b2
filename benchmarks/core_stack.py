"""Postgres and Valkey with the project's tables, as durable as in production, for `core`."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median
from time import perf_counter
from urllib.parse import urlsplit, urlunsplit

import psycopg2
import redis
from psycopg2.extensions import connection as Connection  # noqa: N812 - it is a class

from benchmarks.errors import BenchmarkFailed
from embedded.postgres import USER
from embedded.process import ROOT, child_environment
from embedded.stack import locked, start_postgres, start_valkey
from models import Base

MIGRATION_TIMEOUT_S = 120.0
# One database user for each: pg_stat_statements then tells their statements apart.
SUBMITTER, WORKER, RECONCILER = "submitter", "worker", "reconciler"
USERS = (SUBMITTER, WORKER, RECONCILER)
# Postgres as `make up` runs it, and the view that counts statements. It counts nothing
# until `count_statements`.
POSTGRES_OPTIONS = {"shared_preload_libraries": "pg_stat_statements"}
TABLES = tuple(table.name for table in Base.metadata.sorted_tables)
PACKAGES = ("celery", "kombu", "redis", "sqlalchemy", "psycopg2-binary", "procrastinate", "psycopg")
SYNC_WRITES = 200
PAGE_BYTES = 8192  # what Postgres writes at least for a commit


@dataclass(frozen=True)
class Stack:
    """The two services, and how processes of the project reach them."""

    folder: Path
    database_url: str
    redis_url: str
    postgres_pid: int
    valkey_pid: int

    def environment(self, user: str) -> dict[str, str]:
        """Settings as shipped, but for quiet logs, the fake engine and where things are."""
        return child_environment(
            DATA_DIR=str(self.folder),
            STORAGE_DIR=str(self.folder / "uploads"),
            DATABASE_URL=self.url_of(user),
            REDIS_URL=self.redis_url,
            ADMIN_API_KEY="core-benchmark-key",
            WHISPER_ENGINE="fake",
            LOG_LEVEL="WARNING",
        )

    def url_of(self, user: str) -> str:
        """The database's address for one of USERS."""
        parts = urlsplit(self.database_url)
        return urlunsplit(parts._replace(netloc=parts.netloc.replace(USER, user, 1)))

    @contextmanager
    def connect(self) -> Iterator[Connection]:
        """A connection that commits every statement."""
        connection = psycopg2.connect(self.database_url)
        connection.autocommit = True
        try:
            yield connection
        finally:
            connection.close()

    def execute(self, *statements: str) -> None:
        """Run statements one after the other, each a transaction."""
        with self.connect() as connection, connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)

    def settle(self) -> None:
        """Empty the broker, and have everything on disk that earlier work left to write."""
        with redis.Redis.from_url(self.redis_url) as broker:
            broker.flushall()
        self.execute("CHECKPOINT")

    def count_statements(self, *, is_on: bool) -> None:
        """Let pg_stat_statements count from now on, or not; it costs a little."""
        track = "top" if is_on else "none"
        self.execute(
            f"ALTER SYSTEM SET pg_stat_statements.track = '{track}'",
            "SELECT pg_reload_conf()",
            "SELECT pg_stat_statements_reset()",
        )

    def versions(self) -> dict[str, str]:
        """Of the services and of what the compared programs are made of."""
        with self.connect() as connection, connection.cursor() as cursor:
            cursor.execute("SHOW server_version")
            postgres = str(cursor.fetchone()[0])  # type: ignore[index]
        with redis.Redis.from_url(self.redis_url) as broker:
            about = broker.info("server")
        valkey = str(about.get("valkey_version", about["redis_version"]))
        return {"postgres": postgres, "valkey": valkey, **_package_versions()}


@contextmanager
def running_stack(folder: Path) -> Iterator[Stack]:
    """Run both services on an empty folder until the block is left. Raises BenchmarkFailed."""
    with (
        locked(folder),
        start_postgres(folder, options=POSTGRES_OPTIONS) as postgres,
        start_valkey(folder) as valkey,
    ):
        stack = Stack(folder, postgres.url, valkey.url, postgres.process.pid, valkey.process.pid)
        _make_users(stack)
        _migrate(stack)
        yield stack


def disk_sync_ms(folder: Path) -> float:
    """What it takes to have one page on disk: the least that a durable commit costs."""
    path = folder / "sync.bin"
    descriptor = os.open(path, os.O_CREAT | os.O_WRONLY, 0o600)
    spent_s = []
    try:
        for number in range(SYNC_WRITES):
            os.pwrite(descriptor, bytes(PAGE_BYTES), number * PAGE_BYTES)
            started_at = perf_counter()
            os.fdatasync(descriptor)
            spent_s.append(perf_counter() - started_at)
    finally:
        os.close(descriptor)
        path.unlink()
    return 1000 * median(spent_s)


def _make_users(stack: Stack) -> None:
    password = urlsplit(stack.database_url).password
    stack.execute(
        *(f"CREATE ROLE {user} SUPERUSER LOGIN PASSWORD '{password}'" for user in USERS),
        "CREATE EXTENSION pg_stat_statements",
    )
    stack.count_statements(is_on=False)


def _migrate(stack: Stack) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "alembic", "upgrade", "head"],
        cwd=ROOT,
        # As the owner of the database, so that the tables are the owner's.
        env={**stack.environment(SUBMITTER), "DATABASE_URL": stack.database_url},
        capture_output=True,
        text=True,
        check=False,
        timeout=MIGRATION_TIMEOUT_S,
    )
    if done.returncode != 0:
        raise BenchmarkFailed(f"the tables could not be made:\n{done.stderr}")


def _package_versions() -> dict[str, str]:
    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found
