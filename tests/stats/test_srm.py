"""Sample ratio mismatch: Pearson's test, and its like for propensities that differ between units."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from abloop.errors import DataError
from abloop.stats.srm import (
    CONCENTRATION,
    _slopes,
    srm_always_valid,
    srm_always_valid_weighted,
    srm_p_value,
    srm_weighted,
)

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
    """A count without a weight is refused, with both numbers."""
    for test in (srm_p_value, srm_always_valid):
        with pytest.raises(DataError, match="3 counts and 2 weights"):
            test([1, 2, 3], [0.5, 0.5])


@pytest.mark.parametrize(
    ("counts", "weights", "place"),
    [
        ([-1, 5], [0.5, 0.5], "counts[0] is -1"),
        ([1, math.nan], [0.5, 0.5], "counts[1] is nan"),
        ([1, 5], [0.5, 0.6], "weights sum to 1.1"),
        ([1, 5], [0.0, 1.0], "weights[0] is 0.0"),
        ([5], [1.0], "1 counts and 1 weights"),
    ],
)
def test_bad_counts_and_weights_are_named(counts: list[float], weights: list[float], place: str) -> None:
    """Negative counts, NaN and weights that do not sum to one are refused by place."""
    for test in (srm_p_value, srm_always_valid):
        with pytest.raises(DataError, match=re.escape(place)):
            test(counts, weights)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("surpluses", "variances", "place"),
    [
        ([1.0], [1.0], "1 surpluses and 1 variances"),
        ([1.0, -1.0], [1.0, -1.0], "variances[1] is -1.0"),
        ([math.inf, -1.0], [1.0, 1.0], "surpluses[0] is inf"),
        ([1.0, -1.0], [0.0, 0.0], "with variance 0"),
        ([10.0, -1.0], [100.0, 100.0], "surpluses sum to 9.0"),
    ],
)
def test_bad_sums_are_named(surpluses: list[float], variances: list[float], place: str) -> None:
    """Sums that no traffic has are refused by place."""
    with pytest.raises(DataError, match=re.escape(place)):
        srm_always_valid_weighted(surpluses, variances)


@given(arms.filter(lambda drawn: sum(count for count, _ in drawn) > 0), st.floats(1.0, 1e5))
def test_always_valid_is_one_over_a_bayes_factor(drawn: list[tuple[int, int]], concentration: float) -> None:
    """The p-value is the ratio of SciPy's multinomial to its Dirichlet-multinomial, at most one."""
    counts = np.array([count for count, _ in drawn])
    weights = np.array([weight for _, weight in drawn]) / sum(weight for _, weight in drawn)
    plan = stats.multinomial.logpmf(counts, counts.sum(), weights)
    other = stats.dirichlet_multinomial.logpmf(counts, concentration * weights, counts.sum())
    found = srm_always_valid(counts.tolist(), weights.tolist(), concentration)
    assert found == pytest.approx(math.exp(min(0.0, plan - other)), rel=1e-5, abs=1e-300)


@pytest.mark.parametrize("p", [0.5, 0.1])
def test_evidence_is_a_fair_bet(p: float) -> None:
    """Under the plan the expected evidence is exactly one (equal propensities, counts summed over all outcomes)."""
    n = 200
    counts = np.arange(n + 1)
    chance = stats.binom.pmf(counts, n, p)
    priors = CONCENTRATION * p, CONCENTRATION * (1 - p)
    factor = stats.betabinom.pmf(counts, n, *priors) / chance
    assert float(chance @ factor) == pytest.approx(1.0, rel=1e-9)
    surplus, variance = counts - n * p, n * p * (1 - p)
    bets = [
        share * np.exp(sign * slope * surplus - (math.expm1(slope) - slope) * variance) / 2
        for slope, share in _slopes()
        for sign in (1, -1)
    ]
    assert 0.9 < float(chance @ np.sum(bets, axis=0)) <= 1.0 + 1e-12
    found = srm_always_valid_weighted([float(surplus[-1]), -float(surplus[-1])], [variance, variance])
    assert found == pytest.approx(1 / float(np.sum(bets, axis=0)[-1]), rel=1e-9)


def test_both_tests_agree_where_propensities_are_equal() -> None:
    """On 51/49 traffic both tests alarm, on 50.1/49.9 neither, and nobody is no mismatch."""
    for units, share, alarm in ((100_000, 0.51, True), (100_000, 0.501, False), (20_000, 0.52, True)):
        first, variance = round(units * share), units * 0.25
        gap = first - units / 2
        assert (srm_always_valid([first, units - first], [0.5, 0.5]) < 0.001) is alarm
        assert (srm_always_valid_weighted([gap, -gap], [variance, variance]) < 0.001) is alarm
    assert srm_always_valid([0, 0], [0.5, 0.5]) == srm_always_valid_weighted([0.0, 0.0], [0.0, 0.0]) == 1.0


RECORDED = Path(__file__).parents[3] / "shared" / "vectors" / "gbstats" / "cases_even.json"


@pytest.mark.skipif(not RECORDED.is_file(), reason=f"{RECORDED} is absent: the recorded cases are not there")
def test_growthbooks_recorded_cases() -> None:
    """All recorded calls of GrowthBook's check_srm give the same p-value."""
    cases = [case for case in json.loads(RECORDED.read_text()) if case["kind"] == "check_srm"]
    assert len(cases) == 7
    for case in cases:
        total = sum(case["input"]["weights"])
        weights = [weight / total for weight in case["input"]["weights"]]
        assert srm_p_value(case["input"]["users"], weights) == pytest.approx(case["output"], rel=1e-9)


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
