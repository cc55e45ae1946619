"""The tables of the database."""

from __future__ import annotations

import sqlalchemy as sa

metadata = sa.MetaData()
_Text, _Float, _Int = sa.Text, sa.Double, sa.BigInteger

schema = sa.Table("abloop_schema", metadata, sa.Column("version", _Int, primary_key=True, autoincrement=False))
blueprints = sa.Table(
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
allocations = sa.Table(
    "abloop_allocations",
    metadata,
    sa.Column("strategy", _Text, primary_key=True),
    sa.Column("version", _Int, primary_key=True, autoincrement=False),
    sa.Column("body", _Text, nullable=False),
)
servings = sa.Table(
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
artefacts = sa.Table(
    "abloop_artefacts",
    metadata,
    sa.Column("name", _Text, primary_key=True),
    sa.Column("body", sa.LargeBinary, nullable=False),
    sa.Column("at", _Float, nullable=False),
)
verdicts = sa.Table(
    "abloop_verdicts",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("strategy", _Text, nullable=False, index=True),
    sa.Column("version", _Int, nullable=False),
    sa.Column("at", _Float, nullable=False),
    sa.Column("body", _Text, nullable=False),
)
segments = sa.Table(
    "abloop_segments",
    metadata,
    sa.Column("name", _Text, primary_key=True),
    sa.Column("shipped", _Int, nullable=False),
)
decisions = sa.Table(
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
observations = sa.Table(
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
files = sa.Table(
    "abloop_files",
    metadata,
    sa.Column("name", _Text, primary_key=True),
    sa.Column("strategy", _Text, nullable=False, index=True),
    sa.Column("version", _Int, nullable=False),
    sa.Column("rows", _Int, nullable=False),
    sa.Column("observed", _Text, nullable=False),
    sa.Column("at", _Float, nullable=False),
)
comparisons = sa.Table(
    "abloop_comparisons",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("strategy", _Text, nullable=False, index=True),
    sa.Column("entries", _Text, nullable=False),
    sa.Column("at", _Float, nullable=False),
    sa.Column("who", _Text, nullable=False),
    sa.Column("why", _Text, nullable=False),
)
sticky = sa.Table(
    "abloop_sticky",
    metadata,
    sa.Column("strategy", _Text, primary_key=True),
    sa.Column("unit", _Text, primary_key=True),
    sa.Column("arm", _Text, nullable=False),
    sa.Column("propensity", _Float, nullable=False),
)
