"""indexes of the queue

Revision: 0003, after 0002

By themselves, since they are built without blocking writers and therefore outside of any
transaction: a build that is cut off can be run again, and what 0002 did is on record by then.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

JOBS = "transcription_jobs"
WAITING = sa.text("status = 'pending' AND next_attempt_at IS NULL")
DELAYED = sa.text("status = 'pending' AND next_attempt_at IS NOT NULL")
HAS_RECORDING = sa.text("completed_at IS NOT NULL AND file_removed_at IS NULL")


def upgrade() -> None:
    with _beside_writers():
        _build("ix_jobs_next", JOBS, ["rank", "turn", "created_at", "id"], WAITING)
        _build("ix_jobs_due", JOBS, ["next_attempt_at"], DELAYED)
        _build("ix_jobs_unheard", JOBS, [sa.literal_column("published_at NULLS FIRST")], WAITING)
        _build("ix_jobs_recordings", JOBS, ["status", "completed_at"], HAS_RECORDING)
        _build("ix_events_tx", "job_events", ["tx", "id"])
        for name in ("ix_jobs_waiting", "ix_jobs_finished"):
            _drop(name)


def downgrade() -> None:
    with _beside_writers():
        _build(
            "ix_jobs_waiting", JOBS, ["priority", "created_at", "id"], sa.text("status = 'pending'")
        )
        _build("ix_jobs_finished", JOBS, ["completed_at"], sa.text("completed_at IS NOT NULL"))
        for name in (
            *("ix_events_tx", "ix_jobs_recordings", "ix_jobs_unheard"),
            *("ix_jobs_due", "ix_jobs_next"),
        ):
            _drop(name)


@contextmanager
def _beside_writers() -> Iterator[None]:
    """Outside of a transaction, and patient: nobody waits behind one who builds like this.

    A build waits for every transaction that is older than it, a backup's too.
    """
    with op.get_context().autocommit_block():
        before = op.get_bind().scalar(sa.text("SHOW lock_timeout"))
        op.execute("SET lock_timeout = '10min'")
        yield
        op.execute(f"SET lock_timeout = '{before}'")


def _build(
    name: str,
    table: str,
    columns: list[str | sa.ColumnClause[object]],
    where: sa.TextClause | None = None,
) -> None:
    _drop(name)  # a build that was cut off leaves an invalid index of this name behind
    op.create_index(name, table, columns, postgresql_where=where, postgresql_concurrently=True)


def _drop(name: str) -> None:
    op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")
