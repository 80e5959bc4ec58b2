"""Health check of a reconciler: fails unless one of them, this one or another, leads."""

import sys

from sqlalchemy import create_engine, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import NullPool

from config import get_settings
from database import CONNECT_ARGS
from services.reconciler import LEADER_LOCK

# How Postgres lists an advisory lock with a key of 64 bits: in halves, objsubid 1.
QUERY = text(
    "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted AND objsubid = 1"
    " AND classid = 0 AND objid = :key"
)


def check(sqlalchemy_url: str) -> int:
    """0 when some reconciler holds the leader's lock, else 1."""
    engine = create_engine(sqlalchemy_url, poolclass=NullPool, connect_args=CONNECT_ARGS)
    try:
        with engine.connect() as connection:
            return 0 if connection.scalar(QUERY, {"key": LEADER_LOCK}) else 1
    except SQLAlchemyError:
        return 1


if __name__ == "__main__":
    sys.exit(check(get_settings().sqlalchemy_url))
