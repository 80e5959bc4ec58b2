"""turns windows storage findings

Revision: 0002, after 0001

Safe while the server runs: new columns have constant defaults, so no table is rewritten. The
indexes of tables that exist follow in a migration of their own.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

NOW = sa.text("now()")


def upgrade() -> None:
    op.add_column("transcription_jobs", _text("client"))
    op.add_column("transcription_jobs", _number("rank", sa.SmallInteger(), "1"))
    op.add_column("transcription_jobs", _number("turn", sa.Float(), "0"))
    op.add_column("transcription_jobs", _moment("waiting_since", server_default=NOW))
    op.add_column("transcription_jobs", _moment("file_removed_at", nullable=True))
    # Only what waits has a place in the queue: a few rows, whatever the size of the table.
    op.execute(
        "UPDATE transcription_jobs SET waiting_since = updated_at, rank ="
        " CASE WHEN priority = 0 THEN 0"
        " WHEN attempt > CASE status WHEN 'processing' THEN 1 ELSE 0 END THEN 2 ELSE 1 END"
        " WHERE status IN ('pending', 'processing')"
    )
    # Old events keep 0: they are all visible, and their order is that of their ids.
    op.add_column("job_events", _number("tx", sa.BigInteger(), "0"))
    op.alter_column(
        "job_events", "tx", server_default=sa.text("(pg_current_xact_id()::text)::bigint")
    )
    op.add_column("worker_processes", _text("queues"))
    op.add_column("worker_processes", _moment("idle_since", nullable=True))
    _create_tables()


def downgrade() -> None:
    op.drop_table("storage_audits")
    op.drop_table("storage_findings")
    op.drop_table("client_turns")
    op.drop_table("transcription_windows")
    op.drop_column("worker_processes", "idle_since")
    op.drop_column("worker_processes", "queues")
    op.drop_column("job_events", "tx")
    for name in ("file_removed_at", "waiting_since", "turn", "rank", "client"):
        op.drop_column("transcription_jobs", name)


def _create_tables() -> None:
    op.create_table(
        "transcription_windows",
        sa.Column("job_id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("lease_token", sa.BigInteger(), nullable=False),
        sa.Column("engine", sa.Text(), nullable=False),
        sa.Column("model_used", sa.Text(), nullable=False),
        sa.Column("next_seek", sa.Integer(), nullable=False),
        sa.Column("segments", postgresql.JSONB(), nullable=False),
        sa.Column("carried", postgresql.JSONB(), nullable=False),
        _moment("created_at", server_default=NOW),
        sa.ForeignKeyConstraint(["job_id"], ["transcription_jobs.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("job_id", "number"),
    )
    op.create_table(
        "client_turns",
        sa.Column("client", sa.Text(), nullable=False),
        sa.Column("rank", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("turn", sa.Float(), nullable=False),
        _moment("updated_at", server_default=NOW),
        sa.PrimaryKeyConstraint("client", "rank"),
    )
    op.create_index("ix_turns_latest", "client_turns", ["rank", sa.literal_column("turn DESC")])
    op.create_table(
        "storage_findings",
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("job_id", sa.Uuid(), nullable=True),
        sa.Column("size_bytes", sa.BigInteger(), nullable=True),
        _moment("found_at", server_default=NOW),
        _moment("seen_at", server_default=NOW),
        sa.PrimaryKeyConstraint("kind", "key"),
    )
    op.create_table(
        "storage_audits",
        sa.Column("name", sa.Text(), nullable=False),
        _moment("ran_at", server_default=NOW),
        _moment("finished_at", nullable=True),
        sa.PrimaryKeyConstraint("name"),
    )


def _text(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), server_default="", nullable=False)


def _number(name: str, kind: sa.types.TypeEngine[float], default: str) -> sa.Column[float]:
    return sa.Column(name, kind, server_default=sa.text(default), nullable=False)


def _moment(
    name: str, *, nullable: bool = False, server_default: sa.TextClause | None = None
) -> sa.Column[object]:
    return sa.Column(
        name, sa.DateTime(timezone=True), nullable=nullable, server_default=server_default
    )
