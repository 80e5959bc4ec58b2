"""coverage of results

Revision: 0004, after 0003

Safe while the server runs: the column is empty by default, so no table is rewritten. Results
written before have no coverage, and neither have those of a worker that still runs the old code.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "transcription_results", sa.Column("coverage", postgresql.JSONB(), nullable=True)
    )


def downgrade() -> None:
    op.drop_column("transcription_results", "coverage")
