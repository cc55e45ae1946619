"""The log of changes: one chain, whoever appends; whatever is altered is found."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa

from abloop.errors import StoreError
from abloop.store.access_tables import audit, settings
from abloop.store.audit import FIRST, Audit, digest
from abloop.store.sql import Database

ROOT = Path(__file__).parents[2]
APPEND = """
import sys
from abloop.store.audit import Audit
from abloop.store.sql import Database

log = Audit(Database(sys.argv[1]))
print("ready", flush=True)
sys.stdin.readline()
for number in range(40):
    log.append(at=float(number), who=sys.argv[2], kind="command", what="try", target=str(number), why="")
"""
UNLOCK = {
    "sqlite": ["DROP TRIGGER abloop_audit_no_UPDATE", "DROP TRIGGER abloop_audit_no_DELETE"],
    "postgresql": ["ALTER TABLE abloop_audit DISABLE TRIGGER ALL"],
}


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """Return an empty database."""
    database = Database(database_url)
    yield database
    database.close()


@pytest.fixture
def log(database: Database) -> Audit:
    """Return a log with five entries."""
    log = Audit(database)
    for number in range(1, 6):
        put(log, f"target {number}", {"number": number})
    return log


def put(log: Audit, target: str, body: dict[str, Any] | None = None, **more: str) -> None:
    """Append an entry."""
    log.append(
        **{"at": 1.1, "who": "maria", "kind": "user", "what": "try", "target": target, "why": "", **more}, body=body
    )


def tamper(database: Database, *statements: str) -> None:
    """Do what the triggers refuse, as somebody who owns the database can."""
    with database.transaction() as connection:
        for statement in (*UNLOCK[connection.dialect.name], *statements):
            connection.execute(sa.text(statement))


def test_each_entry_holds_the_hash_of_the_one_before(log: Audit) -> None:
    """Numbers have no gap, the first holds zeros, each next one the hash before it, and the whole is right."""
    entries = log.entries()[::-1]
    assert [entry.id for entry in entries] == [1, 2, 3, 4, 5]
    assert [entry.previous for entry in entries] == [FIRST, *(entry.hash for entry in entries[:-1])]
    assert all(entry.hash == digest(entry) for entry in entries)
    assert log.check().altered is None
    assert log.check(entries[1].hash).altered is None


def test_two_processes_append_one_chain(database: Database, database_url: str) -> None:
    """What three processes append at once is one chain without a gap, and nothing of it is lost."""
    command = [sys.executable, "-c", APPEND, database_url]
    crowd = [
        subprocess.Popen([*command, who], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT)
        for who in ("one", "two", "three")
    ]
    for process in crowd:
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
    for process in crowd:
        process.communicate("go\n", timeout=60)
        assert process.returncode == 0
    entries = list(Audit(database).walk())
    assert [entry.id for entry in entries] == list(range(1, 121))
    assert Audit(database).check().altered is None
    for who in ("one", "two", "three"):
        assert [entry.target for entry in entries if entry.who == who] == [str(number) for number in range(40)]


@pytest.mark.parametrize("statement", ["UPDATE abloop_audit SET why = 'x' WHERE id = 2", "DELETE FROM abloop_audit"])
def test_the_database_refuses_to_change_entries(database: Database, log: Audit, statement: str) -> None:
    """A program that updates or deletes entries is refused by the database itself."""
    with pytest.raises(StoreError, match="can only grow"), database.transaction() as connection:
        connection.execute(sa.text(statement))
    assert len(log.entries()) == 5


@pytest.mark.parametrize("column", [column.name for column in audit.columns if column.name != "id"])
def test_the_first_altered_entry_is_named(database: Database, log: Audit, column: str) -> None:
    """Whichever column of an entry is altered, by one sign, the check names that entry."""
    value = "1.1000000000000003" if column == "at" else f"{column} || 'x'"
    tamper(database, f"UPDATE abloop_audit SET {column} = {value} WHERE id IN (3, 5)")  # noqa: S608
    found = log.check()
    assert found.altered == 3
    assert "entry 3" in found.said


def test_a_chain_that_is_computed_anew_is_found_by_a_noted_hash(database: Database, log: Audit) -> None:
    """Who alters an entry and all hashes after it is found by the hash that somebody noted before."""
    noted, previous = log.entries()[0].hash, FIRST
    tamper(database)
    for entry in list(log.walk()):
        changed = msgspec.structs.replace(entry, why="forged", previous=previous)
        previous = digest(changed)
        with database.transaction() as connection:
            values = {"why": "forged", "previous": changed.previous, "hash": previous}
            connection.execute(audit.update().where(audit.c.id == entry.id).values(**values))
    with database.transaction() as connection:
        head = settings.update().where(settings.c.name == "audit head")
        connection.execute(head.values(value=f"5 {previous}"))
    assert log.check().altered is None
    assert log.check(noted).altered is not None


@pytest.mark.parametrize(("gone", "first"), [("id = 2", 2), ("id = 1", 1), ("id >= 4", 4), ("id > 0", 1)])
def test_missing_entries_are_found(database: Database, log: Audit, gone: str, first: int) -> None:
    """Entries that are gone from the start, the middle or the end are named by the first of them."""
    tamper(database, f"DELETE FROM abloop_audit WHERE {gone}")  # noqa: S608
    assert log.check().altered == first


def test_filters_are_no_sql_and_no_pattern(log: Audit) -> None:
    """A filter is plain text: quotes, wildcards and NUL find only themselves; case does not matter."""
    put(log, "50%_off 'x'; DROP TABLE abloop_audit; --")
    assert [entry.id for entry in log.entries(target="%_OFF 'X'")] == [6]
    assert log.entries(target="5_%") == []
    assert log.entries(who="maria' OR '1'='1") == []
    assert log.entries(what="\0") == []
    assert [entry.id for entry in log.entries(before=3, most=1)] == [2]


def test_every_text_is_kept_and_checked(log: Audit) -> None:
    """NUL, halves of characters, other scripts and values that JSON does not know do not break the chain."""
    put(log, "a\0b\ud800 é 漢字 <script>", {"when": object, "n": float("nan"), "key": "\ud800"}, why="\0" * 3)
    assert log.check().altered is None
    assert "漢字 <script>" in log.entries()[0].target
