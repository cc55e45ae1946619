"""An installation of an earlier release, files and all, goes on with this one as if nothing had been."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa

from abloop import offline
from abloop.loop import Loop
from abloop.store import parquet
from abloop.store.counts import read_counts
from abloop.store.sql import Database
from abloop.store.tables import late, observations
from abloop.testing import ManualClock
from abloop.train.table import load_table
from tests.store import released

TTL = 3_600.0
# What the installation of 0.1.0 holds: 60 decisions are joined, 40 are in its database, 30 in the spool of a process
# that was killed; some observations of each came with a key, some without, some after their decision was joined.


def unpack(directory: Path, url: str, release: str) -> dict[str, Any]:
    """Put an installation of a release into a directory, its database to a URL; return what it should give."""
    with zipfile.ZipFile(released.HERE / f"{release}.zip") as archive:
        archive.extractall(directory)
    if not url.startswith("sqlite"):
        move_rows(sa.create_engine(f"sqlite:///{directory}/abloop.db"), released.make(url, release))
    found: dict[str, Any] = json.loads((directory / "truth.json").read_text())
    return found


def move_rows(source: sa.Engine, target: sa.Engine) -> None:
    """Copy every row from one database to another of the same tables."""
    metadata = sa.MetaData()
    with source.connect() as old, target.begin() as new:
        metadata.reflect(new)
        for table in metadata.sorted_tables:
            rows = [dict(row) for row in old.execute(sa.select(table)).mappings()]
            if rows and table.name != "abloop_schema":
                new.execute(table.insert(), rows)
    source.dispose()
    target.dispose()


def rows_of(loop: Loop) -> dict[str, Any]:
    """Return decision id to arm and labels of every row of the training table."""
    names = [file.name for file in loop.manifest.files("checkout")]
    tables = [pq.read_table(path) for path in parquet.paths(loop.table_directory, names)]
    rows = [row for table in tables for row in table.to_pylist()]
    found = {row["decision_id"]: {"arm": row["arm"], **{m: row[f"y.{m}"] for m in ("bought", "paid")}} for row in rows}
    assert len(found) == len(rows)
    return found


@pytest.mark.parametrize("release", released.RELEASES)
def test_an_installation_goes_on(database_url: str, tmp_path: Path, release: str) -> None:
    """Joined, shipped and spooled decisions of a release are each in the training table once, with their labels."""
    truth = unpack(tmp_path, database_url, release)
    clock = ManualClock(truth["now"])
    loop = Loop(database_url, tmp_path / "abloop.files", clock=clock, refresh_seconds=3_600.0)
    assert rows_of(loop) == {name: row for name, row in truth["rows"].items() if name.startswith("joined")}
    arm = loop.strategy("checkout").get_decision("new", {"user_id": "new", "x": 0.5})
    loop.strategy("checkout").log_observations("new", {"bought": True, "paid": 5.0})
    loop.spool.seal()
    for _ in range(2):
        offline.ship_spool(loop)
        offline.join_rows(loop, "checkout")
        clock.advance(TTL + 1)
    expected = truth["rows"] | {"new": {"arm": arm, "bought": 1.0, "paid": 5.0}}
    assert rows_of(loop) == expected
    assert len(load_table(loop, "checkout").groups) == len(expected)
    assert list((tmp_path / "abloop.files" / "spool").iterdir()) == []
    database = Database(database_url)
    counts = read_counts(database, "checkout")
    assert (counts["decisions"], counts["rows"]) == (len(expected), len(expected))
    with database.reading() as connection:
        left = sum(len(connection.execute(sa.select(table)).all()) for table in (observations, late))
    assert counts["observations"] == counts["joined"] + left + counts.get("duplicates", 0)
    database.close()
    loop.close()
