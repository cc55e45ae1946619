"""History: a finished experiment is checked whole, then written whole."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from abloop import offline
from abloop.errors import DataError, StoreError, UnknownNameError
from abloop.loop import Loop
from abloop.readout import readout
from tests.loops import open_loop, two_arms


def trial(rows: int = 400) -> pd.DataFrame:
    """Return a clean trial."""
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "id": [f"c{index}" for index in range(rows)],
            "group": np.where(np.arange(rows) % 2 == 0, "blue", "green"),
            "age": rng.normal(40, 10, rows),
            "sale": rng.integers(0, 2, rows),
            "p": 0.5,
            "at": 1_600_000_000.0 + np.arange(rows),
        }
    )


def bring_in(loop: Loop, frame: pd.DataFrame, **changes: Any) -> int:
    """Import with the usual arguments, some of them changed."""
    arguments = {"unit": "id", "arm": "group", "outcomes": {"bought": "sale"}, "features": {"x": "age"}, **changes}
    return offline.import_trial(loop, "checkout", frame, **arguments)


@pytest.fixture
def loop(tmp_path: Path) -> Loop:
    """Return an installation with the strategy registered."""
    opened = open_loop(tmp_path)
    opened.register(two_arms())
    return opened


def test_history_becomes_rows(loop: Loop) -> None:
    """Every unit becomes one row with its arm, features, propensity and outcome."""
    frame = trial()
    frame.loc[3, "age"] = np.nan
    assert bring_in(loop, frame) == 400
    offline.ship_spool(loop)
    assert offline.join_rows(loop, "checkout") == 400
    table = offline.load_table(loop, "checkout")
    order = np.argsort(frame["id"].to_numpy())
    assert np.array_equal(table.sample.features[:, 0], frame["age"].to_numpy()[order], equal_nan=True)
    assert table.sample.outcome.tolist() == frame["sale"].to_numpy()[order].tolist()
    assert table.sample.arm.tolist() == (frame["group"] == "green").astype(int).to_numpy()[order].tolist()
    assert set(table.propensity) == {0.5}
    means = {arm.arm: arm.mean.mean for arm in readout(loop, "checkout").metrics[0].arms}
    assert means == pytest.approx(frame.groupby("group")["sale"].mean().to_dict())


def test_importing_twice_counts_once(loop: Loop) -> None:
    """An import that is repeated, as after a crash, adds nothing, before or after the first was joined."""
    bring_in(loop, trial())
    bring_in(loop, trial())
    offline.ship_spool(loop)
    assert offline.join_rows(loop, "checkout") == 400
    bring_in(loop, trial())
    offline.ship_spool(loop)
    assert offline.join_rows(loop, "checkout") == 0


def test_own_propensities_and_times_are_kept(loop: Loop) -> None:
    """A propensity column and a time column are taken row by row."""
    frame = trial()
    frame["p"] = np.where(frame["group"] == "green", 0.5, 0.5)
    bring_in(loop, frame, propensity="p", time="at")
    offline.ship_spool(loop)
    offline.join_rows(loop, "checkout")
    assert offline.load_table(loop, "checkout").sample.outcome.tolist() == frame["sale"].tolist()


def change(column: str, row: int, value: Any) -> Callable[[pd.DataFrame], pd.DataFrame]:
    """Return a function that spoils one cell."""

    def spoil(frame: pd.DataFrame) -> pd.DataFrame:
        frame[column] = frame[column].astype(object)
        frame.loc[row, column] = value
        return frame

    return spoil


BAD: dict[str, tuple[Callable[[pd.DataFrame], pd.DataFrame], dict[str, Any], list[str]]] = {
    "missing-column": (lambda f: f.drop(columns="sale"), {}, ["unknown column 'sale'", "'age'"]),
    "near-column": (lambda f: f.rename(columns={"group": "groups"}), {}, ["Did you mean 'groups'"]),
    "nan-arm": (change("group", 7, np.nan), {}, ["'group'", "1 of 400", "row 7", "'blue', 'green'"]),
    "unknown-arm": (change("group", 7, "gren"), {}, ["unknown arm 'gren'", "Did you mean 'green'"]),
    "one-arm": (lambda f: f.assign(group="blue"), {}, ["arm 'green' has no rows"]),
    "zero-propensity": (change("p", 5, 0.0), {"propensity": "p"}, ["0.0", "row 5", "(0, 1]"]),
    "big-propensity": (change("p", 5, 1.5), {"propensity": "p"}, ["1.5", "row 5"]),
    "text-propensity": (change("p", 5, "half"), {"propensity": "p"}, ["nan", "row 5"]),
    "no-propensity-for-arm": (lambda f: f, {"propensity": {"blue": 0.5}}, ["nan", "'green'"]),
    "propensity-of-unknown-arm": (lambda f: f, {"propensity": {"bleu": 0.5}}, ["Did you mean 'blue'"]),
    "shares": (lambda f: f, {"propensity": {"blue": 0.9, "green": 0.1}}, ["blue 200", "expected 360", "propensity="]),
    "duplicate-unit": (change("id", 1, "c0"), {}, ["'c0'", "2 rows", "one row a unit"]),
    "nan-unit": (change("id", 1, None), {}, ["'id'", "1 rows"]),
    "nan-outcome": (change("sale", 9, np.nan), {}, ["'sale'", "row 9", "default: null"]),
    "text-outcome": (change("sale", 9, "yes"), {}, ["'yes'", "row 9"]),
    "infinite-outcome": (change("sale", 9, np.inf), {}, ["inf", "row 9"]),
    "bad-time": (change("at", 9, "noon"), {"time": "at"}, ["'noon'", "seconds since 1970"]),
    "no-rows": (lambda f: f.iloc[:0], {}, ["no rows"]),
    "unknown-metric": (lambda f: f, {"outcomes": {"bougth": "sale"}}, ["Did you mean 'bought'"]),
    "unknown-feature": (lambda f: f, {"features": ["age"]}, ["unknown feature 'age'", "blueprint"]),
}


@pytest.mark.parametrize(("spoil", "changes", "words"), BAD.values(), ids=BAD)
def test_bad_trials_are_refused_whole(
    loop: Loop, spoil: Callable[[pd.DataFrame], pd.DataFrame], changes: dict[str, Any], words: list[str]
) -> None:
    """A trial that cannot be right is refused with path, value and fix, and nothing is written."""
    with pytest.raises(DataError) as refused:
        bring_in(loop, spoil(trial()), **changes)
    assert [word for word in words if word not in str(refused.value)] == []
    assert offline.ship_spool(loop).records == 0


def test_missing_outcomes_are_kept_missing_where_allowed(tmp_path: Path) -> None:
    """A metric with default null takes missing outcomes, and they stay missing."""
    loop = open_loop(tmp_path)
    loop.register(two_arms(metrics=[{"name": "bought", "default": None}]))
    frame = trial()
    frame["sale"] = frame["sale"].astype(float)
    frame.loc[:99, "sale"] = np.nan
    bring_in(loop, frame)
    offline.ship_spool(loop)
    offline.join_rows(loop, "checkout")
    table = offline.load_table(loop, "checkout")
    assert (len(table.sample.arm), table.dropped) == (300, 100)


def test_unknown_strategy(loop: Loop) -> None:
    """Importing into a strategy that is not registered says so."""
    with pytest.raises(UnknownNameError, match="'shop'"):
        offline.import_trial(loop, "shop", trial(), arm="group", outcomes=["sale"])


def test_a_full_disk_says_how_far_it_came(loop: Loop, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the spool takes no more, the import stops and says that it can be repeated."""

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.posix_fallocate", full)
    with pytest.raises(StoreError, match=r"No space left.*import again"):
        bring_in(loop, trial())
