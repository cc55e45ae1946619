"""Outcomes straight from a company's own database: any kind of time, and mistakes that are said and stop nothing."""

from __future__ import annotations

import socket
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import sqlalchemy as sa

import abloop
from abloop import offline
from abloop.blueprint import Metric
from abloop.errors import AbloopError, AwayError, DataError, MissingExtraError, StoreError, UnknownNameError
from abloop.loop import Loop
from abloop.store.late import join_late
from abloop.store.outcomes import CHUNK, Outcomes, read_source
from abloop.testing import ManualClock

START = 1_700_000_000.0  # 2023-11-14 22:13:20 UTC
WHERE = "WHERE seconds >= :start AND seconds < :end"
QUERY = f"SELECT unit, seconds AS time, amount AS value FROM paid {WHERE}"  # noqa: S608
ROWS = [
    ("u1", 0.0, 1.5, "2023-11-14 22:13:20"),
    ("u2", 60.0, 2.0, "2023-11-14 22:14:20"),
    ("u1", 9e6, 3.0, "2024-02-27"),
]


def fill(url: str) -> None:
    """Make a table of payments, each with its time as a number and as a timestamp."""
    engine = sa.create_engine(url)
    kind = "TIMESTAMPTZ" if engine.name == "postgresql" else "TEXT"
    number = "NUMERIC(10, 2)" if engine.name == "postgresql" else "NUMERIC"
    with engine.begin() as connection:
        connection.execute(sa.text("SET TIME ZONE 'UTC'" if engine.name == "postgresql" else "SELECT 1"))
        columns = f"unit TEXT, seconds DOUBLE PRECISION, amount {number}, paid_at {kind}"
        connection.execute(sa.text(f"CREATE TABLE paid ({columns})"))
        for unit, after, amount, at in ROWS:
            values = {"unit": unit, "seconds": START + after, "amount": amount, "at": at}
            connection.execute(sa.text("INSERT INTO paid VALUES (:unit, :seconds, :amount, :at)"), values)
    engine.dispose()


def read(url: Any, query: str, end: float = START + 100.0) -> list[tuple[Any, ...]]:
    """Return what a metric's query gives between the first payment and a time."""
    metric = Metric(name="paid", by="unit", window=100.0, source="shop", query=query)
    found = pa.concat_tables(read_source(metric, {"shop": url}, START, end))
    return [tuple(row.values()) for row in found.to_pylist()]


def refused(error: type[AbloopError], url: Any, query: str) -> str:
    """Return why a query is refused; the metric is named first."""
    with pytest.raises(error) as caught:
        read(url, query)
    assert not isinstance(caught.value, AwayError)  # it is not abloop's own database that is away
    return str(caught.value)


@pytest.fixture
def shop(tmp_path: Path) -> str:
    """Return the URL of a shop's own SQLite database."""
    url = f"sqlite:///{tmp_path}/shop.db"
    fill(url)
    return url


def test_unit_time_and_value_in_a_window(database_url: str) -> None:
    """Numbers and timestamps are the same seconds, decimals are numbers, other columns are not looked at."""
    fill(database_url)
    wanted = [("u1", START, 1.5), ("u2", START + 60.0, 2.0)]
    assert sorted(read(database_url, QUERY)) == wanted
    assert len(read(database_url, QUERY, START + 9e6)) == 3
    server = database_url.startswith("postgresql")
    start, end = ("to_timestamp(:start)", "to_timestamp(:end)") if server else ("datetime(:start, 'unixepoch')",) * 2
    end = end.replace(":start", ":end")
    query = f"SELECT 7 AS more, amount AS value, paid_at AS time, unit FROM paid WHERE paid_at >= {start} "  # noqa: S608
    assert sorted(read(database_url, f"{query} AND paid_at < {end}")) == wanted


@pytest.mark.parametrize(
    ("time", "seconds"),
    [
        ("1700000000", START),
        ("1700000000.25", START + 0.25),
        ("'2023-11-14T22:13:20Z'", START),
        ("'2023-11-14 23:13:20+01:00'", START),
        ("'2023-11-15'", START + 6_400.0),
    ],
)
def test_times_of_every_kind(shop: str, time: str, seconds: float) -> None:
    """Seconds, and ISO texts with a time zone, without one (it is UTC), or of a day."""
    query = f"SELECT 17 AS unit, {time} AS time, 1 AS value WHERE :start < :end"
    assert read(shop, query) == [("17", seconds, 1.0)]


def test_more_than_one_chunk(shop: str) -> None:
    """Many rows come a part at a time, and all of them."""
    query = f"""
        WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {2 * CHUNK + 1})
        SELECT 'u' || i AS unit, :start + i AS time, i AS value FROM n WHERE :end > 0
    """  # noqa: S608
    found = read(shop, query)
    assert len(found) == 2 * CHUNK + 1
    assert found[-1] == (f"u{2 * CHUNK + 1}", START + 2 * CHUNK + 1, 2.0 * CHUNK + 1)


@pytest.mark.parametrize(
    ("select", "said"),
    [
        ("NULL AS unit, 1 AS time, 1 AS value", "its query gives unit None, a NoneType; allowed: texts and whole"),
        ("1.5 AS unit, 1 AS time, 1 AS value", "its query gives unit 1.5, a float; allowed: texts and whole numbers"),
        ("'u' AS unit, NULL AS time, 1 AS value", "its query gives time None, a NoneType; allowed: seconds since 1970"),
        ("'u' AS unit, 'soon' AS time, 1 AS value", "its query gives time 'soon', a str; allowed: seconds since 1970"),
        ("'u' AS unit, 1 AS time, 'many' AS value", "its query gives value 'many', a str; allowed: numbers. Cast it"),
        ("'u' AS unit, 1 AS time, NULL AS value", "its query gives value None, a NoneType; allowed: numbers. Cast it"),
        ("'u' AS unit, 1 AS time, 9e999 AS value", "its query gives value inf, a float; allowed: finite numbers"),
        ("'u' AS unit, 1 AS time", "its query gives no column 'value', but unit, time; allowed: unit, time and value"),
        ("user AS unit, 1 AS time, 2 AS value", "its query cannot be run: no such column: user. Repair it"),
        ("'u' AS unit, :now AS time, 2 AS value", "its query has the parameter :now; allowed: :start and :end"),
    ],
)
def test_what_is_no_outcome(shop: str, select: str, said: str) -> None:
    """A row that is none, a column that is not there, SQL that is wrong: what came, what is allowed, what to do."""
    query = f"SELECT {select} WHERE :start < :end"
    assert refused(AbloopError, shop, query).startswith(f"metric 'paid': {said}")


def test_nothing_is_written(database_url: str) -> None:
    """A query that changes something is refused, and changes nothing."""
    fill(database_url)
    bound = "WHERE seconds >= :start AND seconds < :end"
    change = f"DELETE FROM paid {bound} RETURNING unit, seconds AS time, amount AS value"  # noqa: S608
    assert refused(StoreError, database_url, change).startswith("metric 'paid': its query cannot be run:")
    assert len(read(database_url, QUERY)) == 2


def test_a_source_that_is_none(shop: str, tmp_path: Path) -> None:
    """A name that was not given, a Python function, a URL that is none, and a file that is not there."""
    metric = Metric(name="paid", by="unit", window=100.0, source="shopp", query=QUERY)
    with pytest.raises(UnknownNameError, match=r"metric 'paid': unknown source 'shopp'\. Did you mean 'shop'"):
        list(read_source(metric, {"shop": shop}, START, START))
    assert "is a Python function; allowed: a database URL" in refused(StoreError, lambda unit: {}, QUERY)
    assert "cannot be used" in refused(StoreError, "nothing://at/all", QUERY)
    assert "there is no file" in refused(StoreError, f"sqlite:///{tmp_path}/gone.db", QUERY)
    assert "pip install" in refused(MissingExtraError, "mysql+pymysql://me@host/shop", QUERY)
    (tmp_path / "no.db").write_text("this is no database" * 100)
    assert "not a SQLite database" in refused(StoreError, f"sqlite:///{tmp_path}/no.db", QUERY)


def test_a_source_that_is_away_or_hangs() -> None:
    """A server that refuses, and one that takes the call and says nothing, are said within seconds."""
    pytest.importorskip("psycopg")
    assert refused(StoreError, "postgresql+psycopg://me@127.0.0.1:1/shop", QUERY).startswith("metric 'paid': ")
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"postgresql+psycopg://me@127.0.0.1:{server.getsockname()[1]}/shop?connect_timeout=2"
        assert refused(StoreError, url, QUERY).startswith("metric 'paid': ")


@pytest.fixture
def loop(tmp_path: Path, shop: str) -> Iterator[Loop]:
    """Return an installation with a metric of a decision, one of units in the log, and two of the shop."""
    metrics: list[dict[str, Any]] = [
        {"name": "click"},
        {"name": "told", "by": "unit", "window": 50.0, "combine": "sum"},
        {"name": "paid", "by": "unit", "window": 60.0, "combine": "sum", "source": "shop", "query": QUERY},
        {"name": "back", "by": "unit", "window": 60.0, "source": shop, "query": QUERY.replace("paid", "returned")},
    ]
    sources: dict[str, Any] = {"shop": shop}
    found = Loop(f"sqlite:///{tmp_path}/a.db", tmp_path, ManualClock(START), refresh_seconds=3_600.0, sources=sources)
    arms = [{"name": "a"}, {"name": "b"}]
    found.register({"strategy": "s", "arms": arms, "metrics": metrics, "lifecycle": {"ttl": 10.0}})
    yield found
    found.close()


def test_one_wrong_source_stops_no_other_metric(loop: Loop, tmp_path: Path) -> None:
    """From call to table: all that can be filled in is, the wrong query is said each time until it is repaired."""
    strategy, clock = loop.strategy("s"), loop.clock
    for unit in ("u1", "u2", "u3"):
        strategy.get_decision(f"d-{unit}", {"user_id": unit})
    clock.advance(5.0)  # type: ignore[attr-defined]
    strategy.log_unit_observations("u1", {"told": 2.0})
    clock.advance(20.0)  # type: ignore[attr-defined]
    strategy.log_observations("d-u2", {"click": 1})  # after the TTL
    strategy.log_unit_observations("u1", {"told": 3.0})
    clock.advance(50.0)  # type: ignore[attr-defined]
    strategy.log_unit_observations("u1", {"told": 99.0})  # after the window
    offline.ship_spool(loop)
    assert offline.join_rows(loop, "s") == 3
    before = abloop.read_table(loop, "s")
    assert before[["y.told", "y.paid", "y.back", "n.paid"]].isna().all(axis=None)
    for _ in range(2):
        with pytest.raises(StoreError, match="metric 'back': its query cannot be run: no such table: returned"):
            join_late(loop, "s")
    table = abloop.read_table(loop, "s")
    assert table["unit"].tolist() == ["u1", "u2", "u3"]
    assert table["y.told"].tolist() == [5.0, 0.0, 0.0]
    assert table["y.paid"].tolist() == [1.5, 2.0, 0.0]
    assert table["n.paid"].tolist() == [1, 1, 0]
    assert table["at.paid"].tolist()[:2] == [START, START + 60.0]
    assert table["y.click"].tolist() == [0.0, 0.0, 0.0]
    assert table["y.back"].isna().all()
    with sqlite3.connect(tmp_path / "shop.db") as connection:
        connection.execute("CREATE TABLE returned AS SELECT * FROM paid")
    connection.close()
    assert join_late(loop, "s").files == 1
    assert abloop.read_table(loop, "s")["y.back"].tolist() == [1.5, 2.0, 0.0]
    assert join_late(loop, "s").files == 0


def test_a_query_that_fails_half_way_leaves_nothing(tmp_path: Path, shop: str) -> None:
    """What was read of a metric before a row that is none is not matched; another metric's is."""
    rows = pa.table({"decision_id": ["d"], "unit": ["u1"], "time": [START]})
    kinds = {"decision_id": "", "unit": "", "metric": 0, "time": 0.0, "value": 0.0, "place": 0, "wait": 0.0}
    nothing = pa.Table.from_pylist([kinds]).slice(0, 0)
    good = Metric(name="paid", by="unit", window=100.0, source="shop", query=QUERY)
    many = "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 20000) SELECT 'u1' AS unit, "
    many += ":start AS time, iif(i < 20000, 1, 'many') AS value FROM n WHERE :end > 0"
    bad = Metric(name="bad", by="unit", window=100.0, source="shop", query=many)
    with Outcomes(tmp_path) as outcomes:
        with pytest.raises(DataError, match="gives value 'many'"):
            outcomes.add(bad, read_source(bad, {"shop": shop}, START, START + 100.0))
        outcomes.add(good, read_source(good, {"shop": shop}, START, START + 100.0))
        found = outcomes.match(rows, nothing, {0: bad, 1: good})
    assert (found.metrics.tolist(), found.values.tolist(), found.places.tolist()) == ([1], [1.5], [-1])
