"""Migrations: from every release, on both databases, nothing is lost, and what is made is what the model says."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from abloop.errors import AwayError, StoreError
from abloop.store import migrations
from abloop.store.migrations import SCHEMA_VERSION, migrate, move
from abloop.store.sql import Database
from abloop.store.tables import metadata, schema
from tests.store import released

ROWS = 100_000 if os.environ.get("ABLOOP_LONG") == "1" else 300
ROOT = Path(__file__).parents[2]
ADDED = (
    "late",
    "dead",
    "counts",
    "erased",
    "tunings",
    "people",
    "sessions",
    "tokens",
    "attempts",
    "settings",
    "audit",
    "reports",
)
NEW = tuple(f"abloop_{name}" for name in ADDED)
releases = pytest.mark.parametrize("release", released.RELEASES)
PAUSE = """
import sys, time
import sqlalchemy as sa
from abloop.store.migrations import migrate

@sa.event.listens_for(sa.Engine, "before_cursor_execute")
def pause(connection, cursor, statement, *rest):
    if "CREATE TABLE abloop_dead" in statement:
        print("in the middle", flush=True)
        time.sleep(60)

migrate(sys.argv[1])
"""


@pytest.fixture
def engine(database_url: str) -> Iterator[sa.Engine]:
    """Return connections to an empty database that know nothing of abloop."""
    engine = sa.create_engine(database_url)
    yield engine
    engine.dispose()


def shift(engine: sa.Engine, old: int, new: int) -> None:
    """Change the version of a schema in one transaction."""
    with engine.begin() as connection:
        move(connection, old, new)


def test_there_is_one_newest_revision() -> None:
    """Revisions are one chain; its end is the version that this abloop reads."""
    script = ScriptDirectory(Path(migrations.__file__).parent)
    assert script.get_heads() == [f"{SCHEMA_VERSION:04d}"]
    chain = [revision.revision for revision in script.walk_revisions()]
    assert chain == [f"{version:04d}" for version in range(SCHEMA_VERSION, 0, -1)]


def test_the_model_is_what_migrations_make(engine: sa.Engine, database_url: str, tmp_path: Path) -> None:
    """From nothing to the newest, Alembic finds no difference to the model, nor do we to a new database."""
    shift(engine, 0, SCHEMA_VERSION)
    options = {"compare_type": True, "compare_server_default": True}
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection, opts=options), metadata) == []
    migrated = released.shape(engine)
    shift(engine, SCHEMA_VERSION, 0)
    assert sa.inspect(engine).get_table_names() == ["abloop_schema"]
    assert migrate(database_url) == (0, SCHEMA_VERSION)
    assert released.shape(engine) == migrated


@releases
def test_nothing_is_lost_up_down_and_up(engine: sa.Engine, database_url: str, release: str) -> None:
    """Opened by this abloop, a release's rows are all there and say the same; so they are after down and up again."""
    version = released.RELEASES[release]
    released.make(database_url, release).dispose()
    old_shape = released.shape(engine)
    keys = released.fill(engine, ROWS)
    before = released.rows(engine)
    assert {name for name, (_, rows) in before.items() if len(rows) == ROWS} == set(before) - {"abloop_schema"}
    assert migrate(database_url) == (version, SCHEMA_VERSION)
    after, new_shape = released.rows(engine), released.shape(engine)
    check_meaning(before, after, keys)
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection, opts={"compare_type": True}), metadata) == []
    shift(engine, SCHEMA_VERSION, version)
    assert released.shape(engine) == old_shape
    assert released.rows(engine) == before
    shift(engine, version, SCHEMA_VERSION)
    assert released.shape(engine) == new_shape
    assert released.rows(engine) == after


def check_meaning(before: dict[str, released.Table], after: dict[str, released.Table], keys: list[str]) -> None:
    """Check that rows of release 0.1.0 say the same in the newest schema."""
    changed = {"abloop_schema", "abloop_decisions", "abloop_observations", "abloop_files"}
    assert {name: rows for name, rows in after.items() if name not in {*changed, *NEW}} == {
        name: rows for name, rows in before.items() if name not in changed
    }
    added = {"abloop_decisions": {"digest": 0}, "abloop_files": dict.fromkeys(("oldest", "newest", "until"))}
    added["abloop_files"]["since"] = 0
    for table, values in added.items():
        was = [dict(zip(before[table][0], row, strict=True)) | values for row in before[table][1]]
        now = [dict(zip(after[table][0], row, strict=True)) for row in after[table][1]]
        assert sorted(map(repr, map(sorted, map(dict.items, was)))) == sorted(
            map(repr, map(sorted, map(dict.items, now)))
        )
    names, rows = before["abloop_observations"]
    column = {name: place for place, name in enumerate(names)}
    expected = []
    for row in rows:
        at, decision, name, record, strategy, value = (row[column[each]] for each in sorted(column))
        key = keys[int(record.rpartition(":")[2])] if record.endswith(".spool:") else record
        if record.startswith(f"{decision}/{name}/"):
            key = record[len(f"{decision}/{name}/") :]
            assert key in keys
        expected.append((at, decision, key, name, strategy, value))
    assert after["abloop_observations"][0] == ["at", "decision_id", "key", "name", "strategy", "value"]
    assert after["abloop_observations"][1] == sorted(expected, key=repr)
    check_counts(before, after)


def check_counts(before: dict[str, released.Table], after: dict[str, released.Table]) -> None:
    """Check that the counts are those of the rows that are there."""
    expected: Counter[tuple[str, str]] = Counter()
    for table, counter in {"abloop_observations": "observations", "abloop_decisions": "decisions"}.items():
        place = before[table][0].index("strategy")
        expected.update((row[place], counter) for row in before[table][1])
    names, rows = before["abloop_decisions"]
    expected.update((row[names.index("strategy")], "rows") for row in rows if row[names.index("body")] is None)
    assert after["abloop_counts"][0] == ["count", "name", "strategy"]
    assert {(strategy, name): count for count, name, strategy in after["abloop_counts"][1]} == dict(expected)
    assert {name: after[name][1] for name in NEW if name != "abloop_counts"} == {
        name: [] for name in NEW if name != "abloop_counts"
    }


@releases
def test_a_crash_in_the_middle_changes_nothing(engine: sa.Engine, database_url: str, release: str) -> None:
    """SIGKILL with half of the tables changed leaves the old schema whole; the next to come migrates it."""
    released.make(database_url, release).dispose()
    released.fill(engine, 100)
    before = released.shape(engine), released.rows(engine)
    child = subprocess.Popen([sys.executable, "-c", PAUSE, database_url], stdout=subprocess.PIPE, cwd=ROOT)
    assert child.stdout is not None
    assert child.stdout.readline() == b"in the middle\n"
    child.send_signal(signal.SIGKILL)
    child.communicate()
    assert (released.shape(engine), released.rows(engine)) == before
    assert migrate(database_url) == (released.RELEASES[release], SCHEMA_VERSION)


@pytest.mark.parametrize("release", [None, *released.RELEASES])
def test_of_many_that_come_at_once_one_migrates(engine: sa.Engine, database_url: str, release: str | None) -> None:
    """Processes that open an empty or old database at the same time all succeed; one of them changes it."""
    if release is not None:
        released.make(database_url, release).dispose()
        released.fill(engine, 1_000)
    code = "import sys; from abloop.store.migrations import migrate; input(); print(migrate(sys.argv[1])[0])"
    children = [
        subprocess.Popen(
            [sys.executable, "-c", code, database_url],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )
        for _ in range(3)
    ]
    time.sleep(1.0)  # all have imported what they need
    told = [child.communicate("\n", 60) for child in children]
    assert [child.returncode for child in children] == [0, 0, 0], told
    old = 0 if release is None else released.RELEASES[release]
    assert sorted({int(out) for out, _ in told} - {SCHEMA_VERSION}) == [old]
    assert sum(int(out) == old for out, _ in told) == 1
    assert sum(said.count("is now of version") for _, said in told) == (release is not None)


def test_it_is_said_once(engine: sa.Engine, database_url: str, caplog: pytest.LogCaptureFixture) -> None:
    """A migration is one line in the log, without a password; a database that is as it should be says nothing."""
    released.make(database_url, "0.1.0").dispose()
    with caplog.at_level(logging.INFO, logger="abloop"):
        for _ in range(2):
            Database(database_url).close()
    (line,) = [record.getMessage() for record in caplog.records if record.name == "abloop"]
    assert f"of version 1 and is now of version {SCHEMA_VERSION}" in line


def test_a_newer_schema_is_refused_and_left_alone(engine: sa.Engine, database_url: str) -> None:
    """A database of a newer abloop is refused with a sentence; nothing is made in it."""
    Database(database_url).close()
    with engine.begin() as connection:
        connection.execute(schema.update().values(version=SCHEMA_VERSION + 1))
        connection.exec_driver_sql("DROP TABLE abloop_erased")
    with pytest.raises(StoreError, match=f"has schema version {SCHEMA_VERSION + 1}; this abloop reads"):
        Database(database_url)
    assert "abloop_erased" not in sa.inspect(engine).get_table_names()


def test_alembic_is_imported_only_to_migrate(database_url: str) -> None:
    """Neither a new database nor one of today's schema costs the import of Alembic."""
    code = "import sys, abloop; from abloop.store.workspace import Database; Database(sys.argv[1]).close(); "
    code += "print('alembic' in sys.modules)"
    for _ in range(2):
        ran = subprocess.run([sys.executable, "-c", code, database_url], capture_output=True, text=True, cwd=ROOT)
        assert (ran.stdout, ran.returncode) == ("False\n", 0), ran.stderr


@pytest.mark.parametrize("database_url", ["postgres"], indirect=True)
def test_postgres_waits_for_transactions_only_for_a_time(
    engine: sa.Engine, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A transaction that holds a table delays a migration a little; held for long, it is given up and tried later."""
    monkeypatch.setattr(migrations, "LOCK_SECONDS", 0.1)
    released.make(database_url, "0.1.0").dispose()
    with engine.connect() as connection:
        connection.exec_driver_sql("SELECT * FROM abloop_files")
        with pytest.raises(AwayError, match="lock timeout"):
            Database(database_url)
        threading.Timer(0.25, connection.rollback).start()
        assert migrate(database_url) == (1, SCHEMA_VERSION)
