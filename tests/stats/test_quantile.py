"""Quantiles: order statistics, clusters, a DuckDB pass, GrowthBook's recorded cases, coverage."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from abloop.errors import DataError
from abloop.stats.moments import Moments
from abloop.stats.quantile import (
    HALVINGS,
    WIDTH,
    QuantileSummary,
    quantile,
    quantile_difference,
    rank,
    rungs,
    summarise,
    summarise_rows,
)

levels = st.floats(0.01, 0.99)


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=200), levels)
def test_value_is_the_inverse_of_the_distribution(values: list[float], level: float) -> None:
    """The quantile is NumPy's `inverted_cdf`: the least value at or below which a share `level` lies."""
    found = summarise_rows(values, level)
    assert found.value in values
    assert (np.array(values) <= found.value).mean() >= level - 1e-9
    assert (np.array(values) < found.value).mean() < level + 1e-9
    assert found.low <= found.value <= found.high


@given(levels)
def test_rungs_rise_and_are_symmetric(level: float) -> None:
    """The rungs lie in (0, 1), rise, and mirror each other around the level."""
    found = rungs(level)
    assert len(found) == 2 * HALVINGS + 1
    assert list(found) == sorted(found)
    assert found[0] > 0
    assert found[-1] < 1
    assert found[HALVINGS] == level


@pytest.mark.parametrize("n", [100, 2_000, 300_000])
def test_error_is_the_asymptotic_one(n: int) -> None:
    """For normal values the standard error is sqrt(level (1 - level) / n) over the density, on average."""
    rng = np.random.default_rng(n)
    for level in (0.5, 0.9):
        runs = 300 if n < 10_000 else 10
        found = [quantile(summarise_rows(rng.normal(size=n), level)).error for _ in range(runs)]
        expected = math.sqrt(level * (1 - level) / n) / stats.norm.pdf(stats.norm.ppf(level))
        assert np.mean(found) == pytest.approx(expected, rel=0.08)


def test_one_duckdb_pass_is_enough() -> None:
    """A single aggregate over the rows, without knowing their number, gives the same summary of every arm."""
    rng = np.random.default_rng(8)
    frame = pd.DataFrame({"arm": rng.integers(0, 3, 30_000), "x": np.round(rng.lognormal(size=30_000), 4)})
    asked = ", ".join(repr(rung) for rung in rungs(0.9))
    sql = f"SELECT arm, count(*), quantile_disc(x, [{asked}]) FROM frame GROUP BY arm ORDER BY arm"  # noqa: S608
    for arm, n, values in duckdb.sql(sql).fetchall():
        assert summarise(0.9, n, values) == summarise_rows(frame.x[frame.arm == arm].to_numpy(), 0.9)


def test_clusters_widen_the_interval_as_they_should() -> None:
    """With events of users, the spread of 400 estimated medians is the clustered error, not the plain one."""
    rng = np.random.default_rng(2)
    values, clustered, plain = [], [], []
    for _ in range(400):
        of = np.repeat(np.arange(300), rng.integers(1, 15, 300))
        y = rng.normal(size=300)[of] + 0.5 * rng.normal(size=len(of))
        found = summarise_rows(y, 0.5, of)
        values.append(found.value)
        clustered.append(quantile(found).error)
        plain.append(quantile(summarise_rows(y, 0.5)).error)
    assert np.mean(clustered) == pytest.approx(np.std(values), rel=0.12)
    assert np.mean(plain) < 0.5 * np.std(values)
    assert found.units == 300


def test_clusters_of_one_row_are_no_clusters() -> None:
    """Where each row is a cluster, the variance of the share is the binomial one, but for n / (n - 1)."""
    values = np.random.default_rng(1).exponential(size=500)
    plain, clustered = summarise_rows(values, 0.75), summarise_rows(values, 0.75, np.arange(500))
    assert clustered.variance == pytest.approx(plain.variance * 500 / 499, rel=1e-9)


RECORDED = Path(__file__).parents[3] / "shared" / "vectors" / "gbstats" / "cases_even.json"


def recorded(arm: dict[str, Any]) -> QuantileSummary:
    """Return one of GrowthBook's quantile statistics as ours."""
    n, level = arm["n"], arm["nu"]
    ends = arm["quantile_hat"], arm["quantile_lower"], arm["quantile_upper"]
    return QuantileSummary(
        level, n, n, *ends, WIDTH * math.sqrt(level * (1 - level) / arm["n_star"]), level * (1 - level) / n
    )


@pytest.mark.skipif(not RECORDED.is_file(), reason=f"{RECORDED} is absent: the recorded cases are not there")
def test_growthbooks_recorded_cases() -> None:
    """All recorded moments of quantiles agree to 1e-9, and where they have an error we have a reason."""
    cases = [case for case in json.loads(RECORDED.read_text()) if case["kind"] == "EffectMoments"]
    cases = [case for case in cases if case["input"]["stat_a"]["type"] == "QuantileStatistic"]
    assert len(cases) == 3
    for case in cases:
        control, treatment = recorded(case["input"]["stat_a"]), recorded(case["input"]["stat_b"])
        found = quantile_difference(treatment, control, relative=case["input"]["relative"])
        if case["output"]["error_message"]:
            assert "control: the values around the quantile are all 5" in found.reason
            continue
        assert found.estimate.mean == pytest.approx(case["output"]["point_estimate"], rel=1e-9)
        assert found.error == pytest.approx(case["output"]["standard_error"], rel=1e-9)
        assert found.p == pytest.approx(2 * stats.norm.sf(abs(found.estimate.mean) / found.error), rel=1e-9)


def test_what_is_not_known_has_a_reason() -> None:
    """Too few rows, a heap of equal values and a control at 0 give a reason, no ends and no NaN."""
    good = summarise_rows(np.random.default_rng(3).exponential(size=1_000), 0.9)
    heap = summarise_rows([0.0] * 950 + [1.0] * 50, 0.9)
    few = summarise_rows(np.arange(30.0), 0.9)
    zero = QuantileSummary(0.9, 1_000, 1_000, 0.0, -1.0, 1.0, 0.02, 9e-5)
    for new, old, relative, reason in (
        (good, heap, False, "control: the values around the quantile are all 0"),
        (few, good, False, "treatment: 30 units are too few for level 0.9"),
        (good, zero, True, "control's quantile is 0"),
    ):
        found = quantile_difference(new, old, relative=relative)
        assert reason in found.reason
        assert (found.p, found.error, found.estimate.high) == (1.0, math.inf, math.inf)
        assert not math.isnan(found.estimate.mean)
    assert quantile(few).reason == "30 units are too few for level 0.9"
    assert rank(0.5, 1) == 0


def test_bad_input_is_named() -> None:
    """Levels, values and clusters that are none are refused by name."""
    for call, place in (
        (lambda: rungs(1.0), "level is 1.0"),
        (lambda: summarise_rows([], 0.5), "quantile of 0 values"),
        (lambda: summarise_rows([1.0, math.nan], 0.5), "2 values, 1 of them not finite"),
        (lambda: summarise_rows([1.0, 2.0], 0.5, [1]), "1 clusters for 2 values"),
        (lambda: summarise(0.5, 3, [1.0]), "1 values of a quantile"),
        (lambda: summarise(0.5, 3, [1.0] * 28 + [0.0]), "values[28] is 0.0"),
        (lambda: summarise(0.5, -1, [1.0] * 29), "rows is -1"),
        (lambda: summarise(0.5, 9, [1.0] * 29, Moments(3, 4.0, 8.0, 1.0, 0.0, 1.0)), "share has 3 clusters, 8 rows"),
        (
            lambda: quantile_difference(summarise_rows([1.0, 2.0], 0.5), summarise_rows([1.0, 2.0], 0.6)),
            "levels 0.5 and 0.6",
        ),
    ):
        with pytest.raises(DataError, match=re.escape(place)):
            call()
