import psycopg2
import pytest
from psycopg2 import sql

from benchmarks.core_fill import add_finished, add_waiting, empty, row_id, tidy
from benchmarks.core_plan_cases import all_cases, find_landmarks
from benchmarks.core_plans import grown
from benchmarks.core_stack import Stack
from benchmarks.core_statements import observing
from tests.conftest import execute, fresh_database, run_alembic

FEW, MANY = 1_000, 8_000
WAITING = 400
# They count dead letters, which only an operator or their retention makes fewer.
COUNTS = {"dead letters, first page (2)", "dead letters, open (2)", "health, errors (2)"}
# Looks up the jobs of a page of events; reading all jobs is cheaper while they are few.
PAGE = {"news of a client's jobs (2)"}


@pytest.fixture(scope="module")
def stack(database_url, redis_url, tmp_path_factory):
    with fresh_database(database_url) as url:
        run_alembic(url, redis_url, "upgrade", "head")
        # Tables this small are faster read whole; what matters is whether an index would do.
        name = sql.Identifier(url.rpartition("/")[2])
        for way in ("enable_seqscan", "enable_hashjoin", "enable_mergejoin"):
            query = sql.SQL("ALTER DATABASE {} SET {} = off").format(name, sql.Identifier(way))
            execute(url, query)
        yield Stack(tmp_path_factory.mktemp("stack"), url, redis_url, 0, 0)


def fill(stack: Stack, finished: int) -> None:
    empty(stack)
    add_finished(stack, 1, finished, total=finished, segments=1)
    add_waiting(stack, finished + 1, finished + WAITING)
    tidy(stack)


def explain_all(stack: Stack, finished: int):
    with observing(stack) as observer:
        cases = all_cases(observer, find_landmarks(stack, finished, WAITING))
        return [fact for name in cases for fact in observer.explain(name, cases[name])]


def ask(stack: Stack, query: str):
    with psycopg2.connect(stack.database_url) as connection, connection.cursor() as cursor:
        cursor.execute(query)
        return cursor.fetchone()[0]


def test_no_question_reads_more_when_more_jobs_are_finished(stack: Stack):
    fill(stack, FEW)
    few = explain_all(stack, FEW)
    fill(stack, MANY)

    many = explain_all(stack, MANY)

    assert {fact.name: fact.scanned for fact in many if fact.scanned} == {}
    assert set(grown(few, many)) - COUNTS - PAGE == set()


def test_the_filling_is_one_of_jobs_that_the_program_could_have_made(stack: Stack):
    fill(stack, FEW)

    completed = ask(stack, "SELECT count(*) FROM transcription_jobs WHERE status = 'completed'")
    results = ask(stack, "SELECT count(*) FROM transcription_results")
    events = ask(stack, "SELECT count(*) FROM job_events")
    orphans = ask(
        stack,
        "SELECT count(*) FROM job_events WHERE job_id NOT IN (SELECT id FROM transcription_jobs)",
    )
    assert (completed, results, events, orphans) == (900, 900, 3 * FEW, 0)


def test_a_number_leads_to_its_row(stack: Stack):
    fill(stack, 10)

    ids = ask(
        stack, "SELECT array_agg(id::text) FROM transcription_jobs WHERE status = 'completed'"
    )

    assert set(ids) == {str(row_id(number)) for number in range(1, 11)}


def test_looking_changes_nothing(stack: Stack):
    fill(stack, FEW)
    before = ask(stack, "SELECT md5(string_agg(j::text, '' ORDER BY id)) FROM transcription_jobs j")

    explain_all(stack, FEW)

    after = ask(stack, "SELECT md5(string_agg(j::text, '' ORDER BY id)) FROM transcription_jobs j")
    assert after == before
