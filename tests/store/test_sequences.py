"""Sequences: what pandas says a unit went through, whatever the files."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from abloop import offline
from abloop.errors import DataError, StoreError, UnknownNameError
from abloop.loop import Loop
from abloop.records import Decision, Observation
from abloop.store.sequences import read_sequences
from abloop.testing import ManualClock
from tests.store.shipping import send

START, TTL = 1_000_000.0, 10.0
BLUEPRINT: dict[str, Any] = {
    "strategy": "s",
    "arms": [{"name": "a"}, {"name": "b"}],
    "metrics": [{"name": 'm"x. '}, {"name": "wait", "window": 1e6}],
    "features": [{"name": 'x."f'}, {"name": "c", "type": "categorical"}, {"name": "t", "type": "sparse"}],
    "lifecycle": {"ttl": TTL},
}
METRIC = 'm"x. '
COLUMNS = ["unit", "sequence", "step", "decision_id", "time", 'x.x."f', "x.c", "x.t", "action", "propensity", "phase"]
COLUMNS += ["reward", "next_decision_id", 'next_x.x."f', "next_x.c", "next_x.t", "done"]


def open_here(directory: str | Path) -> Loop:
    """Return an installation with the strategy."""
    loop = Loop(f"sqlite:///{directory}/a.db", directory, ManualClock(START), refresh_seconds=3_600.0)
    loop.register(BLUEPRINT)
    return loop


def join(loop: Loop, name: str, made: list[Decision]) -> None:
    """Make a file of decisions, each with a reward of its time."""
    seen = [Observation(each.decision_id, "s", each.time, METRIC, each.time - START, "k") for each in made]
    send(loop.journal, name, list(enumerate([*made, *seen], 1)))
    loop.clock.advance(1_000.0)  # type: ignore[attr-defined]
    offline.join_rows(loop, "s")


def decided(number: int, unit: int, time: float, value: float | None) -> Decision:
    """Return a decision of a unit."""
    features = (value, None if value is None else f"c{value}", None if value is None else {"k": value})
    return Decision(f"d{number}", "s", 1, f"u{unit}", START + time, features, (), "ab"[number % 2], 0.5, "explore", "a")


def expected(made: list[Decision], gap: float | None) -> pd.DataFrame:
    """Return the sequences by pandas."""
    frame = pd.DataFrame(
        [(d.unit, d.decision_id, d.time, *d.features, d.arm, d.propensity, d.phase, d.time - START) for d in made],
        columns=["unit", "decision_id", "time", 'x.x."f', "x.c", "x.t", "action", "propensity", "phase", "reward"],
    )
    frame = frame.sort_values(["unit", "time", "decision_id"], ignore_index=True)
    pauses = frame.groupby("unit")["time"].diff() > (gap or float("inf"))
    frame["sequence"] = pauses.groupby(frame["unit"]).cumsum()
    within = frame.groupby(["unit", "sequence"])
    frame["step"] = within.cumcount()
    for name in ("decision_id", 'x.x."f', "x.c", "x.t"):
        frame[f"next_{name}"] = within[name].shift(-1)
    frame["done"] = within.cumcount(ascending=False) == 0
    return frame[COLUMNS]


decisions = st.tuples(st.integers(0, 2), st.integers(0, 50).map(float), st.none() | st.integers(0, 9).map(float))


@settings(max_examples=40)
@given(
    st.lists(decisions, min_size=1, max_size=12),
    st.lists(decisions, max_size=6),
    st.none() | st.integers(1, 20).map(float),
)
def test_sequences_are_those_of_pandas(
    first: list[tuple[int, float, float | None]], second: list[tuple[int, float, float | None]], gap: float | None
) -> None:
    """Order, pauses, steps, next states and ends, of units whose decisions are spread over files."""
    made = [decided(number, *given) for number, given in enumerate([*first, *second])]
    with tempfile.TemporaryDirectory() as directory:
        loop = open_here(directory)
        join(loop, "first", made[: len(first)])
        if second:
            join(loop, "second", made[len(first) :])
        found = read_sequences(loop, "s", METRIC, gap=gap)
        loop.close()
    wanted = expected(made, gap)
    assert list(found.columns) == COLUMNS
    for name in COLUMNS:
        assert found[name].isna().tolist() == wanted[name].isna().tolist()
        assert found[name].dropna().tolist() == wanted[name].dropna().tolist()


def test_a_table_without_rows_and_one_as_it_was(tmp_path: Path) -> None:
    """Without rows there are the columns; a version of the table has its own sequences; what waits has no reward."""
    loop = open_here(tmp_path)
    empty = read_sequences(loop, "s", METRIC)
    assert (list(empty.columns), len(empty)) == (COLUMNS, 0)
    join(loop, "first", [decided(0, 0, 0.0, 1.0)])
    join(loop, "second", [decided(1, 0, 5.0, 2.0)])
    assert read_sequences(loop, "s", METRIC)["next_x.c"].tolist()[0] == "c2.0"
    before = read_sequences(loop, "s", "wait", table_version=1)
    assert (before["done"].tolist(), before["reward"].isna().tolist()) == ([True], [True])
    loop.close()


def test_versions_that_logged_another_state_are_left_out(tmp_path: Path) -> None:
    """Rows of a version without a feature that is a state now are in no sequence; those of a wider one are."""
    loop = open_here(tmp_path)
    join(loop, "first", [decided(0, 0, 0.0, 1.0)])
    loop.register(BLUEPRINT | {"features": [BLUEPRINT["features"][1]]})
    assert list(read_sequences(loop, "s", METRIC)["x.c"]) == ["c1.0"]
    loop.register(BLUEPRINT | {"features": [*BLUEPRINT["features"], {"name": "new"}]})
    assert len(read_sequences(loop, "s", METRIC)) == 0
    loop.close()


def test_what_cannot_be_read_is_said(tmp_path: Path) -> None:
    """No such strategy or metric, a gap of nothing, and a damaged file."""
    loop = open_here(tmp_path)
    with pytest.raises(UnknownNameError, match="unknown strategy 't'"):
        read_sequences(loop, "t", METRIC)
    with pytest.raises(UnknownNameError, match=r"unknown metric 'wai'\. Did you mean 'wait'"):
        read_sequences(loop, "s", "wai")
    for gap in (0.0, -1.0, float("nan")):
        with pytest.raises(DataError, match="allowed: seconds above 0, or None"):
            read_sequences(loop, "s", METRIC, gap=gap)
    join(loop, "first", [decided(0, 0, 0.0, 1.0)])
    (file,) = loop.manifest.files("s")
    (loop.table_directory / file.name).write_bytes(b"PAR1")
    with pytest.raises(StoreError, match="Restore the file from a backup"):
        read_sequences(loop, "s", METRIC)
    loop.close()
