"""Who may log in, what programs may do, and the log of who changed what."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

_Text, _Float, _Int = sa.Text, sa.Double, sa.BigInteger
_REFUSAL = "the audit log can only grow"
_SQLITE = tuple(
    f"CREATE TRIGGER IF NOT EXISTS abloop_audit_no_{what} BEFORE {what} ON abloop_audit "
    f"BEGIN SELECT RAISE(ABORT, '{_REFUSAL}'); END"
    for what in ("UPDATE", "DELETE")
)
_POSTGRES = (
    (
        "CREATE OR REPLACE FUNCTION abloop_audit_kept() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$ BEGIN RAISE EXCEPTION '{_REFUSAL}'; END $$"
    ),
    (
        "CREATE OR REPLACE TRIGGER abloop_audit_kept BEFORE UPDATE OR DELETE OR TRUNCATE ON abloop_audit "
        "FOR EACH STATEMENT EXECUTE FUNCTION abloop_audit_kept()"
    ),
)


def upgrade() -> None:
    """Add the tables of people, sessions, tokens, attempts and settings, and the audit log."""
    op.create_table(
        "abloop_people",
        sa.Column("name", _Text, primary_key=True),
        sa.Column("role", _Text, nullable=False),
        sa.Column("hash", _Text, nullable=False),
        sa.Column("once", _Float),
        sa.Column("disabled", _Int, nullable=False, server_default="0"),
        sa.Column("at", _Float, nullable=False),
        sa.Column("seen", _Float),
    )
    op.create_table(
        "abloop_sessions",
        sa.Column("key", _Text, primary_key=True),
        sa.Column("name", _Text, nullable=False, index=True),
        sa.Column("at", _Float, nullable=False),
        sa.Column("seen", _Float, nullable=False),
    )
    op.create_table(
        "abloop_tokens",
        sa.Column("id", _Text, primary_key=True),
        sa.Column("name", _Text, nullable=False),
        sa.Column("hash", _Text, nullable=False),
        sa.Column("grants", _Text, nullable=False),
        sa.Column("who", _Text, nullable=False),
        sa.Column("at", _Float, nullable=False),
        sa.Column("expires", _Float),
        sa.Column("used", _Float),
        sa.Column("revoked", _Float),
    )
    op.create_table(
        "abloop_attempts",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("key", _Text, nullable=False, index=True),
        sa.Column("at", _Float, nullable=False, index=True),
    )
    op.create_table(
        "abloop_settings",
        sa.Column("name", _Text, primary_key=True),
        sa.Column("value", _Text, nullable=False),
    )
    _add_audit()


def _add_audit() -> None:
    op.create_table(
        "abloop_audit",
        sa.Column("id", _Int, primary_key=True, autoincrement=False),
        sa.Column("at", _Float, nullable=False),
        sa.Column("who", _Text, nullable=False),
        sa.Column("kind", _Text, nullable=False),
        sa.Column("what", _Text, nullable=False),
        sa.Column("target", _Text, nullable=False),
        sa.Column("why", _Text, nullable=False),
        sa.Column("body", _Text, nullable=False),
        sa.Column("previous", _Text, nullable=False),
        sa.Column("hash", _Text, nullable=False),
    )
    for statement in _POSTGRES if op.get_bind().dialect.name == "postgresql" else _SQLITE:
        op.execute(statement)


def downgrade() -> None:
    """Go back to a schema that knows nobody."""
    for name in ("audit", "settings", "attempts", "tokens", "sessions", "people"):
        op.drop_table(f"abloop_{name}")
    if op.get_bind().dialect.name == "postgresql":
        op.execute("DROP FUNCTION abloop_audit_kept()")
