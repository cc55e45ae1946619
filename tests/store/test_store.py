"""The database side: idempotent hops, verified texts, and one sentence for whatever is wrong."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import sqlalchemy as sa

from abloop.blueprint import from_mapping
from abloop.errors import StoreError, UnknownNameError
from abloop.join import Column, Joined
from abloop.records import Decision, Loss, Observation, encode
from abloop.store import parquet, sql
from abloop.store.catalogue import Catalogue
from abloop.store.counts import read_counts
from abloop.store.dead import read_dead
from abloop.store.journal import Journal
from abloop.store.late import sweep
from abloop.store.manifest import Manifest
from abloop.store.reduce import reduce
from abloop.store.ship import ship
from abloop.store.spool import Spool
from abloop.store.sql import Database
from abloop.store.tables import late, schema
from tests.store.shipping import complete, send
from tests.test_pseudonyms import holding

BLUEPRINT = {
    "strategy": "s",
    "arms": [{"name": "a"}, {"name": "b"}],
    "metrics": [{"name": "m", "default": None}],
    "features": [{"name": "x"}, {"name": "c", "type": "categorical"}],
}


def decision(index: int, **changes: object) -> Decision:
    """Return a decision."""
    fields = {
        "decision_id": f"d{index}",
        "strategy": "s",
        "version": 1,
        "unit": f"u{index}",
        "time": float(index),
        "features": (None if index % 3 == 0 else float(index), "web" if index % 2 else None),
        "predictions": (),
        "arm": "ab"[index % 2],
        "propensity": 0.5,
        "phase": "randomise",
        "decision": "a",
    }
    return Decision(**(fields | changes))  # type: ignore[arg-type]


def labelled(name: str, values: list[float | None]) -> Joined:
    """Return one metric of decisions as it is joined, without observations behind it."""
    found, n = np.array(values, dtype=float), len(values)
    column = Column(found, np.zeros(n, dtype=np.int32), np.full(n, np.nan))
    return Joined({name: column}, np.empty(0, dtype=np.uint64), np.zeros(n, dtype=np.int64), np.empty(0, dtype=np.intp))


@pytest.fixture
def database(tmp_path: Path) -> Database:
    """Return a database."""
    return Database(f"sqlite:///{tmp_path}/x.db")


def test_shipping_is_idempotent(tmp_path: Path, database: Database) -> None:
    """Shipped twice, or again after dying before the segment was removed, every record is there once."""
    journal, spool = Journal(database), Spool(tmp_path / "spool", segment_bytes=2_048)
    for index in range(50):
        spool.append(encode(decision(index)))
        spool.append(encode(Observation(f"d{index}", "s", float(index), "m", 1.0)))
    copies = {path: path.read_bytes() for path in (tmp_path / "spool").iterdir()}
    assert ship(tmp_path / "spool", journal).records == 100
    spool.seal()
    assert ship(tmp_path / "spool", journal).records == 0
    assert list((tmp_path / "spool").iterdir()) == []
    for path, payload in copies.items():  # the process died before it removed them
        path.write_bytes(payload)
    assert ship(tmp_path / "spool", journal).records == 0
    backlog = journal.backlog("s")
    assert (backlog.waiting, backlog.joined, backlog.observations) == (50, 0, 50)


def test_what_cannot_be_read_is_counted_and_passed(tmp_path: Path, database: Database) -> None:
    """A record of an unknown format stops nothing."""
    spool = Spool(tmp_path / "spool")
    for payload in (b"\x93\x09\x01\x02", encode(decision(1))):
        spool.append(payload)
    spool.seal()
    shipped = ship(tmp_path / "spool", Journal(database))
    assert (shipped.records, shipped.refused, shipped.torn_bytes) == (1, 1, 0)


def test_the_first_of_two_decisions_counts(database: Database) -> None:
    """A decision id that comes again changes nothing, before and after the join; other content is a dead letter."""
    journal = Journal(database)
    send(journal, "one", [(1, decision(1))])
    send(journal, "two", [(1, decision(1, time=9.0, latency=7)), (2, decision(1, arm="a", time=0.0))])
    due = journal.due("s", 1, 10.0, 10)
    assert [record.arm for record in due.decisions] == ["b"]
    complete(journal, "f", due)
    send(journal, "three", [(1, decision(1)), (2, decision(1, unit="other"))])
    assert journal.due("s", 1, 10.0, 10).decisions == []
    assert [(letter.segment, letter.offset) for letter in read_dead(database, "s")] == [("two", 2), ("three", 2)]
    assert all("came again with different content" in letter.reason for letter in read_dead(database))
    assert read_counts(database, "s") == {"decisions": 1, "dead": 2, "rows": 1, "table": 1}


def test_two_workers_never_list_a_decision_twice(database: Database) -> None:
    """A file with a decision that another worker has listed already is not listed, and nothing of it counts."""
    journal = Journal(database)
    send(journal, "one", [(index, decision(index)) for index in (1, 2, 3)])
    both = journal.due("s", 1, 10.0, 10)
    complete(journal, "first", journal.due("s", 1, 2.0, 10))
    with pytest.raises(StoreError, match="another worker"):
        complete(journal, "second", both)
    assert [file.name for file in Manifest(database).files("s")] == ["first"]
    assert [record.decision_id for record in journal.due("s", 1, 10.0, 10).decisions] == ["d3"]


def test_two_shippers_ship_a_part_once(database: Database) -> None:
    """Of two workers with one part of a segment only one ships it, dead letters, losses and counts included."""
    journal = Journal(database)
    part = [(1, decision(1)), (2, Loss(0.0, 3, 4, "full"))]
    assert send(journal, "one", part, start=0)
    assert not send(journal, "one", [*part, (3, decision(2))], start=0)
    assert send(journal, "one", [(3, decision(2))])
    assert read_counts(database, "") == {"lost": 7}
    assert read_counts(database, "s") == {"decisions": 2}


def test_keys_make_observations_count_once(database: Database) -> None:
    """Observations with one key are one; without a key each counts."""
    journal = Journal(database)
    same = [(index, Observation("d1", "s", 0.0, "m", 1.0, "k")) for index in range(3)]
    free = [(index, Observation("d1", "s", 0.0, "m", 1.0)) for index in range(10, 12)]
    send(journal, "one", [(1, decision(1)), *same, *free])
    send(journal, "two", [(5, Observation("d1", "s", 9.0, "m", 7.0, "k"))])
    assert len(journal.due("s", 1, 10.0, 10).seen.names) == 3
    assert read_counts(database, "s")["observations"] == 3


def test_only_what_is_due_is_joined_oldest_first(database: Database) -> None:
    """Decisions come in order of time, with their observations and no others, at most so many."""
    journal = Journal(database)
    records = [(index, decision(index)) for index in (5, 3, 9, 1)]
    send(journal, "one", [*records, *((i + 20, Observation(f"d{i}", "s", 0.0, "m", 1.0)) for i in (3, 9))])
    due = journal.due("s", 1, 5.0, 2)
    assert [record.decision_id for record in due.decisions] == ["d1", "d3"]
    assert due.seen.decision_ids == ["d3"]


def test_what_comes_while_a_row_is_made_is_not_lost(database: Database) -> None:
    """A file is not listed if its decisions were observed meanwhile; what comes after that is late."""
    journal = Journal(database)
    send(journal, "one", [(1, decision(1)), (2, Observation("d1", "s", 0.0, "m", 1.0, "k1"))])
    due = journal.due("s", 1, 10.0, 10)
    send(journal, "two", [(1, Observation("d1", "s", 0.0, "m", 2.0, "k2"))])
    assert not complete(journal, "early", due)
    assert Manifest(database).files("s") == []
    assert complete(journal, "whole", journal.due("s", 1, 10.0, 10))
    send(
        journal, "three", [(1, Observation("d1", "s", 0.0, "m", 3.0, "k3")), (2, Observation("d7", "s", 0.0, "m", 1.0))]
    )
    assert (sweep(database, "s"), sweep(database, "s")) == (1, 0)
    with database.reading() as connection:
        assert connection.execute(sa.select(late.c.decision_id, late.c.key, late.c.value)).all() == [("d1", "k3", 3.0)]
    assert journal.backlog("s").observations == 1  # that of a decision which has not come yet


def test_parquet_round_trip(tmp_path: Path) -> None:
    """Rows come back with missing values missing; the same rows give the same file name."""
    blueprint = from_mapping(BLUEPRINT)
    decisions = [decision(i) for i in range(12)]
    labels = [None if i % 4 == 0 else float(i) for i in range(12)]
    table = parquet.to_table(decisions, labelled("m", labels), blueprint)
    name = parquet.write(table, tmp_path, "s/…", 1)
    assert name == parquet.write(table, tmp_path, "s/…", 1)
    again = parquet.read(parquet.paths(tmp_path, [name]), ["x.x", "x.c", "y.m", "unit", "absent"])
    assert again["x.x"].to_pylist() == [made.features[0] for made in decisions]
    assert again["x.c"].to_pylist() == [made.features[1] for made in decisions]
    assert again["y.m"].to_pylist() == labels
    with pytest.raises(StoreError, match=r"missing.*Restore"):
        parquet.paths(tmp_path, ["gone.parquet"])
    (tmp_path / name).write_bytes(b"PAR1 not")
    with pytest.raises(StoreError, match="damaged"):
        parquet.read([str(tmp_path / name)], ["unit"])
    with pytest.raises(StoreError, match="cannot be read"):
        reduce([str(tmp_path / name)], {"m": '"y.m"'}, phases=["randomise"])


def test_reduce_is_pandas(tmp_path: Path) -> None:
    """Moments by unit equal a recomputation with pandas, several decisions a unit and missing values included."""
    rng = np.random.default_rng(0)
    blueprint = from_mapping(BLUEPRINT)
    decisions = [
        decision(i, unit=f"u{rng.integers(40)}", arm="ab"[rng.integers(2)], phase=("randomise", "holdout")[i % 5 == 0])
        for i in range(400)
    ]
    labels = [None if rng.random() < 0.2 else float(rng.normal()) for _ in range(400)]
    name = parquet.write(parquet.to_table(decisions, labelled("m", labels), blueprint), tmp_path, "s", 1)
    ours = reduce([str(tmp_path / name)], {"m": '"y.m"'}, phases=["randomise"], traits={"p": "propensity"})
    frame = pd.DataFrame([(d.unit, d.arm, d.phase) for d in decisions], columns=["unit", "arm", "phase"])
    frame["m"] = np.array(labels, dtype=float)
    frame = frame[frame["phase"] == "randomise"]
    for arm, part in frame.groupby("arm"):
        sums = part.groupby("unit")["m"].agg(["sum", "count"])
        sums = sums[sums["count"] > 0]
        found = ours[str(arm)]["m"]
        assert found.units == len(sums)
        assert (found.s, found.m) == pytest.approx((sums["sum"].sum(), sums["count"].sum()))
        centred = sums - sums.mean()
        assert found.squares == pytest.approx((sums["sum"] ** 2).sum())
        assert found.ss == pytest.approx((centred["sum"] ** 2).sum())
        assert found.sm == pytest.approx((centred["sum"] * centred["count"]).sum())
        assert found.mm == pytest.approx((centred["count"] ** 2).sum())
        assert ours[str(arm)]["p"].s == pytest.approx(0.5 * part["unit"].nunique())


def test_names_are_never_sql(tmp_path: Path) -> None:
    """A metric or arm whose name is SQL is a name."""
    evil = "m\"; DROP TABLE x; --'"
    blueprint = from_mapping(BLUEPRINT | {"metrics": [{"name": evil}], "arms": [{"name": evil}, {"name": "b"}]})
    from abloop.readout import metric_expressions

    table = parquet.to_table([decision(1, arm=evil)], labelled(evil, [2.0]), blueprint)
    name = parquet.write(table, tmp_path, evil, 1)
    found = reduce([str(tmp_path / name)], metric_expressions(blueprint), phases=["randomise"])
    assert found[evil][evil].s == 2.0


def test_altered_blueprints_are_noticed(tmp_path: Path, database: Database) -> None:
    """A blueprint that was changed in place is not served."""
    catalogue = Catalogue(database)
    catalogue.add_blueprint(from_mapping(BLUEPRINT), at=0.0, who="", why="")
    with sqlite3.connect(tmp_path / "x.db") as connection:
        connection.execute("""UPDATE abloop_blueprints SET body = replace(body, '"x"', '"z"')""")
    connection.close()
    with pytest.raises(StoreError, match="altered in place"):
        catalogue.blueprint("s")
    with pytest.raises(UnknownNameError, match="'t'"):
        catalogue.blueprint("t")


@pytest.mark.parametrize("kind", ["locked", "corrupt", "folder", "future", "dialect", "driver"])
def test_a_bad_database_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    """Locked, corrupt, missing, newer or unknown: the message names the database, the cause and the fix."""
    path = tmp_path / "x.db"
    url, words = f"sqlite:///{path}", [str(path)]
    monkeypatch.setattr(sql, "BUSY_SECONDS", 0.1)
    holder = None
    if kind == "locked":
        Database(url).close()
        holder = sqlite3.connect(path, isolation_level=None)
        holder.execute("BEGIN IMMEDIATE")
        words.append("close that process")
    elif kind == "corrupt":
        path.write_bytes(b"this is not a database, it is a text of some length " * 50)
        words.append("restore it from a backup")
    elif kind == "folder":
        url, words = f"sqlite:///{tmp_path}/none/x.db", ["none/x.db", "make it"]
    elif kind == "future":
        database = Database(url)
        with database.transaction() as connection:
            connection.execute(schema.update().values(version=99))
        database.close()
        words += ["99", "Install the abloop that wrote it"]
    elif kind == "dialect":
        url, words = "oracle9://x", ["oracle9://x", "sqlite:///"]
    else:
        url, words = "postgresql+psycopg://u:hush@127.0.0.1:1/x?password=hush", ["127.0.0.1:1/x", "server runs"]
    with pytest.raises(StoreError) as refused, Database(url).transaction():
        pass
    assert [word for word in words if word not in str(refused.value)] == []
    assert "hush" not in str(refused.value)
    if holder:
        holder.close()


def test_pages_that_were_split_hold_no_copy(tmp_path: Path) -> None:
    """SQLite leaves copies of cells where it splits a page, and deletes only the last; `rewrite` leaves none."""
    rng = np.random.default_rng(0)
    database = Database(f"sqlite:///{tmp_path / 'abloop.db'}")
    rows = [(f"{('anna', 'bert')[at % 2]}/{at}", rng.bytes(rng.integers(600))) for at in range(6_000)]
    found = []
    for order in map(rng.permutation, [len(rows)] * 5):
        with database.transaction() as connection:
            connection.exec_driver_sql("CREATE TABLE t (u TEXT PRIMARY KEY, b BLOB)")
            connection.exec_driver_sql("INSERT INTO t VALUES (?, ?)", [rows[at] for at in order])
            connection.exec_driver_sql("DELETE FROM t WHERE u LIKE 'anna%'")
        with closing(database.engine.raw_connection()) as raw:
            raw.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)")
        found.append(len(holding(tmp_path, "anna/")))
        database.rewrite()
        assert holding(tmp_path, "anna/") == []
        with database.transaction() as connection:
            assert connection.exec_driver_sql("SELECT count(*) FROM t").scalar_one() == 3_000
            connection.exec_driver_sql("DROP TABLE t")
    database.close()
    assert sum(found), "the trap is none for this SQLite"
