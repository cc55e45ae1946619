"""The late join: the same table as if everything had come in time, whatever came when, twice, or was cut off."""

from __future__ import annotations

import random
import sqlite3
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy.engine import Connection

from abloop import offline
from abloop.loop import Loop
from abloop.records import Decision, Observation, Record
from abloop.store import compaction, parquet
from abloop.store.compaction import compact
from abloop.store.counts import read_counts
from abloop.store.late import LateJoined, join_late
from abloop.store.manifest import Manifest, TableFile
from abloop.store.tables import late, observations
from abloop.testing import ManualClock
from tests.store.shipping import send

TTL, WINDOW = 10.0, 25.0
START = 1_000_000.0
PAID = "SELECT unit, time, value FROM paid WHERE time BETWEEN :start AND :end"
METRICS: list[dict[str, Any]] = [
    {"name": "last"},
    {"name": "sum", "combine": "sum", "default": None},
    {"name": "max", "combine": "max", "default": -1.0},
    {"name": "wait", "window": WINDOW, "combine": "sum"},
    {"name": "kept", "window": 2 * WINDOW},
    {"name": "unit", "by": "unit", "window": WINDOW, "combine": "sum"},
    {"name": "newest", "by": "unit", "window": 4.0, "combine": "last", "default": None},
    {"name": "paid", "by": "unit", "window": WINDOW, "combine": "max", "source": "shop", "query": PAID},
]
BLUEPRINT: dict[str, Any] = {
    "strategy": "s",
    "arms": [{"name": "a"}, {"name": "b"}],
    "metrics": METRICS,
    "lifecycle": {"ttl": TTL},
}
OF_DECISIONS = [metric["name"] for metric in METRICS if metric.get("by") != "unit"]
OF_UNITS = ["unit", "newest"]
UNITS = 3


def open_shop(directory: Path, rows: list[tuple[str, float, float]]) -> str:
    """Return the URL of a company's own database."""
    with sqlite3.connect(directory / "shop.db") as connection:
        connection.execute("CREATE TABLE paid (unit TEXT, time REAL, value REAL)")
        connection.executemany("INSERT INTO paid VALUES (?, ?, ?)", rows)
    connection.close()
    return f"sqlite:///{directory}/shop.db"


def open_here(directory: Path, paid: list[tuple[str, float, float]], url: str = "", **blueprint: Any) -> Loop:
    """Return an installation with the blueprint registered and a shop beside it."""
    clock = ManualClock(START)
    sources = {"shop": open_shop(directory, paid)}
    loop = Loop(url or f"sqlite:///{directory}/a.db", directory, clock, refresh_seconds=3_600.0, sources=sources)
    loop.register(BLUEPRINT | blueprint)
    return loop


def decided(number: int, time: float) -> Decision:
    """Return a decision of one of a few units."""
    return Decision(f"d{number}", "s", 1, f"u{number % UNITS}", START + time, (), (), "a", 0.5, "randomise", "a")


def table_of(loop: Loop, version: int | None = None) -> pd.DataFrame:
    """Return the training table, in order of time and decision."""
    names = [file.name for file in loop.manifest.files("s", version)]
    table = parquet.read(parquet.paths(loop.table_directory, names))
    return table.to_pandas().sort_values(["time", "decision_id"], ignore_index=True) if names else pd.DataFrame()


def count_rows(loop: Loop, table: sa.Table) -> int:
    """Return the number of rows of a table of the database."""
    with loop.database.reading() as connection:
        return connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one()


def check_counts(loop: Loop) -> None:
    """What was received is in a row, waits, is late or was a duplicate: exactly once."""
    counted = read_counts(loop.database, "s")
    joined, again = counted.get("joined", 0), counted.get("duplicates", 0)
    waiting = count_rows(loop, observations) + count_rows(loop, late)
    assert counted.get("observations", 0) == joined + again + waiting


def expected(decisions: list[Decision], seen: list[Observation], paid: list[tuple[str, float, float]]) -> pd.DataFrame:
    """Return all labels by pandas, from everything at once."""
    frame = pd.DataFrame(
        [(o.decision_id, o.unit, o.name, o.key, o.time, o.value) for o in seen]
        + [("", unit, "paid", f"p{place}", time, value) for place, (unit, time, value) in enumerate(paid)],
        columns=["decision_id", "unit", "name", "key", "time", "value"],
    ).drop_duplicates(["decision_id", "unit", "name", "key"])
    rows = []
    for made in sorted(decisions, key=lambda made: (made.time, made.decision_id)):
        row: dict[str, Any] = {"decision_id": made.decision_id}
        for metric in METRICS:
            mine = frame[frame["name"] == metric["name"]]
            mine = mine[mine["time"] <= made.time + metric.get("window", TTL)]
            if metric.get("by") == "unit":
                mine = mine[(mine["unit"] == made.unit) & (mine["time"] >= made.time)]
            else:
                mine = mine[mine["decision_id"] == made.decision_id]
            mine = mine.sort_values(["time", "key"])
            value: Any = metric.get("default", 0.0)
            if len(mine):
                combine = metric.get("combine", "last")
                value = mine["value"].iloc[-1] if combine == "last" else mine["value"].agg(combine)
            row |= {f"y.{metric['name']}": value, f"n.{metric['name']}": len(mine)}
            row[f"at.{metric['name']}"] = mine["time"].max() if len(mine) else None
        rows.append(row)
    return pd.DataFrame(rows)


def check_table(found: pd.DataFrame, wanted: pd.DataFrame) -> None:
    """Every label, number and time of observations is that of the oracle; a missing one is missing."""
    pd.testing.assert_frame_equal(
        found[wanted.columns].astype(dict.fromkeys(wanted.columns[1:], float)),
        wanted.astype(dict.fromkeys(wanted.columns[1:], float)),
        check_dtype=False,
    )


class Killed(BaseException):
    """The process ends here."""


def turn(loop: Loop, kill: str) -> LateJoined | None:
    """Join late, and be killed at a place, or not."""
    patch = pytest.MonkeyPatch()
    replace: Callable[..., int] = Manifest.replace

    def killed(self: Manifest, strategy: str, old: list[str], new: list[TableFile], also: Any) -> int:
        def die(connection: Connection) -> None:
            also(connection)
            raise Killed

        if kill == "written":
            raise Killed
        found = replace(self, strategy, old, new, die if kill == "committing" else also)
        if kill == "committed":
            raise Killed
        return found

    patch.setattr(Manifest, "replace", killed)
    try:
        return join_late(loop, "s")
    except Killed:
        return None
    finally:
        patch.undo()


times = st.integers(0, 60).map(float)
values = st.integers(-9, 9).map(float)
arrivals = st.lists(st.integers(0, 5), min_size=1, max_size=3)
kills = st.sampled_from(["", "", "written", "committing", "committed"])
of_decisions = st.tuples(st.integers(0, 5), st.sampled_from(OF_DECISIONS), times, values, arrivals)
of_units = st.tuples(st.integers(0, UNITS - 1), st.sampled_from(OF_UNITS), times, values, arrivals)


def play(
    loop: Loop, made: list[Any], seen: list[Any], outcomes: list[Any], paid: list[Any], turns: list[tuple[int, str]]
) -> None:
    """Send decisions and observations in steps, join late after each, and check the table that there is in the end."""
    decisions = [decided(place, time) for place, (time, _) in enumerate(made)]
    steps: list[list[Record]] = [[] for _ in turns]
    every: list[Observation] = []
    for place, (_, step) in enumerate(made):
        steps[step].append(decisions[place])
    for place, (which, name, time, value, when) in enumerate([*seen, *outcomes]):
        of_unit = name in OF_UNITS
        record = Observation(
            "" if of_unit else f"d{which}", "s", START + time, name, value, f"k{place}", f"u{which}" if of_unit else ""
        )
        if of_unit or which < len(made):
            every.append(record)
        for step in when:
            steps[step].append(record)
    clock: Any = loop.clock
    for place, (step, (seconds, kill)) in enumerate(zip(steps, turns, strict=True)):
        if step:
            send(loop.journal, f"part{place}", list(enumerate(step, 1)))
        clock.advance(seconds)
        offline.join_rows(loop, "s")
        turn(loop, kill)
        compact(loop, "s")
        check_counts(loop)
    clock.advance(1_000.0)
    offline.join_rows(loop, "s")
    join_late(loop, "s")
    compact(loop, "s")
    check_counts(loop)
    check_table(table_of(loop), expected(decisions, every, paid))
    before = {path.name for path in loop.table_directory.iterdir()}
    again = join_late(loop, "s")
    assert (again.rows, again.joined, again.duplicates, again.files) == (0, 0, 0, 0)
    assert {path.name for path in loop.table_directory.iterdir()} == before


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(times, st.integers(0, 2)), min_size=1, max_size=6),
    st.lists(of_decisions, max_size=14, unique_by=lambda seen: seen[2]),
    st.lists(of_units, max_size=10, unique_by=lambda seen: seen[2]),
    st.lists(st.tuples(st.integers(0, UNITS - 1), times, values), max_size=4),
    st.lists(st.tuples(st.integers(1, 60), kills), min_size=6, max_size=6),
)
def test_whatever_comes_when_the_table_is_that_of_pandas(
    made: list[tuple[float, int]], seen: list[Any], outcomes: list[Any], shop: list[Any], turns: list[tuple[int, str]]
) -> None:
    """Late, twice, of units, from a source, cut off anywhere: in the end each label is that of all there ever was."""
    paid = [(f"u{unit}", START + time, value) for unit, time, value in shop]
    with tempfile.TemporaryDirectory() as directory, pytest.MonkeyPatch.context() as patch:
        patch.setattr(compaction, "FEWEST", 2)
        patch.setattr(parquet, "GROUP_ROWS", 2)
        loop = open_here(Path(directory), paid)
        play(loop, made, seen, outcomes, paid, turns)
        loop.close()


def test_many_at_once_on_both_databases(database_url: str, tmp_path: Path) -> None:
    """The same of a few hundred decisions, with observations that come twice, and with transactions cut short."""
    rng = random.Random(5)

    def drawn(most: int, names: list[str]) -> Any:
        when = rng.choices(range(6), k=rng.randint(1, 3))
        return rng.randrange(most), rng.choice(names), 60 * rng.random(), float(rng.randint(-9, 9)), when

    made = [(60 * rng.random(), rng.randrange(3)) for _ in range(300)]
    seen = [drawn(310, OF_DECISIONS) for _ in range(900)]
    outcomes = [drawn(UNITS, OF_UNITS) for _ in range(60)]
    paid = [(f"u{rng.randrange(UNITS)}", START + 60 * rng.random(), float(rng.randint(-9, 9))) for _ in range(20)]
    loop = open_here(tmp_path, paid, database_url)
    play(
        loop,
        made,
        seen,
        outcomes,
        paid,
        list(zip([5, 20, 7, 30, 12, 1], ["", "written", "", "committing", "", "committed"], strict=True)),
    )
    loop.close()


def test_an_observation_after_its_ttl_is_late_and_counts_for_nothing(tmp_path: Path) -> None:
    """It stays among the late ones, the row has its default, and no file is opened for it again."""
    loop = open_here(tmp_path, [], metrics=[{"name": "sum", "combine": "sum"}])
    clock: Any = loop.clock
    send(loop.journal, "first", [(1, decided(0, 0.0))])
    clock.advance(TTL)
    offline.join_rows(loop, "s")
    in_time = Observation("d0", "s", START + TTL, "sum", 1.0, "k1")
    after = Observation("d0", "s", START + TTL + 0.5, "sum", 2.0, "k2")
    send(loop.journal, "late", [(1, in_time), (2, after)])
    found = join_late(loop, "s")
    assert (found.rows, found.joined, found.files, found.version) == (1, 1, 1, 2)
    assert table_of(loop)[["y.sum", "n.sum"]].to_numpy().tolist() == [[1.0, 1.0]]
    assert table_of(loop, 1)["y.sum"].tolist() == [0.0]
    assert count_rows(loop, late) == 1
    assert join_late(loop, "s").files == 0
    check_counts(loop)
    loop.close()


def test_what_decisions_tell_takes_nothing_that_was_logged(tmp_path: Path) -> None:
    """An observation under the name of a measured metric changes no row, in time or late; product code is told."""
    metrics = [{"name": "m"}, {"name": "took", "measured": "latency", "role": "guardrail"}]
    loop = open_here(tmp_path, [], metrics=metrics)
    made = Decision("d0", "s", 1, "u0", START, (), (), "a", 0.5, "randomise", "a", latency=12_500)
    in_time, late_ = (Observation("d0", "s", START + 1.0, "took", 9.0, key) for key in ("k1", "k2"))
    send(loop.journal, "first", [(1, made), (2, in_time)])
    loop.clock.advance(TTL + 1)
    offline.join_rows(loop, "s")
    send(loop.journal, "late", [(1, late_)])
    join_late(loop, "s")
    found = table_of(loop)
    assert found["y.took"].tolist() == [12.5]
    assert found["n.took"].tolist() == [1]
    handle = loop.strategy("s")
    handle.log_observations("d0", {"took": 1.0})
    assert handle.errors == 1
    loop.close()
