"""What reaching the first of a ranking brings, and whether predictions are right: against truths known by hand."""

from __future__ import annotations

import numpy as np
import pytest

from abloop.evaluate.targeting import calibrate, histogram, targeting_curve
from abloop.evaluate.uplift import rate

RNG = np.random.default_rng(0)
EFFECT = RNG.normal(size=4_000)
MEASURED = EFFECT + RNG.normal(size=4_000)
UNITS = np.arange(4_000)


def test_the_curve_ends_at_the_mean_effect() -> None:
    """Reaching everybody brings the mean effect; nobody is then above the mean."""
    last = targeting_curve(EFFECT, MEASURED, UNITS)[-1]
    assert last.share == 1.0
    assert last.gain.mean == pytest.approx(MEASURED.mean())
    assert last.more.mean == pytest.approx(0.0)


def test_the_area_under_the_toc_is_the_rate() -> None:
    """The mean of the TOC over many shares is the rank-weighted effect."""
    curve = targeting_curve(EFFECT, MEASURED, UNITS, steps=400)
    assert np.mean([each.more.mean for each in curve]) == pytest.approx(rate(EFFECT, MEASURED).mean, abs=0.02)


def test_intervals_cover_the_truth() -> None:
    """Of 200 draws the interval at a fifth leaves out the truth in about one of twenty."""
    missed = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        effect = rng.normal(size=500)
        found = targeting_curve(effect, effect + rng.normal(size=500), np.arange(500), 5)[0]
        missed += not found.more.low < 1.3998 < found.more.high  # mean of a normal above its 80 % quantile
    assert 2 <= missed <= 20


def test_units_with_many_rows_widen_the_interval() -> None:
    """Rows of one unit are taken together: four copies of each row say no more than one."""
    once = targeting_curve(EFFECT, MEASURED, UNITS, 4)
    often = targeting_curve(np.repeat(EFFECT, 4), np.repeat(MEASURED, 4), np.repeat(UNITS, 4), 4)
    for one, four in zip(once, often, strict=True):
        assert four.gain.high - four.gain.low == pytest.approx(one.gain.high - one.gain.low, rel=1e-3)
        assert four.gain.n == 4_000


def test_right_predictions_are_found_right() -> None:
    """Predicted and measured effects of each part agree, the greatest first."""
    parts = calibrate(EFFECT, MEASURED, UNITS, 10)
    assert len(parts) == 10
    assert [each.predicted for each in parts] == sorted((each.predicted for each in parts), reverse=True)
    assert sum(each.measured.low < each.predicted < each.measured.high for each in parts) >= 8


@pytest.mark.parametrize("values", [np.zeros(5), np.array([1e300, -1e300]), RNG.normal(size=1_000), np.array([3.0])])
def test_a_histogram_counts_every_row(values: np.ndarray) -> None:
    """Edges rise, counts add up to all rows, whatever the values are."""
    found = histogram(values)
    assert sum(found.counts) == len(values)
    assert list(found.edges) == sorted(found.edges)
    assert len(found.edges) == len(found.counts) + 1
