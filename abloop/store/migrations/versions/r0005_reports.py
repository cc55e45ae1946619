"""Reports that take long to make are kept."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

_Text, _Float, _Int = sa.Text, sa.Double, sa.BigInteger


def upgrade() -> None:
    """Add the table of reports."""
    op.create_table(
        "abloop_reports",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("strategy", _Text, nullable=False),
        sa.Column("kind", _Text, nullable=False),
        sa.Column("version", _Int, nullable=False),
        sa.Column("at", _Float, nullable=False),
        sa.Column("rows", _Int, nullable=False),
        sa.Column("who", _Text, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
    )
    op.create_index("abloop_reports_newest", "abloop_reports", ["strategy", "kind", "id"])


def downgrade() -> None:
    """Go back to a schema that keeps no reports."""
    op.drop_table("abloop_reports")
