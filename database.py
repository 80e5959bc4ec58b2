"""Connection to Postgres: one engine per process, sessions that commit or roll back."""

import os
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg2
from sqlalchemy import Engine, create_engine, event, text
from sqlalchemy.exc import DBAPIError, DisconnectionError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import Session
from sqlalchemy.pool import ConnectionPoolEntry

from config import get_settings
from domain.errors import DatabaseFull, DatabaseUnavailable

# A statement of ours takes milliseconds; these bound what a sick server can hold up.
SERVER_OPTIONS = (
    "-c statement_timeout=15000 -c lock_timeout=3000 -c idle_in_transaction_session_timeout=30000"
)
CONNECT_ARGS = {
    "options": SERVER_OPTIONS,
    "connect_timeout": 3,  # seconds
    "keepalives_idle": 10,  # seconds
    "tcp_user_timeout": 15_000,  # milliseconds: a cut-off leader's lock is freed soon
    "application_name": "scriptorium",
}

# Prepared statements keep the plan they got when the tables were small.
STATEMENT_ARGS = {**CONNECT_ARGS, "options": f"{SERVER_OPTIONS} -c enable_seqscan=off"}

PING_AFTER_S = 1.0
DISK_FULL = "53100"  # SQLSTATE

# Forked children must not share a socket with their parent, so engines are kept by process id.
# Two of them: one connection changes hands between transactions of several statements and
# statements that commit by themselves only at the price of two more round trips.
_engines: dict[tuple[int, str], Engine] = {}
TRANSACTIONS = "READ COMMITTED"
STATEMENTS = "AUTOCOMMIT"


def get_engine(isolation_level: str = TRANSACTIONS) -> Engine:
    """The engine of this process, made on first use."""
    key = (os.getpid(), isolation_level)
    engine = _engines.get(key)
    if engine is None:
        _drop_inherited()
        settings = get_settings()
        engine = create_engine(
            settings.sqlalchemy_url,
            isolation_level=isolation_level,
            pool_size=settings.db_pool_size,
            max_overflow=settings.db_pool_size,
            pool_timeout=5,  # seconds
            hide_parameters=True,  # a transcript must not reach a log through an error
            connect_args=STATEMENT_ARGS if isolation_level == STATEMENTS else CONNECT_ARGS,
        )
        _ping_after_rest(engine)
        _engines[key] = engine
    return engine


def _drop_inherited() -> None:
    """Forget the engines of a parent process, whose sockets stay open for the parent."""
    for pid, level in list(_engines):
        if pid != os.getpid():
            _engines.pop((pid, level)).dispose(close=False)


def _ping_after_rest(engine: Engine) -> None:
    """Look whether a connection still works before it is used, unless it was used just now.

    SQLAlchemy's own `pool_pre_ping` asks every time, a round trip for each statement.
    """

    @event.listens_for(engine, "checkin")
    def note_time(_connection: object, record: ConnectionPoolEntry) -> None:
        record.info["used_at"] = time.monotonic()

    @event.listens_for(engine, "checkout")
    def ping(connection: Any, record: ConnectionPoolEntry, _proxy: object) -> None:
        used_at = record.info.get("used_at")
        if used_at is None or time.monotonic() - used_at < PING_AFTER_S:
            return
        try:
            engine.dialect.do_ping(connection)
        except psycopg2.Error as error:
            raise DisconnectionError from error  # the pool makes a new one


def dispose_engine() -> None:
    """Forget every engine; a parent's connections stay open for the parent."""
    _drop_inherited()
    for key in list(_engines):
        _engines.pop(key).dispose()


def SessionLocal() -> Session:  # noqa: N802 - the owner's name for it
    """Open a session on this process's engine. The caller closes it."""
    return Session(get_engine(), expire_on_commit=False)


@contextmanager
def get_db_session() -> Iterator[Session]:
    """A session that commits on leaving and rolls back on an error.

    Raises DatabaseUnavailable when Postgres does not answer or cuts the connection, and of
    its kind DatabaseFull when it cannot write.
    """
    with _guarded(SessionLocal()) as session:
        yield session


@contextmanager
def get_statement_session() -> Iterator[Session]:
    """As `get_db_session`, for statements that are each a transaction of their own.

    Postgres commits each as it ends, which saves two of three round trips.
    """
    with _guarded(Session(get_engine(STATEMENTS), expire_on_commit=False)) as session:
        yield session


@contextmanager
def _guarded(session: Session) -> Iterator[Session]:
    try:
        yield session
        session.commit()
    except (OperationalError, PoolTimeout) as error:
        _roll_back(session)
        if getattr(getattr(error, "orig", None), "pgcode", None) == DISK_FULL:
            raise DatabaseFull("the database has no room left on its disk") from error
        raise DatabaseUnavailable("the database does not answer") from error
    except DBAPIError as error:
        _roll_back(session)
        if error.connection_invalidated:
            raise DatabaseUnavailable("the database connection was cut") from error
        raise
    except BaseException:
        _roll_back(session)
        raise
    finally:
        session.close()


def _roll_back(session: Session) -> None:
    try:
        session.rollback()
    except SQLAlchemyError:
        # The connection is gone, and with it the transaction: there is nothing to roll back.
        session.invalidate()


def get_db() -> Generator[Session, None, None]:
    """The same session as a generator, for frameworks that inject one."""
    with get_db_session() as session:
        yield session


def init_db() -> None:
    """Create every table that is missing. For experiments; migrations are the real way."""
    from models import Base  # late: Alembic's env imports this module without the tables

    Base.metadata.create_all(get_engine())


def check_db_connection() -> bool:
    """Say whether Postgres answers."""
    try:
        with get_db_session() as session:
            session.execute(text("SELECT 1"))
    except DatabaseUnavailable:
        return False
    return True


def get_db_stats() -> dict[str, Any]:
    """Connections of this process's pool: size, in use, idle, beyond the size."""
    pool: Any = get_engine().pool
    return {
        "pool_size": pool.size(),
        "in_use": pool.checkedout(),
        "idle": pool.checkedin(),
        "overflow": max(0, pool.overflow()),
    }
