"""indexes of tenants

Revision: 0006, after 0005

By themselves, since they are built without blocking writers and therefore outside of any
transaction: a build that is cut off can be run again, and what 0005 did is on record by then.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

JOBS = "transcription_jobs"
NEWEST = sa.literal_column("created_at DESC"), sa.literal_column("id DESC")
IN_BATCH = sa.text("batch_id IS NOT NULL")
IS_OPEN = sa.text("status IN ('pending', 'processing')")
NAMES = ("ix_jobs_tenant", "ix_jobs_content", "ix_jobs_batch", "ix_jobs_open")


def upgrade() -> None:
    with _beside_writers():
        _build("ix_jobs_tenant", JOBS, ["tenant", *NEWEST])
        _build("ix_jobs_content", JOBS, ["tenant", "sha256"])
        _build("ix_jobs_batch", JOBS, ["batch_id"], IN_BATCH)
        _build("ix_jobs_open", JOBS, ["tenant", "status"], IS_OPEN)


def downgrade() -> None:
    with _beside_writers():
        for name in reversed(NAMES):
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
