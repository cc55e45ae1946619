"""Many tests at once: definitions, error rates and coverage."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.multitest import multipletests

from abloop.errors import DataError
from abloop.stats.multiplicity import METHODS, adjust

many = st.lists(st.floats(0, 1), min_size=1, max_size=30)


@given(many)
def test_holm_by_its_definition(p_values: list[float]) -> None:
    """The i-th smallest of m p-values is multiplied by m - i, never falls, and is at most one."""
    m, worst = len(p_values), 0.0
    found = [one.adjusted for one in adjust(p_values)]
    for rank, index in enumerate(np.argsort(p_values, kind="stable")):
        worst = max(worst, min(1.0, (m - rank) * p_values[index]))
        assert found[index] == pytest.approx(worst, rel=1e-12)


@settings(max_examples=30)
@given(many, st.sampled_from(METHODS))
def test_both_are_those_of_statsmodels(p_values: list[float], method: str) -> None:
    """Adjusted p-values are those of statsmodels."""
    found = [one.adjusted for one in adjust(p_values, 0.05, method)]  # type: ignore[arg-type]
    theirs = multipletests(p_values, 0.05, {"holm": "holm", "benjamini_hochberg": "fdr_bh"}[method])[1]
    assert found == pytest.approx(theirs.tolist(), rel=1e-12)


@given(many, st.sampled_from(METHODS), st.sampled_from([0.01, 0.05, 0.2]))
def test_significance_and_intervals(p_values: list[float], method: str, alpha: float) -> None:
    """Nothing gains by company; intervals of Benjamini-Hochberg leave zero out where the p-value is significant."""
    found = adjust(p_values, alpha, method)  # type: ignore[arg-type]
    for one in found:
        assert one.p <= one.adjusted + 1e-15
        assert one.adjusted <= 1
        assert one.significant is (one.adjusted <= alpha)
        if method == "benjamini_hochberg" and one.significant:
            assert one.p <= (1 - one.confidence) * (1 + 1e-9)
    assert found[0].confidence == pytest.approx(
        1 - alpha * (max(1, sum(one.significant for one in found)) if method == METHODS[1] else 1) / len(found)
    )


@pytest.mark.parametrize("method", METHODS)
def test_two_hundred_null_metrics_rarely_alarm(method: str) -> None:
    """Of 400 experiments with 200 null metrics each, at most alpha show any; plain p-values nearly always do."""
    rng = np.random.default_rng(5)
    drawn = rng.random((400, 200))
    any_found = np.mean([any(one.significant for one in adjust(row, 0.05, method)) for row in drawn])  # type: ignore[arg-type]
    assert any_found <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 400)
    assert (drawn < 0.05).any(axis=1).mean() > 0.99


def test_selected_intervals_miss_rarely() -> None:
    """Of intervals shown for discoveries, on average at most alpha miss the truth; plain ones miss more."""
    rng = np.random.default_rng(6)
    missed, plain = [], []
    for _ in range(400):
        truth = np.where(rng.random(50) < 0.3, 2.5, 0.0)
        seen = truth + rng.normal(size=50)
        found = adjust((2 * stats.norm.sf(np.abs(seen))).tolist(), 0.1, "benjamini_hochberg")
        picked = np.array([one.significant for one in found])
        wide = np.abs(seen - truth) > stats.norm.ppf(0.5 + found[0].confidence / 2)
        missed.append(wide[picked].mean() if picked.any() else 0.0)
        plain.append((np.abs(seen - truth) > stats.norm.ppf(0.95))[picked].mean() if picked.any() else 0.0)
    assert np.mean(missed) <= 0.1
    assert np.mean(plain) > np.mean(missed)


@pytest.mark.parametrize(
    ("p_values", "place"),
    [([], "no p-values"), ([0.1, math.nan], "p_values[1] is nan"), ([1.2], "p_values[0] is 1.2")],
)
def test_bad_p_values_are_named(p_values: list[float], place: str) -> None:
    """None at all, NaN and numbers outside [0, 1] are refused by place."""
    with pytest.raises(DataError, match=re.escape(place)):
        adjust(p_values)
    with pytest.raises(DataError, match="holm"):
        adjust([0.1], method="holmes")  # type: ignore[arg-type]
