"""Compaction: fewer files, the same rows; never work without end."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import msgspec
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from abloop import offline
from abloop.errors import StoreError, UnknownNameError
from abloop.loop import Loop
from abloop.records import Decision, Observation
from abloop.store import compaction, parquet
from abloop.store.compaction import FEWEST, MOST_ROWS, compact, merge_runs
from abloop.store.counts import read_counts
from abloop.store.late import join_late
from abloop.store.manifest import Manifest, TableFile
from tests.store.shipping import send
from tests.store.test_late import BLUEPRINT, OF_DECISIONS, START, TTL, open_here, table_of


def one_file(name: str, rows: int, oldest: float, newest: float) -> TableFile:
    """Return a file as the manifest lists it."""
    return TableFile(name, "s", 1, rows, {}, 0.0, oldest, newest)


def fill(loop: Loop, drops: int, each: int = 2) -> None:
    """Make a training table of one file for each drop of decisions."""
    clock: Any = loop.clock
    for drop in range(drops):
        made = [
            Decision(f"d{drop}-{at}", "s", 1, f"u{at}", clock() + at, (), (), "a", 0.5, "randomise", "a")
            for at in range(each)
        ]
        seen = [Observation(d.decision_id, "s", d.time + 1.0, "sum", float(drop), "k") for d in made]
        send(loop.journal, f"part{drop}", list(enumerate([*made, *seen], 1)))
        clock.advance(TTL + each)
        offline.join_rows(loop, "s")


@pytest.fixture
def loop(tmp_path: Path) -> Any:
    """Return an installation whose strategy waits for no window."""
    metrics = [metric for metric in BLUEPRINT["metrics"] if "window" not in metric]
    found = open_here(tmp_path, [], metrics=metrics)
    yield found
    found.close()


def test_many_small_files_become_one_with_the_same_rows(loop: Loop) -> None:
    """Rows, their order and all counts stay; the version before can still be read; then there is nothing to do."""
    fill(loop, 10)
    files, before, counted = loop.manifest.files("s"), table_of(loop), read_counts(loop.database, "s")
    version = loop.manifest.version("s")
    assert compact(loop, "s") == 10
    (merged,) = loop.manifest.files("s")
    assert (merged.rows, merged.oldest, merged.newest) == (20, files[0].oldest, files[-1].newest)
    assert merged.observed == {"last": 0, "sum": 20, "max": 0}
    assert table_of(loop).equals(before)
    assert pq.read_table(loop.table_directory / merged.name)["time"].to_pylist() == sorted(before["time"])
    assert [file.name for file in loop.manifest.files("s", version)] == [file.name for file in files]
    assert table_of(loop, version).equals(before)
    assert read_counts(loop.database, "s") == counted | {"table": version + 1}
    assert compact(loop, "s") == 0
    assert loop.manifest.version("s") == version + 1


def test_a_merged_file_is_joined_late_as_any_other(loop: Loop, monkeypatch: pytest.MonkeyPatch) -> None:
    """An observation that came late finds its row in any row group of a merged file, and the file keeps its groups."""
    monkeypatch.setattr(parquet, "GROUP_ROWS", 6)
    fill(loop, 9)
    compact(loop, "s")
    (merged,) = loop.manifest.files("s")
    assert pq.ParquetFile(loop.table_directory / merged.name).num_row_groups == 3
    late = [Observation(f"d{drop}-1", "s", START, name, 5.0, "l") for drop in (0, 5, 8) for name in OF_DECISIONS[:3]]
    send(loop.journal, "late", list(enumerate(late, 1)))
    assert join_late(loop, "s").joined == 9
    found = table_of(loop).set_index("decision_id")
    assert found.loc[["d0-1", "d5-1", "d8-1", "d8-0"], "y.sum"].tolist() == [5.0, 10.0, 13.0, 8.0]
    (joined,) = loop.manifest.files("s")
    assert pq.ParquetFile(loop.table_directory / joined.name).num_row_groups == 3
    assert loop.find("d8-1").unit == "u1"


def test_what_is_not_worth_it_stays(loop: Loop) -> None:
    """Few files stay as they are, and a strategy that is not there is said."""
    fill(loop, FEWEST - 1)
    assert compact(loop, "s") == 0
    assert len(loop.manifest.files("s")) == FEWEST - 1
    with pytest.raises(UnknownNameError, match="'other'"):
        compact(loop, "other")


def test_files_of_other_columns_stay_apart(loop: Loop) -> None:
    """Blueprint versions are never in one file."""
    fill(loop, FEWEST - 1)
    loop.register(BLUEPRINT | {"metrics": [{"name": "last"}]})
    made = Decision("other", "s", 2, "u", loop.clock(), (), (), "a", 0.5, "randomise", "a")
    send(loop.journal, "other", [(1, made)])
    loop.clock.advance(TTL)  # type: ignore[attr-defined]
    offline.join_rows(loop, "s")
    assert compact(loop, "s") == 0
    assert len(loop.manifest.files("s")) == FEWEST


def test_rows_that_wait_for_a_window_do_not_wait_for_each_other(tmp_path: Path) -> None:
    """A file with an open window spans little of it; once the window is filled in, files become one."""
    loop = open_here(tmp_path, [], metrics=[{"name": "sum"}, {"name": "wait", "window": 1_000.0}])
    fill(loop, 40)
    waiting = loop.manifest.files("s")
    compact(loop, "s")
    files = loop.manifest.files("s")
    assert len(files) < len(waiting)
    assert max((file.newest or 0.0) - (file.oldest or 0.0) for file in files) <= 100.0
    loop.clock.advance(1_000.0)  # type: ignore[attr-defined]
    join_late(loop, "s")
    assert all("wait" in file.observed for file in loop.manifest.files("s"))
    loop.close()


def test_another_worker_may_be_first(loop: Loop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a file was replaced meanwhile, nothing is changed, and this is said."""
    fill(loop, FEWEST)
    files, before = loop.manifest.files("s"), table_of(loop)
    found: Any = compaction._merge

    def late(workspace: Loop, run: list[TableFile]) -> TableFile:
        merged: TableFile = found(workspace, run)
        again = msgspec.structs.replace(files[3], name="again")
        (loop.table_directory / "again").write_bytes((loop.table_directory / files[3].name).read_bytes())
        loop.manifest.replace("s", [files[3].name], [again])
        return merged

    monkeypatch.setattr(compaction, "_merge", late)
    with pytest.raises(StoreError, match="another worker replaced"):
        compact(loop, "s")
    assert len(loop.manifest.files("s")) == FEWEST
    assert table_of(loop).equals(before)
    monkeypatch.undo()
    assert compact(loop, "s") == FEWEST


def test_a_killed_merge_changes_nothing(loop: Loop, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is written and not listed is not part of the table; the next merge is the same file."""
    fill(loop, FEWEST)
    before = table_of(loop)

    def die(*_: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(Manifest, "replace", die)
    with pytest.raises(KeyboardInterrupt):
        compact(loop, "s")
    written = {path.name for path in loop.table_directory.iterdir()}
    assert table_of(loop).equals(before)
    monkeypatch.undo()
    assert compact(loop, "s") == FEWEST
    assert {path.name for path in loop.table_directory.iterdir()} == written


sizes = st.one_of(st.integers(1, 40), st.integers(1, 3), st.integers(1, 60_000), st.just(MOST_ROWS))


@settings(max_examples=60)
@given(st.lists(st.tuples(sizes, st.integers(1, 40)), min_size=1, max_size=12))
def test_however_rows_come_they_are_rewritten_a_few_times(drops: list[tuple[int, int]]) -> None:
    """After each file a merge: order and rows stay, no file is too large, and a row moves log2(n) times at most."""
    group: list[TableFile] = []
    written = total = 0

    def merge(run: list[TableFile]) -> TableFile:
        nonlocal written
        rows = sum(file.rows for file in run)
        written += rows
        return one_file("+".join(file.name for file in run), rows, run[0].oldest or 0.0, run[-1].newest or 0.0)

    place = 0
    for rows, times in drops:
        for _ in range(times):
            group = merge_runs([*group, one_file(str(place), rows, place, place + 1)], math.inf, merge)
            place, total = place + 1, total + rows
    assert "+".join(file.name for file in group) == "+".join(map(str, range(place)))
    assert sum(file.rows for file in group) == total
    assert all(file.rows <= MOST_ROWS for file in group)
    assert written <= total * math.ceil(math.log2(MOST_ROWS))
    assert merge_runs(group, math.inf, merge) == group


def test_a_steady_drip_leaves_few_files() -> None:
    """Ten thousand files of ten rows, merged as they come, are some dozen in the end."""
    group: list[TableFile] = []

    def merge(run: list[TableFile]) -> TableFile:
        return one_file("m", sum(file.rows for file in run), run[0].oldest or 0.0, run[-1].newest or 0.0)

    for place in range(10_000):
        group = merge_runs([*group, one_file("f", 10, place, place + 1)], math.inf, merge)
        assert len(group) < 60
