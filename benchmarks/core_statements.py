"""The statements that the program really issues, caught on their way to Postgres."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

import psycopg2
from sqlalchemy import Engine, create_engine, event
from sqlalchemy.orm import Session, sessionmaker

from benchmarks.core_plans import EXPLAIN, PlanFacts, read_plan
from benchmarks.core_stack import Stack
from benchmarks.errors import BenchmarkFailed
from config import CONSUMED_QUEUES, Settings, load_settings
from database import CONNECT_ARGS
from services.context import Services, build_services

BIG_ROWS = 10_000  # a smaller table may well be read from end to end
KINDS = ("SELECT", "WITH", "INSERT", "UPDATE", "DELETE", "EXECUTE")
# What a prepared statement ends with on a connection that is used for long.
GENERIC_PLANS = "SET plan_cache_mode = force_generic_plan"
BIG_TABLES = """
SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace
AND reltuples >= %s
"""


@dataclass(frozen=True)
class Statement:
    """One statement and its values, as the driver took them."""

    text: str
    values: Any


class Observer:
    """Services whose every transaction is rolled back, and the statements in them."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._caught: list[Statement] = []
        self._prepared: list[str] = []
        settings = settings_of(stack)
        self._engine: Engine = create_engine(settings.sqlalchemy_url, connect_args=CONNECT_ARGS)
        event.listen(self._engine, "before_cursor_execute", self._catch)
        self._make_session = sessionmaker(self._engine, expire_on_commit=False)
        self.services: Services = replace(
            build_services(settings),
            open_session=self.open_session,
            open_statement=self.open_session,
            publish=_ring_for_nobody,
            queue_depths=lambda: dict.fromkeys(CONSUMED_QUEUES, 0),
        )

    @contextmanager
    def open_session(self) -> Iterator[Session]:
        """A session whose work is undone in the end."""
        with self._make_session() as session:  # closing rolls back
            yield session

    def catch(self, call: Callable[[], object]) -> list[Statement]:
        """The different statements that a call issues, in order. What it wrote is undone."""
        self._caught = []
        call()
        return [*{statement.text: statement for statement in self._caught}.values()]

    def explain(self, name: str, call: Callable[[], object]) -> list[PlanFacts]:
        """How Postgres runs each statement of a call. Raises BenchmarkFailed for none."""
        statements = self.catch(call)
        if not statements:
            raise BenchmarkFailed(f"{name}: no statement was issued")
        names = [name, *(f"{name} ({number})" for number in range(2, len(statements) + 1))]
        connection = psycopg2.connect(self._stack.database_url)
        try:
            with connection.cursor() as cursor:
                for prepare in (GENERIC_PLANS, *self._prepared):
                    cursor.execute(prepare)
                connection.commit()
                cursor.execute(BIG_TABLES, (BIG_ROWS,))
                big = {row[0] for row in cursor.fetchall()}
                found = []
                for each, statement in zip(names, statements, strict=True):
                    cursor.execute(EXPLAIN + statement.text, statement.values)
                    answer = cursor.fetchone()
                    connection.rollback()  # EXPLAIN ANALYZE really runs it
                    found.append(read_plan(each, answer[0] if answer else [], big))
        finally:
            connection.close()
        return found

    def close(self) -> None:
        """Leave no connection behind."""
        self._engine.dispose()

    def _catch(  # what SQLAlchemy hands over
        self, _connection: Any, _cursor: Any, statement: str, values: Any, *_rest: Any
    ) -> None:
        if statement.startswith("PREPARE"):
            self._prepared.append(statement)
        elif statement.lstrip().upper().startswith(KINDS):
            self._caught.append(Statement(statement, values))


@contextmanager
def observing(stack: Stack) -> Iterator[Observer]:
    """An observer until the block is left."""
    observer = Observer(stack)
    try:
        yield observer
    finally:
        observer.close()


def settings_of(stack: Stack) -> Settings:
    """The settings of the program on this stack, with every sweep at work."""
    return load_settings(
        data_dir=stack.folder,
        storage_dir=stack.folder / "uploads",
        database_url=stack.database_url,
        redis_url=stack.redis_url,
        admin_api_key="core-benchmark-key",
        whisper_engine="fake",
        age_after_s=3600,
        keep_recordings_days=30,
        keep_events_days=30,
    )


def _ring_for_nobody(_job_id: UUID, _queue: str) -> None:
    """Nobody works here."""
