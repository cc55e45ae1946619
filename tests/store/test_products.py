"""Products of measures: what SQL reduces is what pandas does, wherever the rows are."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from abloop.blueprint.reading import Measure
from abloop.errors import DataError, StoreError
from abloop.stats.moments import Products
from abloop.store.measures import Columns
from abloop.store.products import merged, read_products
from abloop.store.warehouse import open_database, open_files, open_frame

MEASURES = (
    Measure(name="mean", of="spend"),
    Measure(name="capped", of="spend", cap=8.0),
    Measure(name="winsorised", of="spend", cap_level=0.9),
    Measure(name="order value", of="spend", per="bought"),
    Measure(name="total", of="spend", kind="total"),
    Measure(name="capped total", of="spend", kind="total", cap=20.0),
    Measure(name="winsorised total", of="spend", kind="total", cap_level=0.75),
    Measure(name="conversion", of="bought", kind="share"),
    Measure(name="retention", of="bought", kind="share", after=50.0),
    Measure(name="next step", of="bought", kind="share", given="viewed"),
    Measure(name="finns", of="spend", where={"country": ("FI", "it's")}),
    Measure(name="finns' total", of="spend", kind="total", where={"country": ("FI",)}),
)
PORTABLE = [measure for measure in MEASURES if measure.cap_level is None]


def rows(seed: int, n: int = 400) -> pd.DataFrame:
    """Return decisions of units, several each, some values missing; spend is large beside its spread."""
    rng = np.random.default_rng(seed)
    unit = rng.integers(0, n // 3, n)
    frame = pd.DataFrame({"unit": [f"u{number}" for number in unit], "arm": np.where(unit % 3, "a", "b")})
    frame["at"] = 1.7e9 + rng.uniform(0, 4 * 86_400, n)
    frame["spend"] = np.where(rng.random(n) < 0.1, np.nan, 5.0 + rng.gamma(2.0, 2.0, n))
    frame["bought"] = rng.integers(0, 2, n).astype(float)
    frame["viewed"] = np.maximum(frame["bought"], rng.integers(0, 2, n))
    frame["seen_at"] = frame["at"] + rng.uniform(0, 100, n)
    frame["x"] = np.where(rng.random(n) < 0.05, np.nan, rng.normal(100.0, 1.0, n))
    frame["country"] = rng.choice(["FI", "SE", "it's"], n)
    return frame


def columns(relation: str, *, unit: str = "unit") -> Columns:
    """Return where the frame has what."""
    names = ("spend", "bought", "viewed")
    return Columns(
        relation=relation,
        arm="arm",
        unit=unit,
        values={name: name for name in names},
        features={"x": "x", "country": "country"},
        time='"at"',
        times=dict.fromkeys(names, "seen_at"),
    )


def expected(frame: pd.DataFrame, measure: Measure, *, by_unit: bool = True) -> dict[str, Products]:
    """Return the products by pandas."""
    frame = frame.copy()
    value = frame[measure.metric].copy()
    if measure.kind == "share":
        value = ((value > 0) & (frame["seen_at"] >= frame["at"] + measure.after)).astype(float)
    if measure.where:
        value = value.where(frame["country"].isin(measure.where["country"]))
    grouped = "unit" if by_unit else frame.index
    cap = measure.cap
    if measure.cap_level is not None:
        whole = value.groupby(frame[grouped]).sum(min_count=1) if measure.kind == "total" and by_unit else value
        cap = float(whole.quantile(measure.cap_level))
    if cap is not None and (measure.kind == "mean" or not by_unit):
        value = value.clip(upper=cap)
    frame["v"] = value
    frame["g"] = (frame[measure.given] > 0).astype(float) if measure.given else 1.0
    frame["p"] = frame[measure.per].where(value.notna()) if measure.per else value.notna().astype(float)
    groups = frame.groupby(["unit", "arm"] if by_unit else [frame.index, "arm"])
    units = pd.DataFrame({"s": groups["v"].sum(min_count=1), "m": groups["p"].sum(), "c0": groups["x"].mean()})
    if measure.kind == "share":
        units["m"] = groups["g"].max()
        units["s"] = groups["v"].max() * units["m"]
    if measure.kind == "total":
        units["m"] = 1.0
        units["s"] = units["s"].clip(upper=cap) if cap is not None else units["s"]
    units = units[(units["m"] > 0) & units["s"].notna()].reset_index("arm")
    units["c0"] = units["c0"].fillna(100.0)
    one = (
        bool((units["m"] == 1).all())
        and (measure.kind != "mean" or (not by_unit and not measure.per))
        and not measure.given
    )
    names = ["s", "c0"] if one else ["s", "m", "c0"]
    found = {}
    for arm, part in units.groupby("arm"):
        means = part[names].mean()
        around = (part[names] - means).to_numpy()
        found[str(arm)] = Products(tuple(names), len(part), tuple(means), tuple(map(tuple, around.T @ around)))
    return found


def assert_same(found: dict[str, Products], wanted: dict[str, Products], *, rough: float = 1e-9) -> None:
    """Every number is that of pandas."""
    assert found.keys() == wanted.keys()
    for arm, ours in found.items():
        theirs = wanted[arm]
        assert (ours.columns, ours.units) == (theirs.columns, theirs.units)
        np.testing.assert_allclose(ours.means, theirs.means, rtol=1e-11)
        scale = np.abs(np.asarray(theirs.products)).max()
        np.testing.assert_allclose(ours.products, theirs.products, rtol=rough, atol=rough * scale)


def complete_x(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a frame whose covariate is never missing: what takes its place is near its mean, not at it."""
    return frame.assign(x=frame["x"].fillna(100.0))


@pytest.mark.parametrize("measure", MEASURES, ids=lambda measure: measure.name)
@pytest.mark.parametrize("seed", range(3))
def test_each_measure_is_that_of_pandas(measure: Measure, seed: int) -> None:
    """Mean, ratio, total, share, retention, funnel, caps and filters over units, with a covariate."""
    frame = complete_x(rows(seed))
    with open_frame(frame) as (warehouse, relation):
        found = read_products(warehouse, columns(relation), [measure], ["x"])
    assert_same(merged(found[measure.name]), expected(frame, measure))


@pytest.mark.parametrize("measure", MEASURES, ids=lambda measure: measure.name)
def test_rows_that_are_units(measure: Measure) -> None:
    """The same where each row is a unit."""
    frame = complete_x(rows(7)).drop_duplicates("unit").reset_index(drop=True)
    with open_frame(frame) as (warehouse, relation):
        found = read_products(warehouse, columns(relation, unit=""), [measure], ["x"])
    assert_same(merged(found[measure.name]), expected(frame, measure, by_unit=False))


def places(frame: pd.DataFrame, directory: Path) -> dict[str, Any]:
    """Return the same rows in every kind of place."""
    frame.to_parquet(directory / "a.parquet")
    frame[:150].to_parquet(directory / "b1.parquet")
    frame[150:].to_parquet(directory / "b2.parquet")
    with sqlite3.connect(directory / "x.sqlite") as connection:
        frame.to_sql("exposures", connection, index=False)
    connection.close()
    url = f"sqlite:///{directory}/x.sqlite"
    return {
        "pandas": open_frame(frame),
        "polars": open_frame(pl.from_pandas(frame)),
        "arrow": open_frame(pa.Table.from_pandas(frame)),
        "parquet": open_files([directory / "a.parquet"]),
        "two files": open_files([directory / "b1.parquet", directory / "b2.parquet"]),
        "table": open_database(url, "exposures"),
        "query": open_database(url, "SELECT * FROM exposures WHERE unit LIKE 'u%';"),
    }


def test_wherever_the_rows_are(tmp_path: Path) -> None:
    """Frames, files and databases give the same, all measures at once, by group and merged."""
    frame = rows(1)
    first: dict[str, Any] = {}
    for name, place in places(frame, tmp_path).items():
        with place as (warehouse, relation):
            found = read_products(warehouse, columns(relation), PORTABLE, ["x"], {"country": "country"})
            assert "spend" in warehouse.columns(relation), name
        for measure in PORTABLE:
            assert set(found[measure.name]) == {("FI",), ("SE",), ("it's",)}
            both = merged(found[measure.name])
            assert_same(both, first.setdefault(measure.name, both))


def test_groups_add_up() -> None:
    """Units fall into the group of their least value, and all groups together are all units."""
    frame = complete_x(rows(2))
    with open_frame(frame) as (warehouse, relation):
        by = {"day": 'FLOOR("at" / 86400)', "country": "country"}
        found = read_products(warehouse, columns(relation), MEASURES, ["x"], by)
    for measure in MEASURES:
        assert_same(merged(found[measure.name]), expected(frame, measure))
    days = np.floor(frame.groupby("unit")["at"].min() / 86_400)
    assert {float(group[0]) for group in found["total"]} == set(days)


@pytest.mark.parametrize("value", [np.inf, -np.inf])
def test_what_is_not_finite_is_named(value: float) -> None:
    """An infinite value is refused with measure, arm and count, and is no silent NaN."""
    frame = rows(3)
    frame.loc[5, "spend"] = value
    with (
        open_frame(frame) as (warehouse, relation),
        pytest.raises(DataError, match=r"'mean' has NaN or infinite .* arm '"),
    ):
        read_products(warehouse, columns(relation), [MEASURES[0]])


def test_what_cannot_be_read(tmp_path: Path) -> None:
    """A missing column, file, table or driver, and what is no frame, are refused by name."""
    with open_frame(rows(0)) as (warehouse, _), pytest.raises(StoreError, match="nowhere"):
        read_products(warehouse, columns("nowhere"), MEASURES[:1])
    with pytest.raises(DataError, match=r"x\.parquet is not there"), open_files([tmp_path / "x.parquet"]):
        pass
    with pytest.raises(DataError, match="data is a dict"), open_frame({}):
        pass
    with pytest.raises(DataError, match="no table"), open_database("sqlite://", ""):
        pass
    with pytest.raises(StoreError, match="'nonsense'"), open_database("nonsense", "t"):
        pass
    with open_database(f"sqlite:///{tmp_path}/x.db", "t") as (remote, relation):
        with pytest.raises(StoreError, match="no such table"):
            remote.columns(relation)
        with pytest.raises(DataError, match="cap_level"):
            read_products(remote, columns("(SELECT 1 AS arm)"), [MEASURES[2]])
