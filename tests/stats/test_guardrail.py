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
from abloop.stats.guardrail import guardrail
from abloop.stats.moments import Moments, moments


def arm(values: np.ndarray) -> Moments:
    """Return the moments of units with one value each."""
    return moments(values.tolist(), [1.0] * len(values))


@given(st.integers(0, 10_000), st.floats(0.01, 0.9), st.booleans(), st.sampled_from(["higher", "lower"]))
def test_is_welchs_test_at_the_margin(seed: int, margin: float, relative: bool, better: Any) -> None:
    """The p-value is SciPy's one-sided Welch test against the margin, and the verdict follows from it."""
    rng = np.random.default_rng(seed)
    new, old = rng.gamma(2, 1, 60), rng.gamma(2, 1, 45)
    sign = -1 if better == "higher" else 1
    edge = old * (1 + sign * margin) if relative else old + sign * margin
    way = "greater" if better == "higher" else "less"
    peer = stats.ttest_ind(new, edge, equal_var=False, alternative=way)
    found = guardrail(arm(new), arm(old), margin, relative=relative, better=better)
    assert found.p == pytest.approx(float(peer.pvalue), rel=1e-9)
    expected = "pass" if peer.pvalue < 0.05 else "fail" if peer.pvalue > 0.95 else "unclear"
    assert found.verdict == expected
    assert found.effect.low <= found.effect.mean <= found.effect.high


def test_fiellers_interval() -> None:
    """The ends of a relative effect are the ratios at which the test of m_t - r m_c is just significant."""
    new, old = Moments(50, 60.0, 50.0, 40.0, 0.0, 0.0), Moments(40, 40.0, 40.0, 30.0, 0.0, 0.0)
    found = guardrail(new, old, 0.1, relative=True, multiple=1.7)
    for end in (found.effect.low, found.effect.high):
        ratio = 1 + end
        z = (new.mean - ratio * old.mean) / math.sqrt(new.variance_of_mean + ratio**2 * old.variance_of_mean)
        assert abs(z) == pytest.approx(1.7, rel=1e-9)


@pytest.mark.parametrize("relative", [False, True])
def test_a_loss_of_the_margin_passes_rarely(relative: bool) -> None:
    """Where the loss is just the margin, 4,000 tests pass .05 and fail .05, within four standard errors."""
    rng = np.random.default_rng(int(relative))
    n, runs = 400, 4_000
    verdicts = []
    new, old = rng.normal(9.5, 2, (runs, n)), rng.normal(10, 2, (runs, n))
    for one, other in zip(new, old, strict=True):
        sums = [
            Moments(n, float(v.sum()), float(n), float(((v - v.mean()) ** 2).sum()), 0.0, 0.0) for v in (one, other)
        ]
        verdicts.append(guardrail(*sums, 0.05 if relative else 0.5, relative=relative).verdict)
    for verdict in ("pass", "fail"):
        assert abs(verdicts.count(verdict) / runs - 0.05) < 4 * math.sqrt(0.05 * 0.95 / runs)


def test_what_is_not_known_is_unclear() -> None:
    """Few units, no variance and a control near 0 are unclear, each with its reason, and no NaN."""
    good = Moments(100, 50.0, 100.0, 25.0, 0.0, 0.0)
    still = Moments(100, 50.0, 100.0, 0.0, 0.0, 0.0)
    below, near = Moments(100, -5.0, 100.0, 25.0, 0.0, 0.0), Moments(100, 0.5, 100.0, 25.0, 0.0, 0.0)
    for new, old, relative, reason in (
        (Moments(1, 1.0, 1.0, 0.0, 0.0, 0.0), good, False, "1 units"),
        (good, Moments(0, 0.0, 0.0, 0.0, 0.0, 0.0), False, "control 0"),
        (still, still, False, "same value"),
        (good, below, True, "-0.05: a relative margin"),
        (good, near, True, "not told apart from 0"),
    ):
        found = guardrail(new, old, 0.1, relative=relative)
        assert found.verdict == "unclear"
        assert reason in found.reason
        assert not math.isnan(found.effect.mean + found.p)


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
    good = Moments(100, 50.0, 100.0, 25.0, 0.0, 0.0)
    with pytest.raises(DataError, match=re.escape(place)):
        guardrail(good, good, **settings)
    with pytest.raises(DataError, match="control: s is inf"):
        guardrail(good, Moments(9, math.inf, 9.0, 1.0, 0.0, 0.0), 0.1)
