"""Propensities of personalised traffic: a distribution, and the one that is drawn from."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from abloop.assign.experiment import Assignment
from abloop.policy.explore import mixed_propensity


@given(st.lists(st.integers(1, 50), min_size=2, max_size=6), st.floats(0, 1), st.integers(0, 5))
def test_probabilities_sum_to_one(parts: list[int], explore: float, chosen: int) -> None:
    """Over the arms the probabilities sum to one, and none leaves [0, 1]."""
    weights = [part / sum(parts) for part in parts]
    chances = [mixed_propensity(weights, explore, chosen % len(parts), arm) for arm in range(len(parts))]
    assert sum(chances) == pytest.approx(1.0)
    assert all(0.0 <= chance <= 1.0 + 1e-12 for chance in chances)


@pytest.mark.parametrize("explore", [0.1, 0.5, 1.0])
def test_frequencies_are_the_propensities(explore: float) -> None:
    """Drawn as the hot path draws, each arm comes up as often as its propensity says (chi-square, fixed ids)."""
    weights, chosen, n = (0.2, 0.3, 0.5), 1, 10_000
    assignment = Assignment("s", weights, explore=explore)
    counts = [0, 0, 0]
    for i in range(n):
        counts[assignment.arm(f"u{i}") if assignment.explores(f"u{i}") else chosen] += 1
    expected = [n * mixed_propensity(weights, explore, chosen, arm) for arm in range(3)]
    assert stats.chisquare(counts, expected).pvalue > 1e-3
