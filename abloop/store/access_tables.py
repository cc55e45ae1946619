"""The tables of who may do what, and of who did."""

from __future__ import annotations

import sqlalchemy as sa

from abloop.store.tables import metadata

__all__ = ["attempts", "audit", "metadata", "people", "sessions", "settings", "tokens"]
_Text, _Float, _Int = sa.Text, sa.Double, sa.BigInteger

people = sa.Table(  # who may log in
    "abloop_people",
    metadata,
    sa.Column("name", _Text, primary_key=True),
    sa.Column("role", _Text, nullable=False),
    sa.Column("hash", _Text, nullable=False),
    sa.Column("once", _Float),  # a one-time password: until when it can be used
    sa.Column("disabled", _Int, nullable=False, server_default="0"),
    sa.Column("at", _Float, nullable=False),
    sa.Column("seen", _Float),
)
sessions = sa.Table(  # browsers that are logged in, by a hash of what their cookie holds
    "abloop_sessions",
    metadata,
    sa.Column("key", _Text, primary_key=True),
    sa.Column("name", _Text, nullable=False, index=True),
    sa.Column("at", _Float, nullable=False),
    sa.Column("seen", _Float, nullable=False),
)
tokens = sa.Table(  # what programs show instead of a password
    "abloop_tokens",
    metadata,
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
attempts = sa.Table(  # log-ins that failed, by account and by address
    "abloop_attempts",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("key", _Text, nullable=False, index=True),
    sa.Column("at", _Float, nullable=False, index=True),
)
settings = sa.Table(  # what one installation drew once, e.g. the secret that signs cookies
    "abloop_settings",
    metadata,
    sa.Column("name", _Text, primary_key=True),
    sa.Column("value", _Text, nullable=False),
)
audit = sa.Table(  # who changed what and why: a chain in which each entry holds the hash of the one before
    "abloop_audit",
    metadata,
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
_REFUSAL = "the audit log can only grow"
KEPT = {  # statements by which a database refuses to change or remove entries
    "sqlite": tuple(
        f"CREATE TRIGGER IF NOT EXISTS abloop_audit_no_{what} BEFORE {what} ON abloop_audit "
        f"BEGIN SELECT RAISE(ABORT, '{_REFUSAL}'); END"
        for what in ("UPDATE", "DELETE")
    ),
    "postgresql": (
        (
            "CREATE OR REPLACE FUNCTION abloop_audit_kept() RETURNS trigger LANGUAGE plpgsql AS "
            f"$$ BEGIN RAISE EXCEPTION '{_REFUSAL}'; END $$"
        ),
        (
            "CREATE OR REPLACE TRIGGER abloop_audit_kept BEFORE UPDATE OR DELETE OR TRUNCATE ON abloop_audit "
            "FOR EACH STATEMENT EXECUTE FUNCTION abloop_audit_kept()"
        ),
    ),
}
for _dialect, _statements in KEPT.items():
    for _statement in _statements:
        sa.event.listen(audit, "after_create", sa.DDL(_statement).execute_if(dialect=_dialect))  # type: ignore[no-untyped-call]
