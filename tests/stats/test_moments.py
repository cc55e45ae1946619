"""Mergeable sums: halves add up to the whole, and the variance is that of the delta method."""

from __future__ import annotations

import math

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given
from hypothesis import strategies as st

from abloop.stats.moments import Moments, moments

values = st.floats(-1e6, 1e6, allow_subnormal=False)
units = st.lists(st.tuples(values, st.integers(1, 9).map(float)), max_size=20)


def of(pairs: list[tuple[float, float]]) -> Moments:
    """Return the moments of pairs of sum and count."""
    return moments([s for s, _ in pairs], [m for _, m in pairs])


def close(one: Moments, two: Moments) -> bool:
    """Return whether two moments agree to the rounding of their sums."""
    scale = max(1.0, abs(one.ss), abs(one.mm), abs(one.sm), abs(one.s))
    fields = ("units", "s", "m", "ss", "sm", "mm")
    return all(abs(getattr(one, name) - getattr(two, name)) <= 1e-12 * scale for name in fields)


@given(units, units)
def test_merged_halves_equal_the_whole(one: list[tuple[float, float]], two: list[tuple[float, float]]) -> None:
    """merge(moments(a), moments(b)) is moments(a + b)."""
    assert close(of(one).merge(of(two)), of(one + two))


@given(units, units, units)
def test_merge_is_commutative_and_associative(
    one: list[tuple[float, float]], two: list[tuple[float, float]], three: list[tuple[float, float]]
) -> None:
    """Shards may be merged in any order, and nothing is added by an empty one."""
    a, b, c = of(one), of(two), of(three)
    assert a.merge(b) == b.merge(a)
    assert close(a.merge(b).merge(c), a.merge(b.merge(c)))
    assert a.merge(of([])) == a


@given(st.lists(values, min_size=2, max_size=30))
def test_one_value_a_unit_is_the_plain_mean(sample: list[float]) -> None:
    """With one value a unit, the mean and its variance are those of NumPy."""
    found = moments(sample, [1.0] * len(sample))
    scale = max(1.0, float(np.max(np.abs(sample))))
    assert found.mean == pytest.approx(np.mean(sample), abs=1e-12 * scale)
    expected = np.var(sample, ddof=1) / len(sample)
    assert found.variance_of_mean == pytest.approx(expected, rel=1e-9, abs=1e-12 * scale**2)


def test_many_values_a_unit_are_clustered() -> None:
    """With several values a unit, mean and variance are those of a regression on a constant, clustered by unit."""
    rng = np.random.default_rng(0)
    counts = rng.integers(1, 9, 300)
    unit = np.repeat(np.arange(300), counts)
    y = rng.normal(size=300)[unit] + rng.normal(size=len(unit)) + 0.3 * counts[unit]
    found = moments(np.bincount(unit, y).tolist(), counts.astype(float).tolist())
    fit = sm.OLS(y, np.ones(len(y))).fit(cov_type="cluster", cov_kwds={"groups": unit})
    assert found.mean == pytest.approx(fit.params[0], rel=1e-12)
    assert found.variance_of_mean == pytest.approx(fit.bse[0] ** 2, rel=1e-10)
    assert found.variance_of_mean > 1.5 * np.var(y, ddof=1) / len(y)


def test_delta_method_is_the_published_one() -> None:
    """The variance is (var s - 2 r cov(s, m) + r**2 var m) / (n mean(m)**2), Deng et al. 2018, equation 2."""
    rng = np.random.default_rng(1)
    m = rng.poisson(3, 500) + 1.0
    s = 2 * m + rng.normal(size=500)
    found = moments(s.tolist(), m.tolist())
    cov = np.cov(s, m)
    ratio = s.mean() / m.mean()
    expected = (cov[0, 0] - 2 * ratio * cov[0, 1] + ratio**2 * cov[1, 1]) / (500 * m.mean() ** 2)
    assert found.variance_of_mean == pytest.approx(expected, rel=1e-10)


def test_a_far_offset_keeps_the_variance() -> None:
    """A metric whose mean is a hundred thousand times its spread still has its variance, to one part in a thousand."""
    rng = np.random.default_rng(2)
    noise = rng.normal(size=5_000)
    found = moments((noise + 1e5).tolist(), [1.0] * 5_000)
    assert found.variance_of_mean == pytest.approx(np.var(noise, ddof=1) / 5_000, rel=1e-3)


def test_a_time_stamp_is_not_a_certain_number() -> None:
    """A metric in seconds since 1970 that varies by seconds has a variance above zero, near the true one."""
    rng = np.random.default_rng(3)
    times = 1.7e9 + rng.normal(0.0, 30.0, size=1_000)
    found = moments(times.tolist(), [1.0] * 1_000)
    assert found.variance_of_mean == pytest.approx(np.var(times, ddof=1) / 1_000, rel=0.05)


def test_too_few_units_have_no_variance() -> None:
    """Nothing has no mean; one unit has no variance; equal units have none to show."""
    assert math.isnan(moments([], []).mean)
    assert math.isnan(moments([], []).variance_of_mean)
    assert moments([3.0], [2.0]).mean == 1.5
    assert math.isnan(moments([3.0], [2.0]).variance_of_mean)
    assert moments([0.1] * 7, [1.0] * 7).variance_of_mean == pytest.approx(0.0, abs=1e-17)


def test_shapes_must_agree() -> None:
    """A sum without a count is refused."""
    with pytest.raises(ValueError, match="zip"):
        moments([1.0, 2.0], [1.0])
