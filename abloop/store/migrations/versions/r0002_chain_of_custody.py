"""Observations have a key of their own, and what becomes of every record is counted.

What was joined before is in the training table and nowhere else: it is counted neither as received nor as joined.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

_Text, _Float, _Int = sa.Text, sa.Double, sa.BigInteger


def upgrade() -> None:
    """Bring the schema of release 0.1.0 to this one."""
    _make_observations()
    op.add_column("abloop_decisions", sa.Column("digest", _Int, nullable=False, server_default="0"))
    for column in (
        sa.Column("oldest", _Float),
        sa.Column("newest", _Float),
        sa.Column("since", _Int, nullable=False, server_default="0"),
        sa.Column("until", _Int),
    ):
        op.add_column("abloop_files", column)
    _make_new()
    for name, source in {
        "observations": "abloop_observations",
        "decisions": "abloop_decisions",
        "rows": "abloop_decisions WHERE body IS NULL",
    }.items():
        op.execute(
            "INSERT INTO abloop_counts (strategy, name, count) "  # noqa: S608 - all our own
            f"SELECT strategy, '{name}', COUNT(*) FROM {source} GROUP BY strategy"
        )


def downgrade() -> None:
    """Go back to the schema of release 0.1.0, which knows no units' outcomes, dead letters, counts and erasures."""
    _put_aside("abloop_observations")
    op.create_table(
        "abloop_observations",
        sa.Column("strategy", _Text, primary_key=True),
        sa.Column("record", _Text, primary_key=True),
        sa.Column("decision_id", _Text, nullable=False),
        sa.Column("at", _Float, nullable=False),
        sa.Column("name", _Text, nullable=False),
        sa.Column("value", _Float, nullable=False),
        sa.Index("abloop_observations_decision", "strategy", "decision_id"),
    )
    place = "_" * 20 + "-%.spool:%"  # segment and offset
    record = f"CASE WHEN key LIKE '{place}' THEN key ELSE decision_id || '/' || name || '/' || key END"
    for source in ("abloop_observations_old", "abloop_late WHERE decision_id <> ''"):
        op.execute(
            "INSERT INTO abloop_observations (strategy, record, decision_id, at, name, value) "  # noqa: S608
            f"SELECT strategy, {record}, decision_id, at, name, value FROM {source}"
        )
    op.drop_table("abloop_observations_old")
    op.drop_column("abloop_decisions", "digest")
    op.execute("DELETE FROM abloop_files WHERE until IS NOT NULL")  # it would read them as part of the table
    for column in ("oldest", "newest", "since", "until"):
        op.drop_column("abloop_files", column)
    for table in ("abloop_late", "abloop_dead", "abloop_counts", "abloop_erased"):
        op.drop_table(table)


def _put_aside(table: str) -> None:
    """Rename a table, so that another one can have its name and the name of its key."""
    op.rename_table(table, f"{table}_old")
    if op.get_bind().dialect.name == "postgresql":
        op.execute(f"ALTER TABLE {table}_old DROP CONSTRAINT {table}_pkey")


def _make_observations() -> None:
    """Give every observation the key that its record's name holds; where it had none, the place it was read from."""
    op.drop_index("abloop_observations_decision", "abloop_observations")
    _put_aside("abloop_observations")
    op.create_table(
        "abloop_observations",
        sa.Column("strategy", _Text, primary_key=True),
        sa.Column("decision_id", _Text, primary_key=True),
        sa.Column("name", _Text, primary_key=True),
        sa.Column("key", _Text, primary_key=True),
        sa.Column("at", _Float, nullable=False),
        sa.Column("value", _Float, nullable=False),
        sqlite_with_rowid=False,
    )
    start = "decision_id || '/' || name || '/'"
    key = f"CASE WHEN substr(record, 1, length({start})) = {start} THEN substr(record, length({start}) + 1)"
    op.execute(
        "INSERT INTO abloop_observations (strategy, decision_id, name, key, at, value) "  # noqa: S608 - all our own
        f"SELECT strategy, decision_id, name, {key} ELSE record END, at, value FROM abloop_observations_old"
    )
    op.drop_table("abloop_observations_old")


def _make_new() -> None:
    op.create_table(
        "abloop_late",
        sa.Column("strategy", _Text, primary_key=True),
        sa.Column("decision_id", _Text, primary_key=True),
        sa.Column("unit", _Text, primary_key=True),
        sa.Column("name", _Text, primary_key=True),
        sa.Column("key", _Text, primary_key=True),
        sa.Column("at", _Float, nullable=False),
        sa.Column("value", _Float, nullable=False),
        sa.Column("fresh", _Int, nullable=False, server_default="1"),
        sa.Index(
            "abloop_late_fresh",
            "strategy",
            "fresh",
            sqlite_where=sa.text("fresh > 0"),
            postgresql_where=sa.text("fresh > 0"),
        ),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "abloop_dead",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("segment", _Text, nullable=False),
        sa.Column("offset", _Int, nullable=False),
        sa.Column("strategy", _Text, nullable=False),
        sa.Column("reason", _Text, nullable=False),
        sa.Column("at", _Float, nullable=False),
        sa.Column("payload", sa.LargeBinary, nullable=False),
        sa.UniqueConstraint("segment", "offset"),
    )
    op.create_table(
        "abloop_counts",
        sa.Column("strategy", _Text, primary_key=True),
        sa.Column("name", _Text, primary_key=True),
        sa.Column("count", _Int, nullable=False),
    )
    op.create_table(
        "abloop_erased",
        sa.Column("unit", _Text, primary_key=True),
        sa.Column("at", _Float, nullable=False),
        sa.Column("who", _Text, nullable=False),
        sa.Column("why", _Text, nullable=False),
    )
