"""Overlapping experiments: the product term of a regression, its level, and what is refused."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest
import statsmodels.api as sm

from abloop.errors import DataError
from abloop.stats.interaction import interaction
from abloop.stats.moments import Moments, moments


def cell(values: np.ndarray) -> Moments:
    """Return the moments of units with one value each."""
    return moments(values.tolist(), [1.0] * len(values))


@pytest.mark.parametrize(("a", "b"), [(2, 2), (3, 2), (2, 4), (3, 3)])
def test_equals_a_regression_with_robust_variances(a: int, b: int) -> None:
    """Differences, errors and chi-square are the product terms of OLS with HC2 variances, to 1e-9."""
    rng = np.random.default_rng([a, b])
    n = 3_000
    first, second = rng.integers(0, a, n), rng.integers(0, b, n)
    y = rng.normal(size=n) * (1 + first) + 0.3 * first * second + second
    found = interaction([[cell(y[(first == i) & (second == j)]) for j in range(b)] for i in range(a)])
    left = [(first == i).astype(float) for i in range(1, a)]
    right = [(second == j).astype(float) for j in range(1, b)]
    products = [one * other for one in left for other in right]
    fit = sm.OLS(y, np.column_stack([np.ones(n), *left, *right, *products])).fit(cov_type="HC2")
    count = len(products)
    flat = [one for row in found.differences for one in row]
    assert [one.mean for one in flat] == pytest.approx(fit.params[-count:].tolist(), rel=1e-9, abs=1e-12)
    assert [one.low for one in flat] == pytest.approx(fit.conf_int()[-count:, 0].tolist(), rel=1e-9)
    wald = fit.wald_test(np.eye(len(fit.params))[-count:], use_f=False, scalar=True)
    assert found.statistic == pytest.approx(float(wald.statistic), rel=1e-9)
    assert found.p == pytest.approx(float(wald.pvalue), rel=1e-8)
    assert found.freedom == count
    assert sum(one.n for one in flat) >= n


def test_effects_that_add_up_rarely_alarm() -> None:
    """Of 2,000 pairs of experiments without interaction, .05 alarm at .05, within four standard errors."""
    rng = np.random.default_rng(1)
    alarms = 0
    for _ in range(2_000):
        cells = [[cell(rng.exponential(size=150) + i + 2 * j) for j in range(2)] for i in range(3)]
        alarms += interaction(cells).p < 0.05
    assert abs(alarms / 2_000 - 0.05) < 4 * math.sqrt(0.05 * 0.95 / 2_000)


GOOD = Moments(10, 5.0, 10.0, 2.5, 0.0, 0.0)


@pytest.mark.parametrize(
    ("cells", "place"),
    [
        ([[GOOD, GOOD]], "1 rows of [2] cells"),
        ([[GOOD], [GOOD]], "2 rows of [1] cells"),
        ([[GOOD, GOOD], [GOOD]], "2 rows of [1, 2] cells"),
        ([[GOOD, GOOD], [GOOD, Moments(0, 0.0, 0.0, 0.0, 0.0, 0.0)]], "cell (1, 1) has 0 units"),
        ([[GOOD, Moments(9, math.nan, 9.0, 1.0, 0.0, 0.0)], [GOOD, GOOD]], "cell (0, 1) has 9 units, sum nan"),
        ([[Moments(10, 5.0, 10.0, 0.0, 0.0, 0.0)] * 2] * 2, "no variance"),
        ([], "0 rows"),
    ],
)
def test_bad_cells_are_named(cells: list[list[Moments]], place: str) -> None:
    """Missing arms, empty cells, NaN and metrics that do not vary are refused by place."""
    with pytest.raises(DataError, match=re.escape(place)):
        interaction(cells)
