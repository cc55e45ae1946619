"""The schema of release 0.1.0."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

metadata = sa.MetaData()
_Text, _Float, _Int = sa.Text, sa.Double, sa.BigInteger

sa.Table("abloop_schema", metadata, sa.Column("version", _Int, primary_key=True, autoincrement=False))
sa.Table(
    "abloop_blueprints",
    metadata,
    sa.Column("strategy", _Text, primary_key=True),
    sa.Column("version", _Int, primary_key=True, autoincrement=False),
    sa.Column("hash", _Text, nullable=False),
    sa.Column("body", _Text, nullable=False),
    sa.Column("at", _Float, nullable=False),
    sa.Column("who", _Text, nullable=False),
    sa.Column("why", _Text, nullable=False),
)
sa.Table(
    "abloop_allocations",
    metadata,
    sa.Column("strategy", _Text, primary_key=True),
    sa.Column("version", _Int, primary_key=True, autoincrement=False),
    sa.Column("body", _Text, nullable=False),
)
sa.Table(
    "abloop_servings",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("strategy", _Text, nullable=False, index=True),
    sa.Column("version", _Int, nullable=False),
    sa.Column("phase", _Text, nullable=False),
    sa.Column("release", _Text, nullable=False),
    sa.Column("at", _Float, nullable=False),
    sa.Column("who", _Text, nullable=False),
    sa.Column("why", _Text, nullable=False),
)
sa.Table(
    "abloop_artefacts",
    metadata,
    sa.Column("name", _Text, primary_key=True),
    sa.Column("body", sa.LargeBinary, nullable=False),
    sa.Column("at", _Float, nullable=False),
)
sa.Table(
    "abloop_verdicts",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("strategy", _Text, nullable=False, index=True),
    sa.Column("version", _Int, nullable=False),
    sa.Column("at", _Float, nullable=False),
    sa.Column("body", _Text, nullable=False),
)
sa.Table(
    "abloop_segments",
    metadata,
    sa.Column("name", _Text, primary_key=True),
    sa.Column("shipped", _Int, nullable=False),
)
sa.Table(
    "abloop_decisions",
    metadata,
    sa.Column("strategy", _Text, primary_key=True),
    sa.Column("decision_id", _Text, primary_key=True),
    sa.Column("version", _Int, nullable=False),
    sa.Column("at", _Float, nullable=False),
    sa.Column("body", sa.LargeBinary),
    sa.Index(
        "abloop_decisions_waiting",
        "strategy",
        "version",
        "at",
        sqlite_where=sa.text("body IS NOT NULL"),
        postgresql_where=sa.text("body IS NOT NULL"),
    ),
)
sa.Table(
    "abloop_observations",
    metadata,
    sa.Column("strategy", _Text, primary_key=True),
    sa.Column("record", _Text, primary_key=True),
    sa.Column("decision_id", _Text, nullable=False),
    sa.Column("at", _Float, nullable=False),
    sa.Column("name", _Text, nullable=False),
    sa.Column("value", _Float, nullable=False),
    sa.Index("abloop_observations_decision", "strategy", "decision_id"),
)
sa.Table(
    "abloop_files",
    metadata,
    sa.Column("name", _Text, primary_key=True),
    sa.Column("strategy", _Text, nullable=False, index=True),
    sa.Column("version", _Int, nullable=False),
    sa.Column("rows", _Int, nullable=False),
    sa.Column("observed", _Text, nullable=False),
    sa.Column("at", _Float, nullable=False),
)
sa.Table(
    "abloop_comparisons",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("strategy", _Text, nullable=False, index=True),
    sa.Column("entries", _Text, nullable=False),
    sa.Column("at", _Float, nullable=False),
    sa.Column("who", _Text, nullable=False),
    sa.Column("why", _Text, nullable=False),
)
sa.Table(
    "abloop_sticky",
    metadata,
    sa.Column("strategy", _Text, primary_key=True),
    sa.Column("unit", _Text, primary_key=True),
    sa.Column("arm", _Text, nullable=False),
    sa.Column("propensity", _Float, nullable=False),
)
sa.Table(
    "abloop_entities",
    metadata,
    sa.Column("strategy", _Text, primary_key=True),
    sa.Column("decision_id", _Text, primary_key=True),
    sa.Column("key", _Text, primary_key=True),
    sa.Column("entity", _Text, nullable=False),
    sa.Column("at", _Float, nullable=False, index=True),
)
sa.Table(
    "abloop_tallies",
    metadata,
    sa.Column("strategy", _Text, primary_key=True),
    sa.Column("key", _Text, primary_key=True),
    sa.Column("entity", _Text, primary_key=True),
    sa.Column("metric", _Text, primary_key=True),
    sa.Column("resolution", _Int, primary_key=True, autoincrement=False),
    sa.Column("bucket", _Int, primary_key=True, autoincrement=False),
    sa.Column("count", _Int, nullable=False),
    sa.Column("sum", _Float, nullable=False),
    sa.Column("last", _Float, nullable=False),
    sa.Column("last_at", _Float, nullable=False),
    sa.Index("abloop_tallies_old", "resolution", "bucket"),
)


def upgrade() -> None:
    """Make the tables."""
    metadata.create_all(op.get_bind())


def downgrade() -> None:
    """Remove all tables but the one that holds the schema's version."""
    metadata.drop_all(op.get_bind(), [table for table in metadata.sorted_tables if table.name != "abloop_schema"])
