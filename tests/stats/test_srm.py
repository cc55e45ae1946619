"""Sample ratio mismatch: Pearson's test, and its like for propensities that differ between units."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from abloop.stats.srm import srm_p_value, srm_weighted

arms = st.lists(st.tuples(st.integers(0, 5_000), st.integers(1, 50)), min_size=2, max_size=6)


@settings(deadline=None)
@given(arms.filter(lambda drawn: sum(count for count, _ in drawn) > 0))
def test_equals_pearsons_chi_square(drawn: list[tuple[int, int]]) -> None:
    """With planned weights, the p-value is scipy.stats.chisquare's, an empty arm included."""
    counts = np.array([count for count, _ in drawn])
    weights = np.array([weight for _, weight in drawn]) / sum(weight for _, weight in drawn)
    expected = stats.chisquare(counts, weights * counts.sum()).pvalue
    assert srm_p_value(counts.tolist(), weights.tolist()) == pytest.approx(expected, rel=1e-6, abs=1e-12)


@pytest.mark.trial
def test_cookie_cats_is_a_mild_mismatch(shared_data: Path) -> None:
    """The published test of Cookie Cats' arm counts, p .0086, comes out of the file."""
    trial = pd.read_csv(shared_data / "cookie_cats" / "cookie_cats.csv.gz")
    counts = trial["test_version"].value_counts().sort_index().tolist()
    assert counts == [44_700, 45_489]
    assert srm_p_value(counts, [0.5, 0.5]) == pytest.approx(0.0086, abs=5e-5)


def test_nobody_is_no_mismatch() -> None:
    """Without units nothing is wrong."""
    assert srm_p_value([0, 0], [0.5, 0.5]) == 1.0
    assert srm_weighted(0, [0.0, 0.0], [0.0, 0.0], [0.5, 0.5]) == 1.0


def test_shapes_must_agree() -> None:
    """A count without a weight is refused."""
    with pytest.raises(ValueError, match="zip"):
        srm_p_value([1, 2, 3], [0.5, 0.5])


def p_values(rng: np.random.Generator, chances: np.ndarray, runs: int, lost: float = 0.0) -> np.ndarray:
    """Return p-values of runs in which units draw arms by chances of their own, shape (n, k); arm 1 may lose some."""
    n, k = chances.shape
    found = []
    bounds = np.cumsum(chances, axis=1)[:, :-1]
    for _ in range(runs):
        arm = (rng.random((n, 1)) >= bounds).sum(axis=1)
        kept = (arm != 1) | (rng.random(n) >= lost)
        inverse = 1.0 / chances[np.arange(n), arm]
        sums = np.bincount(arm[kept], inverse[kept], k)
        squares = np.bincount(arm[kept], inverse[kept] ** 2, k)
        found.append(srm_weighted(int(kept.sum()), sums.tolist(), squares.tolist(), [1 / k] * k))
    return np.array(found)


def personalised(rng: np.random.Generator, n: int, k: int, explore: float) -> np.ndarray:
    """Return propensities of units of which each has a best arm of its own, shape (n, k)."""
    return explore / k + (1 - explore) * np.eye(k)[rng.integers(0, k, n)]


@pytest.mark.parametrize(("k", "explore"), [(2, 0.2), (3, 0.1), (3, 0.5), (4, 0.3)])
def test_differing_propensities_keep_the_level(k: int, explore: float) -> None:
    """On sound personalised traffic the alarm at .05 rings in .05 of 2,000 runs, within four standard errors."""
    rng = np.random.default_rng(k)
    found = p_values(rng, personalised(rng, 1_500, k, explore), 2_000)
    assert abs((found < 0.05).mean() - 0.05) < 4 * np.sqrt(0.05 * 0.95 / 2_000)


def test_mixed_phases_keep_the_level() -> None:
    """Traffic that was randomised first and personalised later passes at its level too."""
    rng = np.random.default_rng(9)
    chances = np.concatenate([np.full((1_000, 2), 0.5), personalised(rng, 1_000, 2, 0.1)])
    found = p_values(rng, chances, 2_000)
    assert abs((found < 0.05).mean() - 0.05) < 4 * np.sqrt(0.05 * 0.95 / 2_000)


def test_lost_units_are_noticed() -> None:
    """An arm that loses a fifth of its units is found out in nine runs of ten."""
    rng = np.random.default_rng(10)
    found = p_values(rng, personalised(rng, 4_000, 2, 0.4), 100, lost=0.2)
    assert (found < 0.001).mean() > 0.9


@given(st.integers(1, 20), arms.filter(lambda drawn: sum(count for count, _ in drawn) > 0))
def test_a_p_value_is_a_probability(times: int, drawn: list[tuple[int, int]]) -> None:
    """Whatever the counts, the p-value lies in [0, 1] and does not rise when all counts grow alike."""
    weights = [1 / len(drawn)] * len(drawn)
    once = srm_p_value([count for count, _ in drawn], weights)
    many = srm_p_value([count * times for count, _ in drawn], weights)
    assert 0.0 <= many <= once + 1e-9
    assert once <= 1.0
