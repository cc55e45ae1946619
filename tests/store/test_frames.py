"""The training table as pandas: what was logged and joined, of any version of it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import abloop
from abloop import offline
from abloop.errors import MissingExtraError, StoreError, UnknownNameError
from abloop.loop import Loop
from abloop.testing import ManualClock

ARMS = [{"name": "a"}, {"name": "b"}]
FEATURES = [
    {"name": "age"},
    {"name": "country", "type": "categorical"},
    {"name": "tags", "type": "sparse"},
    {"name": "vector", "type": "embedding", "size": 2},
]
BLUEPRINT: dict[str, Any] = {
    "strategy": "s",
    "arms": ARMS,
    "metrics": [{"name": "m"}, {"name": "kept", "default": None}, {"name": "wait", "window": 100.0}],
    "features": FEATURES,
    "lifecycle": {"ttl": 10.0},
}
CONTEXTS: list[dict[str, Any]] = [
    {"user_id": "u1", "age": 31, "country": "FI", "tags": {"x": 2.0}, "vector": [1.0, 2.0]},
    {"user_id": "u2"},
]


def log(loop: Loop, prefix: str = "d") -> None:
    """Decide for each context, observe the first, and join."""
    clock: Any = loop.clock
    strategy = loop.strategy("s")
    for place, context in enumerate(CONTEXTS):
        strategy.get_decision(f"{prefix}{place}", context)
        clock.advance(1.0)
    strategy.log_observations(f"{prefix}0", {"m": 2.5, "kept": 1})
    clock.advance(10.0)
    offline.ship_spool(loop)
    offline.join_rows(loop, "s")


@pytest.fixture
def loop(tmp_path: Path) -> Any:
    """Return an installation with a strategy."""
    found = Loop(f"sqlite:///{tmp_path}/a.db", tmp_path, ManualClock(1_000.0), refresh_seconds=3_600.0)
    found.register(BLUEPRINT)
    yield found
    found.close()


def test_a_row_for_each_decision(loop: Loop) -> None:
    """Decision, features, metrics and their observations, in plain columns; what is missing is missing."""
    log(loop)
    frame = abloop.read_table(loop, "s")
    names = ["decision_id", "version", "unit", "time", "arm", "propensity", "phase", "release"]
    names += ["x.age", "x.country", "x.tags", "x.vector"]
    names += [f"{part}.{metric}" for metric in ("m", "kept", "wait") for part in ("y", "n", "at")]
    assert list(frame.columns) == [*names, "effect.a", "effect.b"]
    first, second = frame.to_dict("records")
    assert (first["decision_id"], first["unit"], first["time"], first["phase"]) == ("d0", "u1", 1_000.0, "randomise")
    assert (first["x.age"], first["x.country"], first["x.tags"]) == (31.0, "FI", {"x": 2.0})
    assert list(first["x.vector"]) == [1.0, 2.0]
    assert (first["y.m"], first["n.m"], first["at.m"], first["y.kept"]) == (2.5, 1, 1_002.0, 1.0)
    assert (second["y.m"], second["n.m"], second["n.kept"]) == (0.0, 0, 0)
    missing = ["x.age", "x.country", "x.tags", "x.vector", "y.kept", "at.m", "y.wait", "n.wait", "effect.a"]
    assert frame.loc[1, missing].isna().all()
    frame.loc[0, "y.m"] = 7.0  # a frame of one's own
    assert abloop.read_table(loop, "s")["y.m"].tolist() == [2.5, 0.0]


def test_a_table_without_rows_has_its_columns(loop: Loop) -> None:
    """Before the first row the columns and their types are those of the blueprint."""
    empty = abloop.read_table(loop, "s")
    assert empty.shape == (0, 23)
    assert abloop.read_table(loop, "s", table_version=0).shape == (0, 23)
    log(loop)
    full = abloop.read_table(loop, "s")
    waits = ["n.wait"]  # missing in all rows, and pandas has no whole number that is missing
    pd.testing.assert_series_equal(empty.dtypes.drop(waits), full.dtypes.drop(waits))


def test_any_version_that_is_kept(loop: Loop) -> None:
    """Each version of the table is what it was; one that never was is said."""
    log(loop)
    version = loop.manifest.version("s")
    log(loop, "e")
    assert abloop.read_table(loop, "s")["decision_id"].tolist() == ["d0", "d1", "e0", "e1"]
    assert abloop.read_table(loop, "s", table_version=version)["decision_id"].tolist() == ["d0", "d1"]
    with pytest.raises(UnknownNameError, match="has versions 0 to 2, got 7"):
        abloop.read_table(loop, "s", table_version=7)


def test_some_columns(loop: Loop) -> None:
    """Columns come in the order asked for, those that abloop keeps for itself too; another name is refused."""
    log(loop)
    frame = abloop.read_table(loop, "s", columns=["y.m", "unit", "keys", "y.m"])
    assert list(frame.columns) == ["y.m", "unit", "keys"]
    assert [len(keys) for keys in frame["keys"]] == [16, 0]
    assert abloop.read_table(loop, "s", columns=[]).shape == (2, 0)
    with pytest.raises(
        UnknownNameError, match=r"unknown column of its training table 'x\.agee'. Did you mean 'x\.age'"
    ):
        abloop.read_table(loop, "s", columns=["x.agee"])
    with pytest.raises(UnknownNameError, match="unknown strategy 't'"):
        abloop.read_table(loop, "t")


def test_versions_of_the_blueprint_side_by_side(loop: Loop) -> None:
    """A feature that a version lacks is missing there; one whose type changed is as it was logged."""
    log(loop)
    other = [{"name": "age", "type": "categorical"}, {"name": "country", "type": "categorical"}, {"name": "new"}]
    loop.register(BLUEPRINT | {"features": other})
    CONTEXTS[0]["age"], CONTEXTS[0]["new"] = "old", 5
    log(loop, "e")
    CONTEXTS[0]["age"] = 31
    frame = abloop.read_table(loop, "s")
    assert frame["version"].tolist() == [1, 1, 2, 2]
    assert frame["x.age"].tolist() == [31.0, None, "old", None]
    assert frame["x.new"].isna().tolist() == [True, True, False, True]
    assert frame["x.tags"].tolist()[0] == {"x": 2.0}
    assert frame["x.tags"].isna().tolist() == [False, True, True, True]
    assert abloop.read_table(loop, "s", columns=["x.new"])["x.new"].isna().sum() == 3
    assert abloop.read_table(loop, "s", columns=["x.age"]).shape == (4, 1)


def test_what_cannot_be_read_is_said(loop: Loop, monkeypatch: pytest.MonkeyPatch) -> None:
    """A damaged file, a missing one, and pandas that is not installed, each with what to do."""
    log(loop)
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "pandas", None)
        with pytest.raises(MissingExtraError, match=r"pip install 'abloop\[learn\]'"):
            abloop.read_table(loop, "s")
    (file,) = loop.manifest.files("s")
    path = loop.table_directory / file.name
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(StoreError, match=r"is damaged.*Restore it from a backup"):
        abloop.read_table(loop, "s")
    path.unlink()
    with pytest.raises(StoreError, match=r"it is missing\. Restore it from a backup"):
        abloop.read_table(loop, "s")
