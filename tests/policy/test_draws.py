"""Random policies: exact shares, equal to their definitions and to an independent integration."""

from __future__ import annotations

import itertools
import math
import random

import numpy as np
import pytest
from scipy import integrate, stats

from abloop.policy.draws import (
    argmax,
    argmax_all,
    epsilon,
    epsilon_all,
    softmax,
    softmax_all,
    thompson,
    thompson_all,
)
from abloop.policy.gaps import inverse_gap, inverse_gap_all
from tests.policy.formulas import ODD


def integrated(means: np.ndarray, deviations: np.ndarray, arm: int) -> float:
    """Return the probability that an arm is the greatest, by SciPy's adaptive quadrature."""

    def density(x: float) -> float:
        others = stats.norm.cdf(x, np.delete(means, arm), np.delete(deviations, arm))
        return float(stats.norm.pdf(x, means[arm], deviations[arm]) * np.prod(others))

    ends = np.sort(np.concatenate([means + reach * deviations for reach in (-8, -2, 0, 2, 8)]))
    ends = ends[(ends >= means[arm] - 8 * deviations[arm]) & (ends <= means[arm] + 8 * deviations[arm])]
    return sum(integrate.quad(density, *pair, limit=20)[0] for pair in itertools.pairwise(ends))


@pytest.mark.parametrize("seed", range(12))
def test_thompson_is_the_integral(seed: int) -> None:
    """Of three to six arms, whose deviations differ up to a hundredfold, shares are within 0.006 of the integral."""
    rng = np.random.default_rng(seed)
    arms = int(rng.integers(3, 7))
    means, deviations = rng.normal(size=arms), np.exp(rng.uniform(-4, 1, size=arms))
    shares = thompson(means.tolist(), deviations.tolist())
    expected = [integrated(means, deviations, arm) for arm in range(arms)]
    assert math.isclose(sum(expected), 1.0, abs_tol=1e-6)
    np.testing.assert_allclose(shares or (), expected, atol=0.006)


def test_thompson_of_two_arms_is_exact() -> None:
    """Two arms: the normal distribution of their difference, also where squares would leave the range of numbers."""
    rng = np.random.default_rng(0)
    for _ in range(200):
        (one, other), (s, t) = rng.normal(size=2), np.exp(rng.uniform(-5, 2, size=2))
        expected = stats.norm.cdf((one - other) / math.hypot(s, t))
        np.testing.assert_allclose(thompson((one, other), (s, t)) or (), (expected, 1 - expected), atol=1e-14)
    assert thompson((0.0, 1e300), (1e200, 1e200)) == (0.0, 1.0)
    assert thompson((0.0, 1e-200), (1e-190, 0.0)) == pytest.approx((0.5, 0.5))


def test_thompson_counts_draws() -> None:
    """Of twelve arms, some of them sure, shares are how often each draw is greatest, in 200,000 seeded draws."""
    rng = np.random.default_rng(1)
    means, deviations = rng.normal(size=12), rng.choice([0.0, 0.3, 1.0], size=12)
    draws = rng.normal(means, deviations, size=(200_000, 12))
    counted = np.bincount(draws.argmax(axis=1), minlength=12) / len(draws)
    np.testing.assert_allclose(thompson(means.tolist(), deviations.tolist()) or (), counted, atol=0.008)


@pytest.mark.parametrize(
    ("means", "deviations", "expected"),
    [
        ((0.0, 1.0, 0.5), (0.0, 0.0, 0.0), (0.0, 1.0, 0.0)),
        ((1.0, 1.0, 0.0), (0.0, 0.0, 0.0), (0.5, 0.5, 0.0)),
        ((1.0, 0.0, 0.0), (1e-20, 1e-20, 1e-3), (1.0, 0.0, 0.0)),
        ((1.0, 1.0), (0.0, 0.0), (0.5, 0.5)),
        ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0), (1 / 3, 1 / 3, 1 / 3)),
        ((0.0, 0.0, -9.0), (0.0, 1.0, 1e-9), (0.5, 0.5, 0.0)),
        ((3.0,), (1.0,), (1.0,)),
    ],
)
def test_thompson_where_arms_are_sure(
    means: tuple[float, ...], deviations: tuple[float, ...], expected: tuple[float, ...]
) -> None:
    """An arm that is surely best gets everything, sure equals share, and draws beat a sure arm by chance."""
    np.testing.assert_allclose(thompson(means, deviations) or (), expected, atol=1e-9)


@pytest.mark.parametrize("arms", [1, 2, 3, 5])
def test_one_decision_equals_its_row(arms: int) -> None:
    """All of them give one decision and a row the same bits, for odd numbers too; NaN where one gives None."""
    rng = random.Random(arms)
    rows = [[rng.choice(ODD) if rng.random() < 0.2 else rng.gauss(0, 2) for _ in range(arms)] for _ in range(2_000)]
    spreads = [[abs(rng.choice([*rows[index], 0.0, 1e-20])) for _ in range(arms)] for index in range(len(rows))]
    heats = [rng.choice([0.0, -1.0, 0.5, 3.0, *ODD]) for _ in rows]
    values, widths, heat = np.array(rows), np.array(spreads), np.array(heats)
    with np.errstate(all="ignore"):
        many = softmax_all(values, heat), thompson_all(values, widths), epsilon_all(argmax_all(values), heat, arms)
        many = (*many, inverse_gap_all(values, heat))
    assert argmax_all(values).tolist() == [argmax(row) for row in rows]
    for index, (row, spread, single) in enumerate(zip(rows, spreads, heats, strict=True)):
        one = softmax(row, single), thompson(row, spread), epsilon(argmax(row), single, arms)
        one = (*one, inverse_gap(row, single))
        for alone, frame in zip(one, many, strict=True):
            here = frame[index].tolist()
            assert all(map(math.isnan, here)) if alone is None else alone == tuple(here), (row, spread, single)


def test_a_thousand_arms_are_soon_done() -> None:
    """Thompson sampling takes 64 steps an arm: a thousand arms sum to one, and the best has most."""
    means = [index / 1_000 for index in range(1_000)]
    shares = thompson(means, [0.1] * 1_000)
    assert shares is not None
    assert math.fsum(shares) == pytest.approx(1.0, abs=1e-12)
    assert max(shares) == shares[-1]


def test_softmax_is_its_definition() -> None:
    """Shares are exp(value / temperature) over their sum, also for values whose exponential overflows."""
    values = (0.3, -1.0, 2.0)
    expected = np.exp(np.array(values) / 0.7) / np.exp(np.array(values) / 0.7).sum()
    np.testing.assert_allclose(softmax(values, 0.7) or (), expected, rtol=1e-14)
    assert softmax((1e300, 0.0), 1.0) == (1.0, 0.0)
    assert softmax((math.nan, 0.0), 1.0) is None
    assert softmax((math.inf, 0.0), 1.0) is None
    assert softmax((1.0, 0.0), 0.0) is None


def test_epsilon_is_its_definition() -> None:
    """p(arm) = share / k + (1 - share) * [arm is chosen], the share cut to [0, 1]; undefined without an arm."""
    for share in (0.0, 0.1, 0.5, 1.0):
        expected = tuple(share / 4 + (1 - share) * (arm == 2) for arm in range(4))
        assert epsilon(2, share, 4) == expected
    assert epsilon(0, -3.0, 2) == (1.0, 0.0)
    assert epsilon(0, 7.0, 2) == (0.5, 0.5)
    assert epsilon(-1, 0.5, 2) is None
    assert epsilon(0, math.nan, 2) is None


def test_argmax() -> None:
    """The first of equals; NaN never wins, not even over minus infinity; -1 where all are NaN."""
    assert argmax((0.0, -0.0)) == 0
    assert argmax((math.nan, -math.inf)) == 1
    assert argmax((math.nan, math.nan)) == -1
