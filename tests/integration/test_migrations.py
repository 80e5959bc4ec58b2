"""Migrations go up, down and up again, and leave exactly the tables that models.py describes."""

from functools import partial

import psycopg2
import pytest

from tests.conftest import fresh_database, run_alembic


@pytest.fixture
def empty_database(database_url):
    with fresh_database(database_url) as url:
        yield url


@pytest.fixture
def alembic(empty_database, redis_url):
    return partial(run_alembic, empty_database, redis_url)


def tables_of(url):
    connection = psycopg2.connect(url)
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
            return {name for (name,) in cursor.fetchall()}
    finally:
        connection.close()


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
