"""Effects by segment: Cochran's Q, the spread of true effects, shrinkage and its coverage."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats.meta_analysis import combine_effects

from abloop.errors import DataError
from abloop.stats.segments import Heterogeneity, SegmentEffect, heterogeneity

measured = st.lists(st.tuples(st.floats(-5, 5), st.floats(0.1, 3.0)), min_size=4, max_size=15)


def found(values: list[tuple[float, float]], confidence: float = 0.95) -> Heterogeneity:
    """Return the record for effects and standard errors."""
    effects = [SegmentEffect(f"s{index}", 100, mean, error) for index, (mean, error) in enumerate(values)]
    return heterogeneity(effects, confidence)


@given(measured.filter(lambda values: np.ptp([value for value, _ in values]) > 0.01))  # the peer divides by Q
def test_equals_statsmodels(values: list[tuple[float, float]]) -> None:
    """Q, its p-value, Paule and Mandel's variance and the pooled effect are statsmodels' within its tolerance."""
    mean, variance = np.array([value for value, _ in values]), np.array([error**2 for _, error in values])
    peer = combine_effects(mean, variance, method_re="iterated", use_t=False)
    ours = found(values)
    assert ours.q == pytest.approx(peer.q, rel=1e-9, abs=1e-12)
    if peer.q > len(values) - 1 + 1e-3:
        assert ours.spread**2 == pytest.approx(peer.tau2, rel=1e-3, abs=1e-3)
        assert ours.pooled.mean == pytest.approx(peer.mean_effect_re, rel=1e-3, abs=1e-3)
        assert ours.share == pytest.approx(max(0.0, peer.i2), abs=1e-9)


def test_eight_schools() -> None:
    """Rubin's eight schools: Q 4.7 with seven degrees of freedom, p about .7, no spread, pooled effect 7.7."""
    effects, errors = [28.0, 8, -3, 7, -1, 1, 18, 12], [15.0, 10, 16, 11, 9, 11, 10, 18]
    ours = found(list(zip(effects, errors, strict=True)))
    assert (round(ours.q, 1), round(ours.p, 1), ours.spread) == (4.7, 0.7, 0.0)
    assert ours.pooled.mean == pytest.approx(7.69, abs=0.01)


@given(measured)
def test_shrinks_towards_the_mean(values: list[tuple[float, float]]) -> None:
    """A shrunk effect lies between the measured one and the pooled one, its interval is finite and holds it."""
    ours = found(values)
    for (mean, _), shrunk in zip(values, ours.segments.values(), strict=True):
        low, high = sorted((mean, ours.pooled.mean))
        assert low - 1e-9 <= shrunk.mean <= high + 1e-9
        assert shrunk.low < shrunk.mean < shrunk.high
        assert math.isfinite(shrunk.high - shrunk.low)


@given(measured, st.sampled_from([1e-6, 1e6]))
def test_units_do_not_matter(values: list[tuple[float, float]], scale: float) -> None:
    """Effects in thousandths or thousands give the same record, scaled."""
    ours, scaled = found(values), found([(mean * scale, error * scale) for mean, error in values])
    assert scaled.p == pytest.approx(ours.p, rel=1e-6)
    assert scaled.spread == pytest.approx(ours.spread * scale, rel=1e-5, abs=1e-6 * scale)


@pytest.mark.parametrize("spread", [0.0, 0.5, 2.0])
@pytest.mark.parametrize("k", [5, 12])
def test_intervals_cover_and_the_best_segment_is_honest(spread: float, k: int) -> None:
    """1,000 draws of k segments: shrunk intervals cover .93 or more, and the best segment's effect is not flattered."""
    rng = np.random.default_rng([k, int(spread * 10)])
    covered, flattery, shrunk_flattery = [], [], []
    errors = rng.uniform(0.5, 2.0, k)
    for _ in range(1_000):
        truth = 1.0 + spread * rng.normal(size=k)
        seen = truth + errors * rng.normal(size=k)
        segments = list(found(list(zip(seen.tolist(), errors.tolist(), strict=True))).segments.values())
        covered.append([one.low <= true <= one.high for one, true in zip(segments, truth, strict=True)])
        best, shrunk_best = int(np.argmax(seen)), int(np.argmax([one.mean for one in segments]))
        flattery.append(seen[best] - truth[best])
        shrunk_flattery.append(segments[shrunk_best].mean - truth[shrunk_best])
    assert np.mean(covered) > 0.93
    assert abs(np.mean(shrunk_flattery)) < 0.7 * np.mean(flattery)


def test_equal_effects_rarely_look_different() -> None:
    """Without heterogeneity the p-value of 4,000 draws is below .05 in .05 of them, within four standard errors."""
    rng = np.random.default_rng(3)
    errors = [0.5, 1.0, 2.0, 1.0, 0.7]
    alarms = np.mean(
        [found(list(zip(rng.normal(0, errors).tolist(), errors, strict=True))).p < 0.05 for _ in range(4_000)]
    )
    assert abs(alarms - 0.05) < 4 * math.sqrt(0.05 * 0.95 / 4_000)


def test_few_segments_stay_as_measured() -> None:
    """Three segments keep their effects, and the record says why."""
    ours = found([(1.0, 0.5), (2.0, 0.5), (9.0, 0.5)])
    assert [round(one.mean, 9) for one in ours.segments.values()] == [1.0, 2.0, 9.0]
    assert "fewer than 4" in ours.reason


@pytest.mark.parametrize(
    ("values", "place"),
    [
        ([(1.0, 1.0)], "1 segments"),
        ([(1.0, 1.0), (math.nan, 1.0)], "segment 's1': effect is nan"),
        ([(1.0, 0.0), (1.0, 1.0)], "segment 's0': standard error is 0.0"),
    ],
)
def test_bad_effects_are_named(values: list[tuple[float, float]], place: str) -> None:
    """One segment alone, NaN and an effect without error are refused by place."""
    with pytest.raises(DataError, match=re.escape(place)):
        found(values)
    with pytest.raises(DataError, match="twice"):
        heterogeneity([SegmentEffect("a", 1, 1.0, 1.0)] * 2)
