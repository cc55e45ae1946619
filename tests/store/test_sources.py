"""Sources of feature groups: one entity's row from a table, a query or a function; mistakes are said at start-up."""

from __future__ import annotations

import os
import sqlite3
import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa

from abloop.errors import BlueprintError, DataError, MissingExtraError, StoreError, UnknownNameError
from abloop.features.spec import Feature, Group
from abloop.store import outside
from abloop.store.rows import Fetch
from abloop.store.sources import compile_fetch
from abloop.store.sql import Database
from tests.postgres import Databases

AGE = Feature("age")
UUID_TEXT = "6f1c2f0e-8f6a-4a51-9a3c-0d5f3b6f7a11"
SQLITE = """
CREATE TABLE users (user_id INTEGER PRIMARY KEY, age REAL, spent DECIMAL(10, 2), tags JSON, vector TEXT, photo BLOB,
    since TIMESTAMP, vip BOOLEAN);
INSERT INTO users VALUES (1, 31, 9.5, '["a", "b"]', '[1, 2.5]', x'00ff', '2024-05-01 10:00:00', 1), (2, NULL, NULL,
    '{"a": 2}', '[broken', NULL, NULL, 0), (9223372036854775807, 99, NULL, NULL, NULL, NULL, NULL, NULL);
CREATE TABLE pages (path TEXT PRIMARY KEY, visits INT);
INSERT INTO pages VALUES ('/a', 7), ('12', 8), ('012', 9), ('x'' OR 1=1 --', 10);
CREATE VIEW old_users AS SELECT user_id + 0 AS user_id, age FROM users WHERE age > 30;
CREATE TABLE devices (id UUID, age INT);
"""


@pytest.fixture
def shop(tmp_path: Path) -> str:
    """Return the URL of a shop's own SQLite database."""
    with sqlite3.connect(tmp_path / "shop.db") as connection:
        connection.executescript(SQLITE)
        connection.execute("INSERT INTO devices VALUES (?, 5)", (UUID_TEXT,))
    connection.close()
    return f"sqlite:///{tmp_path}/shop.db"


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    """Return abloop's own database."""
    database = Database(f"sqlite:///{tmp_path}/abloop.db")
    yield database
    database.close()


def compiled(database: Database, url: Any, *features: Feature, **group: Any) -> Fetch:
    """Return the fetch of a group whose source is a URL or function."""
    named = Group(**({"name": "user", "key": "user_id", "source": "shop"} | group))
    return compile_fetch(named, features or (AGE,), database, {"shop": url})


def test_a_table_gives_the_columns_that_are_needed(database: Database, shop: str) -> None:
    """One row by its integer id: numbers, times as stored, JSON read for sparse features and embeddings, no bytes."""
    features = (
        AGE,
        Feature("total", key="spent"),
        Feature("tags", "sparse"),
        Feature("vector", "embedding", size=2),
        Feature("photo", "embedding", size=2),
        Feature("since", "time"),
    )
    fetch = compiled(database, shop, *features, table="users")
    vectors = ("2024-05-01 10:00:00", [1, 2.5], ["a", "b"])
    row = fetch("1")
    assert row == {
        "age": 31.0,
        "spent": 9.5,
        "tags": vectors[2],
        "vector": vectors[1],
        "photo": None,
        "since": vectors[0],
    }
    other = fetch("2")
    assert other is not None
    assert (other["age"], other["tags"], other["vector"]) == (None, {"a": 2}, "[broken")


@pytest.mark.parametrize(
    "entity", ["3", "", "x", "1.0", "01", "1_0", "\u0661", " 1", "9" * 19, "9" * 400, "1\0", "\ud800", "True"]
)
def test_an_id_that_is_no_number_is_an_unknown_entity(database: Database, shop: str, entity: str) -> None:
    """Of a table with whole numbers, whatever is none, or is written otherwise, is nobody."""
    assert compiled(database, shop, table="users")(entity) is None


def test_ids_of_every_kind(database: Database, shop: str) -> None:
    """Texts are compared as texts, large numbers as numbers; a view and a column of unknown type take either."""
    assert compiled(database, shop, table="users")(str(2**63 - 1)) == {"age": 99.0}
    visits = Feature("visits")
    pages = compiled(database, shop, visits, table="pages", column="path")
    assert [pages(path) for path in ("/a", "12", "012", "x' OR 1=1 --")] == [{"visits": n} for n in (7, 8, 9, 10)]
    assert [pages(path) for path in ("/A", "a\0", "\udcff", "' OR 1=1 --")] == [None] * 4
    view = compiled(database, shop, table="old_users")
    assert (view("1"), view("2")) == ({"age": 31.0}, None)
    assert compiled(database, shop, table="devices", column="id")(UUID_TEXT) == {"age": 5}


def test_a_query_binds_the_id(database: Database, shop: str) -> None:
    """A query gets the id as a bound value, never as part of its text, and may join, cast and tally."""
    query = "SELECT age, age * 2 AS twice FROM users WHERE user_id = :id"
    fetch = compiled(database, shop, AGE, Feature("twice"), query=query)
    assert (fetch("1"), fetch("77"), fetch("1 OR 1=1")) == ({"age": 31.0, "twice": 62.0}, None, None)
    view = compiled(database, shop, query="SELECT age FROM old_users WHERE user_id = CAST(:id AS INTEGER)")
    assert view("1") == {"age": 31.0}
    assert compiled(database, shop, query="SELECT 1 AS age WHERE :id = '10\\:30'")("10:30") == {"age": 1}


def test_abloops_own_database_is_read_without_a_source(database: Database) -> None:
    """A group without a source reads a table beside abloop's own, and changes nothing there."""
    with database.transaction() as connection:
        connection.execute(sa.text("CREATE TABLE users (user_id INTEGER, age INTEGER)"))
        connection.execute(sa.text("INSERT INTO users VALUES (1, 31)"))
    fetch = compile_fetch(Group(name="u", key="user_id", table="users"), [AGE], database, {})
    assert fetch("1") == {"age": 31}
    deleting = "DELETE FROM users WHERE user_id = :id RETURNING age"
    assert compile_fetch(Group(name="u", key="user_id", query=deleting), [AGE], database, {})("1") == {"age": 31}
    assert fetch("1") == {"age": 31}


def test_a_source_is_only_read(database: Database, shop: str, tmp_path: Path) -> None:
    """Of another database no setting changes, no file appears, and a query that writes is refused at start-up."""
    before = (tmp_path / "shop.db").read_bytes()
    compiled(database, shop, table="users")("1")
    with pytest.raises(BlueprintError, match="attempt to write a readonly database; repair it"):
        compiled(database, shop, query="DELETE FROM users WHERE user_id = :id RETURNING age")
    assert (tmp_path / "shop.db").read_bytes() == before
    assert sorted(path.name for path in tmp_path.glob("shop*")) == ["shop.db"]


def test_a_function_is_a_source(database: Database) -> None:
    """A function's mapping is read like a row; it gives None for nobody, and may raise."""
    rows: dict[str, Any] = {
        "a": {"age": Decimal("3.5"), "id": UUID(UUID_TEXT), "photo": b"x", "day": date(2024, 5, 1), "secret": "s"},
        "b": [1],
    }
    features = (AGE, Feature("id", "categorical"), Feature("photo"), Feature("day", "time"), Feature("gone"))
    fetch = compiled(database, rows.get, *features)
    assert fetch("a") == {"age": 3.5, "id": UUID_TEXT, "photo": None, "day": date(2024, 5, 1), "gone": None}
    assert fetch("nobody") is None
    with pytest.raises(DataError, match="'shop' gave list; allowed: a mapping"):
        fetch("b")


def test_decimals_inside_are_floats(database: Database) -> None:
    """Decimals of a list or a mapping are numbers as well."""
    features = Feature("vector", "embedding", size=2), Feature("tags", "sparse")
    row = {"vector": (Decimal(1), Decimal("2.5")), "tags": {"a": Decimal(2)}}
    assert compiled(database, lambda _: row, *features)("a") == {"vector": [1.0, 2.5], "tags": {"a": 2.0}}


def test_texts_are_no_longer_than_is_read(database: Database) -> None:
    """What no reader of features looks at is not held in memory."""
    row = compiled(database, lambda _: {"age": "x" * 10**6}, Feature("age", "embedding"))("a")
    assert row is not None
    assert len(row["age"]) == 20_000


async def asynchronous(entity: str) -> dict[str, Any]:
    """Return nothing; it cannot be called from a thread."""
    return {}


@pytest.mark.parametrize(
    ("group", "expected", "said"),
    [
        ({"table": "user"}, UnknownNameError, "unknown table 'user'. Did you mean 'users'?"),
        ({"table": "old_user"}, UnknownNameError, "Did you mean 'old_users'?"),
        ({"table": "shop.users"}, UnknownNameError, "unknown schema 'shop'"),
        ({"table": "pages"}, UnknownNameError, "unknown column of pages 'user_id'"),
        ({"table": "users", "column": "userid"}, UnknownNameError, "Did you mean 'user_id'?"),
        ({"table": "users", "features": [Feature("agee")]}, UnknownNameError, "Did you mean 'age'?"),
        ({"query": "SELECT agee FROM users WHERE user_id = :id"}, BlueprintError, "no such column: agee"),
        ({"query": "SELECT age FROM user WHERE user_id = :id"}, BlueprintError, "no such table: user"),
        ({"query": "SELEC age WHERE :id"}, BlueprintError, 'near "SELEC": syntax error'),
        ({"query": "SELECT vip FROM users WHERE user_id = :id"}, UnknownNameError, "unknown column of its query 'age'"),
        ({"query": "SELECT 1 AS age WHERE :id = :ids"}, BlueprintError, "the parameter :ids; allowed: :id"),
        ({"source": "shp", "table": "users"}, UnknownNameError, "unknown source 'shp'. Did you mean 'shop'?"),
        ({}, BlueprintError, "names nothing in sqlite:///"),
    ],
)
def test_mistakes_are_said_at_start_up(
    database: Database, shop: str, group: dict[str, Any], expected: type[Exception], said: str
) -> None:
    """A table, column, query or source that does not exist is refused while compiling, with the nearest that does."""
    features = group.pop("features", [AGE])
    with pytest.raises(expected, match="group 'user'") as caught:
        compiled(database, shop, *features, **group)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("source", "group", "expected", "said"),
    [
        (asynchronous, {}, BlueprintError, "is an async function; allowed: a database URL, or a plain function"),
        (3, {}, BlueprintError, "is int; allowed"),
        (dict, {"table": "users"}, BlueprintError, "remove `table` and `query`"),
        ("nonsense", {"table": "users"}, StoreError, "source URL 'nonsense' cannot be used"),
        ("sqlite://", {"table": "users"}, StoreError, "in memory holds nothing"),
        ("sqlite:////nowhere/x.db", {"table": "users"}, StoreError, "there is no file /nowhere/x.db"),
        ("nosuch://x", {"table": "users"}, StoreError, "cannot be used"),
        ("postgresql+psycopg://u:secret@localhost:1/x", {"table": "users"}, StoreError, "check that the server runs"),
    ],
)
def test_sources_that_are_none(
    database: Database, source: Any, group: dict[str, Any], expected: type[Exception], said: str
) -> None:
    """A source that cannot be read is refused while compiling, in plain words and without its password."""
    with pytest.raises(expected) as caught:
        compiled(database, source, **group)
    assert said in str(caught.value)
    assert "secret" not in str(caught.value)


def test_a_file_that_is_no_database_is_said(database: Database, tmp_path: Path) -> None:
    """A damaged file is refused as what it is."""
    (tmp_path / "shop.db").write_bytes(b"no database at all" * 1_000)
    with pytest.raises(StoreError, match="not a SQLite database or is damaged"):
        compiled(database, f"sqlite:///{tmp_path}/shop.db", table="users")


def test_a_missing_driver_names_the_extra(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without psycopg, what to install is said."""
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'abloop\[postgres\]'"):
        compiled(database, "postgresql+psycopg://x", table="users")


def test_a_table_that_goes_later_raises_without_the_id(database: Database, shop: str, tmp_path: Path) -> None:
    """What a source raises later names the database, and neither the entity nor the statement."""
    fetch = compiled(database, shop, table="users")
    with sqlite3.connect(tmp_path / "shop.db") as connection:
        connection.execute("DROP TABLE users")
    connection.close()
    with pytest.raises(StoreError, match="no such table: users") as caught:
        fetch("4711")
    assert "4711" not in str(caught.value)


def test_one_engine_for_one_url(database: Database, shop: str) -> None:
    """Groups of one URL share connections, which are closed when the last of them is gone."""
    first, second = (compiled(database, shop, table=table) for table in ("users", "old_users"))
    assert [key for key in outside._open if key == shop] == [shop]
    assert (first("1"), second("1")) == ({"age": 31.0}, {"age": 31.0})
    del first, second
    assert [key for key in outside._open if key == shop] == []


def test_a_forked_child_opens_its_own_connections(database: Database, shop: str) -> None:
    """A child lets go of its parent's connections and reads through its own; the parent goes on."""
    fetch = compiled(database, shop, table="users")
    before = outside._open[shop].engine.pool
    child = os.fork()
    if not child:
        alright = outside._open[shop].engine.pool is not before and fetch("1") == {"age": 31.0}
        os._exit(0 if alright else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert fetch("1") == {"age": 31.0}


TABLES = """
CREATE SCHEMA shop;
CREATE TYPE kind AS ENUM ('guest', 'member');
CREATE TABLE shop.users (user_id INTEGER PRIMARY KEY, age DOUBLE PRECISION, spent NUMERIC(10, 2), tags JSONB,
    vector NUMERIC[], photo BYTEA, since TIMESTAMPTZ, kind kind, device UUID, code VARCHAR(3), number NUMERIC);
INSERT INTO shop.users VALUES (1, 31, 9.5, '["a", "b"]', '{1, 2.5}', '\\x00', '2024-05-01 10:00:00+00', 'member',
    '6f1c2f0e-8f6a-4a51-9a3c-0d5f3b6f7a11', 'abc', 12.5), (2, NULL, NULL, '{"a": 2}', NULL, NULL, NULL, 'guest',
    NULL, NULL, NULL);
CREATE TABLE pages (path TEXT PRIMARY KEY, visits BIGINT);
INSERT INTO pages VALUES ('/a', 7), ('12', 8);
CREATE VIEW old_users AS SELECT user_id, age FROM shop.users WHERE age > 30;
"""


@pytest.fixture(scope="module")
def server(postgres: Databases) -> Iterator[str]:
    """Return the URL of a Postgres with the tables of a shop."""
    url = postgres.make()
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        connection.exec_driver_sql(TABLES)
    engine.dispose()
    yield url
    postgres.drop(url)


def test_postgres_tables(database: Database, server: str) -> None:
    """Rows of Postgres by integer, text, UUID, enum and decimal ids; an id that is no such value is nobody."""
    features: tuple[Feature, ...] = (
        AGE,
        Feature("spent"),
        Feature("tags", "sparse"),
        Feature("vector", "embedding", size=2),
    )
    features = (*features, Feature("photo"), Feature("since", "time"), Feature("device", "categorical"))
    users = compiled(database, server, *features, table="shop.users")
    assert users("1") == {
        "age": 31.0,
        "spent": 9.5,
        "tags": ["a", "b"],
        "vector": [1.0, 2.5],
        "photo": None,
        "since": datetime(2024, 5, 1, 10, tzinfo=UTC),
        "device": UUID_TEXT,
    }
    assert [users(entity) for entity in ("7", "x", "", str(2**40), "9" * 19, "9" * 30, "1\0", "\ud800")] == [None] * 8
    pages = compiled(database, server, Feature("visits"), table="pages", column="path")
    assert [pages(path) for path in ("/a", "12", "/b", "/a\0")] == [{"visits": 7}, {"visits": 8}, None, None]
    assert compiled(database, server, table="old_users")("1") == {"age": 31.0}
    ids = (("device", UUID_TEXT), ("kind", "member"), ("code", "abc"), ("number", "12.5"))
    for column, entity in ids:
        fetch = compiled(database, server, table="shop.users", column=column)
        assert fetch(entity) == {"age": 31.0}, column
        assert (fetch("abcd"), fetch("nobody"), fetch("")) == (None, None, None), column


def test_postgres_queries(database: Database, server: str) -> None:
    """The server finds out the id's type, or is told; an id that cannot be cast is nobody."""
    users = compiled(database, server, query="SELECT age FROM shop.users WHERE user_id = :id")
    assert [users(entity) for entity in ("1", "2", "3", "x", "9" * 30)] == [
        {"age": 31.0},
        {"age": None},
        None,
        None,
        None,
    ]
    device = compiled(database, server, query="SELECT age FROM shop.users WHERE device = CAST(:id AS UUID)")
    assert (device(UUID_TEXT), device("x")) == ({"age": 31.0}, None)
    cast = compiled(database, server, query="SELECT age FROM shop.users WHERE user_id::text = :id")
    assert cast("1") == {"age": 31.0}


@pytest.mark.parametrize(
    ("group", "expected", "said"),
    [
        ({"table": "shop.user"}, UnknownNameError, "unknown table 'shop.user'. Did you mean 'shop.users'?"),
        ({"table": "shp.users"}, UnknownNameError, "unknown schema 'shp'. Did you mean 'shop'?"),
        ({"table": "old_user"}, UnknownNameError, "Did you mean 'old_users'?"),
        ({"table": "shop.users", "column": "user"}, UnknownNameError, "Did you mean 'user_id'?"),
        ({"query": "SELECT age FROM users WHERE user_id = :id"}, BlueprintError, 'relation "users" does not exist'),
        ({"query": "SELECT age FROM shop.users WHERE user_id = lower(:id)"}, BlueprintError, "cast the id"),
        ({"query": "UPDATE shop.users SET age = 1 WHERE user_id = :id"}, BlueprintError, "read-only"),
    ],
)
def test_postgres_mistakes(
    database: Database, server: str, group: dict[str, Any], expected: type[Exception], said: str
) -> None:
    """The same mistakes are said in the same way; a source is not written to."""
    with pytest.raises(expected) as caught:
        compiled(database, server, **group)
    assert said in str(caught.value)


def test_postgres_comes_back(database: Database, server: str) -> None:
    """A connection that the server ended is replaced by the next fetch."""
    fetch = compiled(database, server, table="shop.users")
    other = sa.create_engine(server)
    with other.connect() as connection:
        ended = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
        connection.exec_driver_sql(f"{ended} AND datname = current_database()").all()
    other.dispose()
    assert fetch("1") == {"age": 31.0}
