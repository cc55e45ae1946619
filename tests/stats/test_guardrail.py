"""Non-inferiority: Welch's tests shifted by the margin, Fieller's interval, error rates, and what is unclear."""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from abloop.errors import DataError
from abloop.stats.contrast import Arm, Contrast, contrast, contrast_of
from abloop.stats.estimand import Estimand
from abloop.stats.guardrail import guardrail
from abloop.stats.moments import products


def against(new: np.ndarray, old: np.ndarray) -> Contrast:
    """Return the contrast of units with one value each."""
    return contrast(products({"y": new.tolist()}), products({"y": old.tolist()}), Estimand("y"))


GOOD = contrast_of(Arm(100, 0.5, 0.0025), Arm(100, 0.5, 0.0025))


@given(st.integers(0, 10_000), st.floats(0.01, 0.9), st.sampled_from(["higher", "lower"]))
def test_is_welchs_test_at_the_margin(seed: int, margin: float, better: Any) -> None:
    """For an absolute margin the p-value is SciPy's one-sided Welch test, and the verdict follows from it."""
    rng = np.random.default_rng(seed)
    new, old = rng.gamma(2, 1, 60), rng.gamma(2, 1, 45)
    edge = old - margin if better == "higher" else old + margin
    way = "greater" if better == "higher" else "less"
    peer = stats.ttest_ind(new, edge, equal_var=False, alternative=way)
    found = guardrail(against(new, old), margin, better=better)
    assert found.p_value == pytest.approx(float(peer.pvalue), rel=1e-9)
    assert found.verdict == ("pass" if peer.pvalue < 0.05 else "fail" if peer.pvalue > 0.95 else "unclear")
    assert found.effect.low <= found.effect.mean <= found.effect.high


@given(st.integers(0, 10_000), st.floats(0.01, 0.9), st.sampled_from(["higher", "lower"]))
def test_a_relative_margin_is_a_test_of_shrunk_controls(seed: int, margin: float, better: Any) -> None:
    """For a relative margin the statistic is Welch's against the control's values times 1 -+ margin."""
    rng = np.random.default_rng(seed)
    new, old = rng.gamma(2, 1, 600), rng.gamma(2, 1, 450)
    edge = old * (1 - margin if better == "higher" else 1 + margin)
    peer = stats.ttest_ind(new, edge, equal_var=False, alternative="greater" if better == "higher" else "less")
    both = against(new, old)
    found = guardrail(both, margin, relative=True, better=better)
    sign = 1 if better == "higher" else -1
    assert found.p_value == pytest.approx(float(stats.t.sf(sign * peer.statistic, both.freedom)), rel=1e-9)
    assert found.verdict == ("pass" if found.p_value < 0.05 else "fail" if found.p_value > 0.95 else "unclear")


def test_fiellers_interval() -> None:
    """The ends of a relative effect are the ratios at which the test of m_t - r m_c is just significant."""
    found = guardrail(contrast_of(Arm(50, 1.2, 0.016), Arm(40, 1.0, 0.019)), 0.1, relative=True, multiple=1.7)
    for end in (found.effect.low, found.effect.high):
        z = (1.2 - (1 + end)) / math.sqrt(0.016 + (1 + end) ** 2 * 0.019)
        assert abs(z) == pytest.approx(1.7, rel=1e-9)


@pytest.mark.parametrize("relative", [False, True])
def test_a_loss_of_the_margin_passes_rarely(relative: bool) -> None:
    """Where the loss is just the margin, 4,000 tests pass .05 and fail .05, within four standard errors."""
    rng = np.random.default_rng(int(relative))
    n, runs = 400, 4_000
    verdicts = []
    new, old = rng.normal(9.5, 2, (runs, n)), rng.normal(10, 2, (runs, n))
    for one, other in zip(new, old, strict=True):
        arms = [Arm(n, float(values.mean()), float(values.var(ddof=1) / n)) for values in (one, other)]
        verdicts.append(guardrail(contrast_of(*arms), 0.05 if relative else 0.5, relative=relative).verdict)
    for verdict in ("pass", "fail"):
        assert abs(verdicts.count(verdict) / runs - 0.05) < 4 * math.sqrt(0.05 * 0.95 / runs)


def test_what_is_not_known_is_unclear() -> None:
    """Few units, no variance, NaN and a control near 0 are unclear, each with its reason, and no NaN."""
    good = np.array([0.0, 1.0] * 50)
    for both, relative, reason in (
        (against(good[:1], good), False, "treatment: 1 units"),
        (against(good, good[:0]), False, "control: 0 units"),
        (against(good * 0, good), False, "treatment: 100 units, variance 0"),
        (against(good, good * math.nan), False, "control: 100 units, y has mean nan"),
        (against(good, good - 0.6), True, "-0.1: a relative margin"),
        (against(good, good - 0.49), True, "not told apart from 0"),
    ):
        found = guardrail(both, 0.1, relative=relative)
        assert found.verdict == "unclear"
        assert reason in found.reason
        assert not math.isnan(found.effect.mean + found.p_value)


@pytest.mark.parametrize(
    ("settings", "place"),
    [
        ({"margin": 0.0}, "margin is 0.0"),
        ({"margin": math.nan}, "margin is nan"),
        ({"margin": 1.5, "relative": True}, "margin is 1.5"),
        ({"margin": 0.1, "alpha": 0.5}, "alpha is 0.5"),
        ({"margin": 0.1, "better": "up"}, "better"),
        ({"margin": 0.1, "multiple": -1.0}, "multiple is -1.0"),
    ],
)
def test_bad_settings_are_named(settings: dict[str, Any], place: str) -> None:
    """A margin, rate or direction that is none is refused by name."""
    with pytest.raises(DataError, match=re.escape(place)):
        guardrail(GOOD, **settings)
