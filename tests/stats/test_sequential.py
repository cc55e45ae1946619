"""Bounds that hold at every look."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from abloop.stats.sequential import always_valid_z, one_sided_z


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
