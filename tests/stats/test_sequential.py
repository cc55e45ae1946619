"""Bounds that hold at every look."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from abloop.errors import DataError
from abloop.stats.compare import Side, effect
from abloop.stats.contrast import Contrast
from abloop.stats.sequential import always_valid, always_valid_z, mixture, one_sided_z, running


@given(st.floats(1e-6, 0.999))
def test_fixed_bound_is_the_normal_quantile(alpha: float) -> None:
    """The bound of a single look is the quantile of the normal distribution."""
    assert one_sided_z(alpha) == pytest.approx(stats.norm.isf(alpha), abs=1e-8)


@pytest.mark.parametrize("noise", ["normal", "bernoulli"])
@pytest.mark.parametrize("alpha", [0.05, 0.2])
def test_peeking_keeps_the_error_rate(noise: str, alpha: float) -> None:
    """2,000 null streams looked at 99 times: at most alpha ever cross, a fixed bound is crossed far more often."""
    rng = np.random.default_rng([int(alpha * 100), noise == "normal"])
    runs, looks, step = 2_000, 100, 100
    if noise == "normal":
        sums = np.cumsum(rng.normal(size=(runs, looks)) * math.sqrt(step), axis=1)
        spread = 1.0
    else:
        sums = np.cumsum(rng.binomial(step, 0.1, (runs, looks)) - 0.1 * step, axis=1)
        spread = math.sqrt(0.09)
    n = step * np.arange(1, looks + 1)
    z = sums / (spread * np.sqrt(n))
    late = slice(1, None)  # the bound is asymptotic: looks begin at 200 units
    bound = np.array([always_valid_z(int(units), alpha) for units in n])
    crossed = (z > bound)[:, late].any(axis=1).mean()
    fixed = (z > one_sided_z(alpha))[:, late].any(axis=1).mean()
    assert crossed <= alpha + 3 * math.sqrt(alpha * (1 - alpha) / runs)
    assert fixed > 2.5 * alpha


def test_formula_equals_the_published_one() -> None:
    """z(n) / sqrt(n) is the one-sided boundary of Waudby-Smith et al., computed from rho."""
    alpha, planned = 0.05, 5_000
    rho = math.sqrt((-2 * math.log(2 * alpha) + math.log(-2 * math.log(2 * alpha) + 1)) / planned)
    for n in (10, 500, 5_000, 100_000):
        boundary = math.sqrt(
            2 * (n * rho**2 + 1) / (n**2 * rho**2) * math.log(1 + math.sqrt(n * rho**2 + 1) / (2 * alpha))
        )
        assert always_valid_z(n, alpha, planned) == pytest.approx(boundary * math.sqrt(n), rel=1e-12)


@pytest.mark.parametrize("alpha", [0.01, 0.05])
def test_narrowest_where_planned(alpha: float) -> None:
    """At the planned number of units no other plan has a bound narrower by more than two percent."""
    for planned in (200, 5_000, 100_000):
        mine = always_valid_z(planned, alpha, planned)
        others = [always_valid_z(planned, alpha, int(planned * factor)) for factor in np.geomspace(0.05, 20, 61)]
        assert mine <= 1.02 * min(others)


@given(st.integers(1, 10**7), st.floats(1e-4, 0.3))
def test_never_below_the_fixed_bound(n: int, alpha: float) -> None:
    """Looking often costs something: the bound is above the one of a single look, and finite."""
    assert one_sided_z(alpha) < always_valid_z(n, alpha) < math.inf


def test_less_error_costs_width() -> None:
    """A smaller error rate has a wider bound, and the bound in value narrows as units come in."""
    assert always_valid_z(1_000, 0.01) > always_valid_z(1_000, 0.05) > always_valid_z(1_000, 0.2)
    widths = [always_valid_z(n, 0.05) / math.sqrt(n) for n in (100, 1_000, 10_000, 1_000_000)]
    assert widths == sorted(widths, reverse=True)


@pytest.mark.parametrize("alpha", [0.3, 0.45, 0.499])
def test_large_error_rates_are_served(alpha: float) -> None:
    """Every error rate that a blueprint may hold has a bound."""
    assert math.isfinite(always_valid_z(100, alpha))


def joint(n: int, z: float, variance: float = 0.01) -> Contrast:
    """Return a contrast whose difference is z standard errors."""
    return Contrast(n, z * math.sqrt(variance), 1.0, variance, 0.0, variance, float(n))


@given(st.floats(-6, 6), st.integers(10, 10**6), st.floats(0.001, 0.4), st.sampled_from(["two", "greater", "less"]))
def test_p_value_and_interval_agree(z: float, n: int, alpha: float, side: Side) -> None:
    """The p-value is at or below alpha just when the interval of that confidence leaves zero out."""
    found = always_valid(joint(n, z), 1 - alpha, side=side)
    outside = found.low > 0 or found.high < 0
    if abs(found.p_value - alpha) > 1e-9:
        assert outside == (found.p_value < alpha)
    assert 0.0 <= found.p_value <= 1.0


@given(st.floats(-6, 6), st.floats(0.01, 3), st.sampled_from(["two", "greater", "less"]))
def test_mixture_is_a_likelihood_ratio(z: float, spread: float, side: Side) -> None:
    """One over the two-sided p-value is the mean likelihood ratio over normal effects; ends follow from it."""
    variance = 0.01
    found = mixture(joint(500, z, variance), spread, 0.9, side=side)
    if side == "two":
        ratio = stats.norm.pdf(z, 0, math.sqrt(1 + spread**2 / variance)) / stats.norm.pdf(z)
        assert found.p_value == pytest.approx(min(1.0, 1 / ratio), rel=1e-9)
    outside = found.low > 0 or found.high < 0
    assert outside == (found.p_value < 0.1)


def test_one_side_is_narrower_than_two() -> None:
    """Asking for one side costs less width, and the fixed interval is narrower than either."""
    two, one = always_valid(joint(5_000, 2.0)), always_valid(joint(5_000, 2.0), side="greater")
    assert two.low < one.low < effect(joint(5_000, 2.0), side="greater").low
    assert (one.high, always_valid(joint(5_000, 2.0), side="less").low) == (math.inf, -math.inf)


@pytest.mark.parametrize("way", ["sequence", "mixture"])
def test_two_sided_peeking_keeps_the_error_rate(way: str) -> None:
    """4,000 null experiments looked at 100 times: at most 5 % are ever significant; a fixed test is, in over 20 %."""
    rng = np.random.default_rng(way == "mixture")
    runs, looks, step = 4_000, 100, 100
    z = np.cumsum(rng.normal(size=(runs, looks)), axis=1) / np.sqrt(np.arange(1, looks + 1))
    half = []
    for look in range(1, looks + 1):
        at = joint(look * step, 0.0, 4.0 / (look * step))
        found = always_valid(at) if way == "sequence" else mixture(at, 0.1)
        half.append(found.high / found.error)
    crossed = (np.abs(z) > half).any(axis=1).mean()
    assert crossed <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / runs)
    assert (np.abs(z) > 1.96).any(axis=1).mean() > 0.2


def test_running_intervals_only_narrow() -> None:
    """Cut with earlier looks, intervals never widen and p-values never rise; looks without interval are passed over."""
    rng = np.random.default_rng(5)
    looks = [always_valid(joint(100 * look, float(rng.normal(1, 1)), 1 / look)) for look in range(1, 40)]
    looks.insert(3, always_valid(Contrast(0, math.nan, math.nan, math.nan, math.nan, math.nan, math.nan, "empty_arm")))
    cut = [found for found in running(looks) if not found.reason]
    assert len(cut) == len(looks) - 1
    for one, two in pairwise(cut):
        assert one.low <= two.low <= two.high <= one.high
        assert two.p_value <= one.p_value
    apart = running([always_valid(joint(10**6, -90.0, 1e-4)), always_valid(joint(10**6, 90.0, 1e-4))])
    assert apart[1].low > 0


def test_wrong_arguments_are_refused() -> None:
    """A tuning, spread or confidence that is none is an error."""
    with pytest.raises(DataError, match="tuning is 0"):
        always_valid(joint(10, 1.0), tuning=0)
    with pytest.raises(DataError, match="spread is -1"):
        mixture(joint(10, 1.0), -1)
    with pytest.raises(DataError, match=r"confidence is 0\.4"):
        always_valid(joint(10, 1.0), 0.4, side="less")
