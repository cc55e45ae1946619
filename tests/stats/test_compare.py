"""Means and differences with intervals, beside SciPy, statsmodels and the real trials."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from abloop.stats.compare import Estimate, difference, estimate, t_quantile
from abloop.stats.moments import Moments, moments


def plain(values: np.ndarray) -> Moments:
    """Return the moments of one value a unit."""
    return moments(np.asarray(values, dtype=float).tolist(), [1.0] * len(values))


def assert_equal(found: Estimate, n: int, mean: float, low: float, high: float) -> None:
    """Check an estimate against another's numbers."""
    assert found.n == n
    scale = max(abs(high - low), 1e-9)
    assert (found.mean, found.low, found.high) == pytest.approx((mean, low, high), rel=1e-9, abs=1e-9 * scale)


@given(st.floats(0.001, 0.999), st.floats(0.5, 1e6))
def test_t_quantile_is_scipys(probability: float, freedom: float) -> None:
    """The quantile of Student's t is that of scipy.stats."""
    assert t_quantile(probability, freedom) == pytest.approx(stats.t.ppf(probability, freedom), rel=1e-8, abs=1e-8)


samples = st.integers(0, 10_000).map(np.random.default_rng)


@settings(max_examples=60, deadline=None)
@given(samples, st.integers(2, 60), st.integers(2, 60), st.sampled_from([0.5, 0.9, 0.95, 0.999]))
def test_one_value_a_unit_is_welchs_interval(rng: np.random.Generator, n: int, m: int, confidence: float) -> None:
    """The difference is ttest_ind(equal_var=False), the mean of one arm ttest_1samp, at every confidence."""
    a, b = rng.normal(1.0, 3.0, n), rng.exponential(2.0, m)
    expected = stats.ttest_ind(a, b, equal_var=False).confidence_interval(confidence)
    assert_equal(difference(plain(a), plain(b), confidence), n + m, a.mean() - b.mean(), expected.low, expected.high)
    expected = stats.ttest_1samp(a, 0.0).confidence_interval(confidence)
    assert_equal(estimate(plain(a), confidence), n, a.mean(), expected.low, expected.high)


def test_several_values_a_unit_are_clustered() -> None:
    """With several values a unit, the spread of the difference is that of a regression clustered by unit."""
    rng = np.random.default_rng(0)
    ends, moment = [], []
    for arm, n in enumerate((200, 350)):
        counts = rng.poisson(2.0 + arm, n) + 1
        unit = np.repeat(np.arange(n), counts)
        y = rng.normal(0.5 * arm, 1.0, n)[unit] + rng.normal(size=len(unit))
        fit = sm.OLS(y, np.ones(len(y))).fit(cov_type="cluster", cov_kwds={"groups": unit})
        ends.append((fit.params[0], fit.bse[0] ** 2, n))
        moment.append(moments(np.bincount(unit, y).tolist(), counts.astype(float).tolist()))
    (m0, v0, n0), (m1, v1, n1) = ends
    freedom = (v0 + v1) ** 2 / (v0**2 / (n0 - 1) + v1**2 / (n1 - 1))
    half = stats.t.ppf(0.975, freedom) * math.sqrt(v0 + v1)
    assert_equal(difference(moment[1], moment[0]), n0 + n1, m1 - m0, m1 - m0 - half, m1 - m0 + half)


def test_intervals_cover() -> None:
    """Of 1,000 nominal 90 % intervals over clustered units, between 87 and 93 % cover (3 sd; seeded)."""
    rng = np.random.default_rng(1)
    covered = 0
    for _ in range(1_000):
        both = []
        for shift in (0.0, 0.4):
            counts = rng.integers(1, 5, 60).astype(float)
            sums = counts * (rng.normal(size=60) + shift) + np.sqrt(counts) * rng.normal(size=60)
            both.append(moments(sums.tolist(), counts.tolist()))
        found = difference(both[1], both[0], 0.9)
        covered += found.low <= 0.4 <= found.high
    assert 870 <= covered <= 930


def test_swapping_arms_turns_the_sign() -> None:
    """difference(a, b) is minus difference(b, a), ends swapped."""
    rng = np.random.default_rng(2)
    a, b = plain(rng.normal(size=30)), plain(rng.normal(size=50))
    one, two = difference(a, b), difference(b, a)
    assert (one.mean, one.low, one.high) == pytest.approx((-two.mean, -two.high, -two.low))


def test_too_few_units_have_no_interval() -> None:
    """Below two units in an arm there is a difference, but no interval; without variance it has no width."""
    one, two = plain(np.array([1.0])), plain(np.array([1.0, 3.0]))
    assert math.isnan(estimate(one).low)
    assert difference(two, one).mean == 1.0
    assert math.isnan(difference(two, one).high)
    assert math.isnan(difference(one, two).low)
    same = plain(np.array([2.0, 2.0]))
    assert difference(same, same) == Estimate(4, 0.0, 0.0, 0.0)
    assert math.isnan(difference(plain(np.array([])), two).mean)


@pytest.mark.trial
def test_hillstrom_effects(shared_data: Path) -> None:
    """Hillstrom's e-mails raise visits by .0766 and .0452, spend by .770 and .424, as published."""
    trial = pd.read_csv(shared_data / "hillstrom" / "hillstrom.csv.gz")
    arms = dict(iter(trial.groupby("segment")))
    control = arms.pop("No E-Mail")
    expected = {"Mens E-Mail": (0.0766, 0.0034, 0.770, 0.145), "Womens E-Mail": (0.0452, 0.0032, 0.424, 0.130)}
    for arm, (visit, visit_error, spend, spend_error) in expected.items():
        for metric, effect, error in (("visit", visit, visit_error), ("spend", spend, spend_error)):
            found = difference(plain(arms[arm][metric]), plain(control[metric]))
            assert found.mean == pytest.approx(effect, abs=6e-4)
            assert (found.high - found.low) / 2 / 1.96 == pytest.approx(error, abs=6e-4)


@pytest.mark.trial
def test_cookie_cats_retention(shared_data: Path) -> None:
    """Moving the gate to level 40 costs seven-day retention (.1902 to .1820), one-day retention not provably."""
    trial = pd.read_csv(shared_data / "cookie_cats" / "cookie_cats.csv.gz")
    early, late = (trial[trial["test_version"] == gate] for gate in ("gate_30", "gate_40"))
    week = difference(plain(late["retention_7"]), plain(early["retention_7"]))
    assert week.mean == pytest.approx(0.1820 - 0.1902, abs=1e-4)
    assert week.high < 0.0
    day = difference(plain(late["retention_1"]), plain(early["retention_1"]))
    assert day.low < 0.0 < day.high
