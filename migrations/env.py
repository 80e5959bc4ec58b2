"""Runs the migrations online, one runner at a time, without waiting long for a lock."""

from alembic import context
from sqlalchemy import create_engine, text
from sqlalchemy.pool import NullPool

from config import get_settings
from models import Base

# Any fixed number: two deployments that start at once must agree on it.
MIGRATION_LOCK = 7_305_001


def run() -> None:
    """Upgrade or downgrade under an advisory lock."""
    url = context.config.get_main_option("sqlalchemy.url") or get_settings().sqlalchemy_url
    engine = create_engine(url, poolclass=NullPool)
    with engine.connect() as connection:
        # The waiting happens here, before any table is locked.
        connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": MIGRATION_LOCK})
        # A table in use stops the migration instead of the migration stopping the table.
        connection.execute(text("SET lock_timeout = '5s'"))
        connection.commit()
        context.configure(
            connection=connection, target_metadata=Base.metadata, compare_server_default=True
        )
        with context.begin_transaction():
            context.run_migrations()


run()
