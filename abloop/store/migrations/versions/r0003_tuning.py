"""What tuning knows of a strategy, step by step."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

_Text, _Float, _Int = sa.Text, sa.Double, sa.BigInteger


def upgrade() -> None:
    """Add the table of tunings."""
    op.create_table(
        "abloop_tunings",
        sa.Column("strategy", _Text, primary_key=True),
        sa.Column("step", _Int, primary_key=True, autoincrement=False),
        sa.Column("body", _Text, nullable=False),
        sa.Column("at", _Float, nullable=False),
        sa.Column("who", _Text, nullable=False),
        sa.Column("why", _Text, nullable=False),
    )


def downgrade() -> None:
    """Go back to a schema that knows no tuning."""
    op.drop_table("abloop_tunings")
