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
decisions = sa.Table(  # a decision that is joined keeps its place here, without its body: its id must not come again
    "abloop_decisions",
    metadata,
    sa.Column("strategy", _Text, primary_key=True),
    sa.Column("decision_id", _Text, primary_key=True),
    sa.Column("version", _Int, nullable=False),
    sa.Column("at", _Float, nullable=False),
    sa.Column("digest", _Int, nullable=False, server_default="0"),
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
observations = sa.Table(  # those that wait for their decision's TTL, or for their decision
    "abloop_observations",
    metadata,
    sa.Column("strategy", _Text, primary_key=True),
    sa.Column("decision_id", _Text, primary_key=True),
    sa.Column("name", _Text, primary_key=True),
    sa.Column("key", _Text, primary_key=True),
    sa.Column("at", _Float, nullable=False),
    sa.Column("value", _Float, nullable=False),
    sqlite_with_rowid=False,
)
late = sa.Table(  # those that came after their row was complete, and those of metrics that wait longer or are of a unit
    "abloop_late",
    metadata,
    sa.Column("strategy", _Text, primary_key=True),
    sa.Column("decision_id", _Text, primary_key=True),
    sa.Column("unit", _Text, primary_key=True),
    sa.Column("name", _Text, primary_key=True),
    sa.Column("key", _Text, primary_key=True),
    sa.Column("at", _Float, nullable=False),
    sa.Column("value", _Float, nullable=False),
    sa.Column("fresh", _Int, nullable=False, server_default="1"),  # 0 once a late join has looked at it
    sa.Index(
        "abloop_late_fresh",
        "strategy",
        "fresh",
        sqlite_where=sa.text("fresh > 0"),
        postgresql_where=sa.text("fresh > 0"),
    ),
    sqlite_with_rowid=False,
)
files = sa.Table(  # the manifest: a file belongs to the training table from version `since` on, until version `until`
    "abloop_files",
    metadata,
    sa.Column("name", _Text, primary_key=True),
    sa.Column("strategy", _Text, nullable=False, index=True),
    sa.Column("version", _Int, nullable=False),
    sa.Column("rows", _Int, nullable=False),
    sa.Column("observed", _Text, nullable=False),
    sa.Column("at", _Float, nullable=False),
    sa.Column("oldest", _Float),
    sa.Column("newest", _Float),
    sa.Column("since", _Int, nullable=False, server_default="0"),
    sa.Column("until", _Int),
)
dead = sa.Table(  # records that could not be kept, with the reason
    "abloop_dead",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("segment", _Text, nullable=False),
    sa.Column("offset", _Int, nullable=False),
    sa.Column("strategy", _Text, nullable=False),
    sa.Column("reason", _Text, nullable=False),
    sa.Column("at", _Float, nullable=False),
    sa.Column("payload", sa.LargeBinary, nullable=False),
    sa.UniqueConstraint("segment", "offset"),
)
counts = sa.Table(  # what became of all that was ever received
    "abloop_counts",
    metadata,
    sa.Column("strategy", _Text, primary_key=True),
    sa.Column("name", _Text, primary_key=True),
    sa.Column("count", _Int, nullable=False),
)
erased = sa.Table(  # units that were erased, as hashes: what comes of them later but is older is dropped
    "abloop_erased",
    metadata,
    sa.Column("unit", _Text, primary_key=True),
    sa.Column("at", _Float, nullable=False),
    sa.Column("who", _Text, nullable=False),
    sa.Column("why", _Text, nullable=False),
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
entities = sa.Table(  # what a decision was about, for the tallies of its observations
    "abloop_entities",
    metadata,
    sa.Column("strategy", _Text, primary_key=True),
    sa.Column("decision_id", _Text, primary_key=True),
    sa.Column("key", _Text, primary_key=True),
    sa.Column("entity", _Text, nullable=False),
    sa.Column("at", _Float, nullable=False, index=True),
)
tallies = sa.Table(  # of a metric per entity, in buckets of time
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
tunings = sa.Table(  # what tuning knows, whole at each step
    "abloop_tunings",
    metadata,
    sa.Column("strategy", _Text, primary_key=True),
    sa.Column("step", _Int, primary_key=True, autoincrement=False),
    sa.Column("body", _Text, nullable=False),
    sa.Column("at", _Float, nullable=False),
    sa.Column("who", _Text, nullable=False),
    sa.Column("why", _Text, nullable=False),
)
reports = sa.Table(  # reports that take long to make, whole
    "abloop_reports",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("strategy", _Text, nullable=False),
    sa.Column("kind", _Text, nullable=False),
    sa.Column("version", _Int, nullable=False),
    sa.Column("at", _Float, nullable=False),
    sa.Column("rows", _Int, nullable=False),
    sa.Column("who", _Text, nullable=False),
    sa.Column("body", sa.LargeBinary, nullable=False),
    sa.Index("abloop_reports_newest", "strategy", "kind", "id"),
)
