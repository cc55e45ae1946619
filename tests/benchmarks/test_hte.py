"""The benchmark of learners runs, refuses peers that find other effects, and says what it compares."""

from __future__ import annotations

import pytest

from benchmarks import hte


def test_says_what_it_compares() -> None:
    """Ratios to econml, causalml, the bare fits and the boosters carry their range and rounds."""
    result = hte.measure(quick=True)
    assert set(result["target"]) == set(result["ratios"])
    for ratio in result["ratios"].values():
        assert 0 < ratio["low"] <= ratio["median"] <= ratio["high"]
    assert set(result["peak_mb"]) == {"learners", "econml", "causalml", "bare"}


def test_bare_is_what_the_learners_compute() -> None:
    """The bare calls give the effects of the learners, to the last bit that a mean of two halves leaves."""
    sample = hte.trial(2_000, 5, 2, 0)
    for ours, bare in zip(hte.ours(sample), hte.bare(sample), strict=True):
        assert ours == pytest.approx(bare, abs=1e-12)
