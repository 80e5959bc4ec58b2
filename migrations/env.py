"""Runs the migrations online, one runner at a time, without waiting long for a lock."""

import time

from alembic import context
from sqlalchemy import Connection, create_engine, text
from sqlalchemy.pool import NullPool

from config import get_settings
from models import Base

# Any fixed number: two deployments that start at once must agree on it.
MIGRATION_LOCK = 7_305_001
LOOK_AGAIN_S = 0.5
# While a migration waits for a table, whoever wants to write there waits behind it. So it gives
# up well before the server does, whose statements wait 3 s for a lock: see database.py.
LOCK_TIMEOUT = "1s"


def run() -> None:
    """Upgrade or downgrade under an advisory lock."""
    url = context.config.get_main_option("sqlalchemy.url") or get_settings().sqlalchemy_url
    engine = create_engine(url, poolclass=NullPool)
    with engine.connect() as connection:
        _await_turn(connection)  # before any table is locked
        # A table in use stops the migration instead of the migration stopping the table.
        connection.execute(text(f"SET lock_timeout = '{LOCK_TIMEOUT}'"))
        connection.commit()
        context.configure(
            connection=connection,
            target_metadata=Base.metadata,
            compare_server_default=True,
            # What one has done stays done when the next one gives up.
            transaction_per_migration=True,
        )
        with context.begin_transaction():
            context.run_migrations()


def _await_turn(connection: Connection) -> None:
    """Wait for the runner before us.

    Not by a statement that waits: its snapshot would hold up the indexes that the other one
    builds concurrently, which wait for every older snapshot, until one of the two is killed.
    """
    query = text("SELECT pg_try_advisory_lock(:key)")
    while not connection.scalar(query, {"key": MIGRATION_LOCK}):
        connection.commit()
        time.sleep(LOOK_AGAIN_S)
    connection.commit()


run()
