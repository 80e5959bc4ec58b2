"""Migrations go up, down and up again, on a table that is in use too, and leave exactly the
tables that models.py describes.
"""

import os
import subprocess
import sys
import threading
from contextlib import closing, contextmanager
from functools import partial
from uuid import UUID

import psycopg2
import pytest
from psycopg2 import sql

from database import SERVER_OPTIONS
from embedded.process import ROOT
from tests.conftest import fresh_database, run_alembic

PATIENCE_S = 60.0
HEAD = "0006"
TABLES_OF_0001 = ("transcription_jobs", "transcription_results", "error_logs", "job_events")
INSERT_JOB = (
    "INSERT INTO transcription_jobs (id, model_size, options, file_path, size_bytes, sha256)"
    " VALUES (gen_random_uuid(), 'base', '{}', 'key', 1, 'sum')"
)
# A transaction that sees the past. An index that is built concurrently waits for it to end.
SNAPSHOT = ("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ", "SELECT count(*) FROM pg_class")
BUILDER = (
    "SELECT pid FROM pg_stat_activity WHERE query LIKE 'CREATE INDEX CONCURRENTLY%'"
    " AND datname = current_database() AND wait_event_type = 'Lock'"
)


@pytest.fixture
def empty_database(database_url):
    with fresh_database(database_url) as url:
        yield url


@pytest.fixture
def alembic(empty_database, redis_url):
    return partial(run_alembic, empty_database, redis_url)


@pytest.fixture
def start_alembic(empty_database, redis_url):
    """Alembic as a process of its own, for what happens meanwhile."""
    started = []

    def start_alembic(*arguments):
        environment = {
            **os.environ,
            "DATABASE_URL": empty_database,
            "REDIS_URL": redis_url,
            "ADMIN_API_KEY": "only-for-the-tests",
        }
        process = subprocess.Popen(
            [sys.executable, "-m", "alembic", *arguments],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield start_alembic
    for process in started:
        process.kill()
        process.communicate()


def said(process):
    """What it wrote to stderr, once it has ended."""
    return process.communicate(timeout=PATIENCE_S)[1]


def query(url, statement, parameters=None, options=""):
    with closing(psycopg2.connect(url, options=options)) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(statement, parameters)
            return cursor.fetchall() if cursor.description else []


@contextmanager
def transaction(url, *statements):
    """Somebody else's transaction, open in the meantime."""
    with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)
        yield
        connection.rollback()


def await_row(url, statement):
    """The first row of a query, as soon as there is one."""
    waiter = threading.Event()
    for _ in range(int(PATIENCE_S / 0.02)):
        if rows := query(url, statement):
            return rows[0]
        waiter.wait(0.02)
    return pytest.fail(f"it did not happen: {statement}")


def tables_of(url):
    return {
        name for (name,) in query(url, "SELECT tablename FROM pg_tables WHERE schemaname='public'")
    }


def columns_of(url, table="transcription_jobs"):
    statement = "SELECT column_name FROM information_schema.columns WHERE table_name = %s"
    return {name for (name,) in query(url, statement, (table,))}


def version_of(url):
    [(version,)] = query(url, "SELECT version_num FROM alembic_version")
    return version


def rows_of(url, columns):
    """Everything in the tables of 0001, in the columns that they had."""
    select = sql.SQL("SELECT {} FROM {}")
    found = {}
    for table, names in columns.items():
        listed = sql.SQL(", ").join(map(sql.Identifier, sorted(names)))
        found[table] = sorted(query(url, select.format(listed, sql.Identifier(table))), key=repr)
    return found


def test_migrations_go_up_down_and_up(alembic, empty_database):
    alembic("upgrade", "head")
    built = tables_of(empty_database)

    alembic("downgrade", "base")
    left = tables_of(empty_database)
    alembic("upgrade", "head")

    assert {"transcription_jobs", "transcription_results", "error_logs"} <= built
    assert left == {"alembic_version"}
    assert tables_of(empty_database) == built


def test_the_migrated_schema_is_the_one_that_the_code_expects(alembic):
    alembic("upgrade", "head")

    said = alembic("check")

    assert "No new upgrade operations detected" in said


def test_two_upgrades_at_once_do_the_work_once(alembic, start_alembic, empty_database):
    """The second one waits while the first one waits for an older transaction."""
    alembic("upgrade", "0001")

    with transaction(empty_database, *SNAPSHOT):
        first = start_alembic("upgrade", "head")
        await_row(empty_database, BUILDER)
        second = start_alembic("upgrade", "head")
        await_row(
            empty_database,
            # Waiting for the lock, or between two tries.
            "SELECT 1 FROM pg_stat_activity WHERE datname = current_database()"
            " AND pid <> pg_backend_pid() AND (query LIKE '%advisory_lock%' OR query = 'COMMIT')",
        )
    complaints = [said(first), said(second)]

    assert [first.returncode, second.returncode] == [0, 0], complaints
    assert version_of(empty_database) == HEAD


def test_a_migration_gives_up_on_a_table_in_use_and_can_be_run_again(
    alembic, start_alembic, empty_database
):
    alembic("upgrade", "0001")
    before = columns_of(empty_database)

    with transaction(empty_database, "SELECT count(*) FROM transcription_jobs"):
        complaint = said(upgrade := start_alembic("upgrade", "head"))

    assert upgrade.returncode != 0
    assert "lock timeout" in complaint
    assert version_of(empty_database) == "0001"
    assert columns_of(empty_database) == before
    alembic("upgrade", "head")
    assert version_of(empty_database) == HEAD


def test_a_submission_behind_a_migration_that_waits_is_served(
    alembic, start_alembic, empty_database
):
    """It waits in line, since the migration asks for the whole table; not for long, though."""
    alembic("upgrade", "0001")

    with transaction(empty_database, "SELECT count(*) FROM transcription_jobs"):
        upgrade = start_alembic("upgrade", "head")
        await_row(
            empty_database,
            "SELECT 1 FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND NOT granted"
            " AND relation = 'transcription_jobs'::regclass",
        )
        query(empty_database, INSERT_JOB, options=SERVER_OPTIONS)
        said(upgrade)

    assert upgrade.returncode != 0
    assert query(empty_database, "SELECT count(*) FROM transcription_jobs") == [(1,)]


def test_an_index_that_is_being_built_blocks_nobody_and_can_be_built_again_when_cut_off(
    alembic, start_alembic, empty_database
):
    alembic("upgrade", "0001")

    with transaction(empty_database, *SNAPSHOT):
        upgrade = start_alembic("upgrade", "head")
        [builder] = await_row(empty_database, BUILDER)
        query(empty_database, INSERT_JOB, options=SERVER_OPTIONS)
        query(empty_database, "SELECT pg_terminate_backend(%s)", (builder,))
        said(upgrade)

    assert upgrade.returncode != 0
    assert version_of(empty_database) == "0002"
    alembic("upgrade", "head")
    assert "No new upgrade operations detected" in alembic("check")
    assert query(empty_database, "SELECT 1 FROM pg_index WHERE NOT indisvalid") == []


JOBS_OF_0001 = [  # status, priority, attempt, and the rank that follows
    ("pending", 1, 0, 1),
    ("pending", 1, 2, 2),
    ("pending", 0, 0, 0),
    ("pending", 0, 3, 0),
    ("processing", 1, 1, 1),
    ("processing", 1, 2, 2),
    ("completed", 1, 1, 1),
    ("failed", 1, 5, 1),
    ("cancelled", 0, 0, 1),
]


@pytest.fixture
def jobs_of_0001(alembic, empty_database):
    """The ids and expected ranks of jobs that were there before the queue had an order."""
    alembic("upgrade", "0001")
    ranks = {}
    for number, (status, priority, attempt, rank) in enumerate(JOBS_OF_0001, start=1):
        job_id = UUID(int=number)
        ranks[str(job_id)] = rank
        query(
            empty_database,
            "INSERT INTO transcription_jobs (id, status, priority, attempt, lease_expires_at,"
            " updated_at, model_size, options, file_path, size_bytes, sha256)"
            " VALUES (%s, %s, %s, %s, now(), now() - interval '1 hour', 'base', '{\"a\": 1}',"
            " 'key', 1, 'sum')",
            (str(job_id), status, priority, attempt),
        )
        query(
            empty_database,
            "INSERT INTO job_events (job_id, event, status, attempt, actor)"
            " VALUES (%s, 'submitted', 'pending', 0, 'api')",
            (str(job_id),),
        )
    query(
        empty_database,
        "INSERT INTO error_logs (job_id, error_type, error_class, error_message, reason,"
        " retry_count, options) VALUES (%s, 'x', 'X', 'x', 'permanent', 4, '{}')",
        (str(UUID(int=8)),),
    )
    return ranks


def test_what_was_there_survives_the_way_up_down_and_up(alembic, empty_database, jobs_of_0001):
    columns = {table: columns_of(empty_database, table) for table in TABLES_OF_0001}
    before = rows_of(empty_database, columns)

    found = []
    for direction in (("upgrade", "head"), ("downgrade", "0001"), ("upgrade", "head")):
        alembic(*direction)
        found.append(rows_of(empty_database, columns))

    assert found == [before] * 3
    assert len(before["job_events"]) == len(JOBS_OF_0001)


def test_jobs_that_wait_get_their_place_in_the_queue(alembic, empty_database, jobs_of_0001):
    alembic("upgrade", "head")

    found = query(empty_database, "SELECT id::text, rank FROM transcription_jobs")
    waiting = query(
        empty_database,
        "SELECT client, turn, waiting_since = updated_at FROM transcription_jobs"
        " WHERE status = 'pending'",
    )

    assert dict(found) == jobs_of_0001
    assert waiting == [("", 0.0, True)] * 4


RESULT = """
    INSERT INTO transcription_jobs (id, status, model_size, options, file_path, size_bytes, sha256)
    VALUES ('00000000-0000-0000-0000-000000000001', 'completed', 'base', '{}', 'key', 1, 'sum');
    INSERT INTO transcription_results
        (job_id, attempt, lease_token, transcription_text, language, duration, word_count,
         segments, task, model_requested, model_used, engine, device, fallbacks, warnings,
         timings, transcribe_s)
    VALUES ('00000000-0000-0000-0000-000000000001', 1, 1, 'Hello', 'en', 1, 1,
        '[]', 'transcribe', 'base', 'base', 'fake', 'cpu', '[]', '[]', '{}', 1)
"""


def test_a_result_from_before_coverage_stays_and_has_none(alembic, empty_database):
    alembic("upgrade", "0003")
    query(empty_database, RESULT)
    columns = {"transcription_results": columns_of(empty_database, "transcription_results")}
    before = rows_of(empty_database, columns)

    found, coverage = [], []
    for direction in (("upgrade", "head"), ("downgrade", "0003"), ("upgrade", "head")):
        alembic(*direction)
        found.append(rows_of(empty_database, columns))
        if direction[0] == "upgrade":
            coverage += query(empty_database, "SELECT coverage FROM transcription_results")

    assert found == [before] * 3
    assert coverage == [(None,), (None,)]


def test_coverage_waits_for_a_reader_of_results_only_briefly(
    alembic, start_alembic, empty_database
):
    alembic("upgrade", "0003")

    with transaction(empty_database, "SELECT count(*) FROM transcription_results"):
        complaint = said(upgrade := start_alembic("upgrade", "head"))

    assert upgrade.returncode != 0
    assert "lock timeout" in complaint
    alembic("upgrade", "head")
    assert version_of(empty_database) == HEAD
