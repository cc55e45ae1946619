"""The benchmarks of predictions and rankings run, show that contestants agree, and say what they compare."""

from __future__ import annotations

import pytest

from benchmarks import predict, rank


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")
def test_says_what_it_compares() -> None:
    """Ratios to the booster, onnxruntime, treelite, xgboost and scikit-learn carry their range and rounds."""
    for result in (predict.measure(quick=True), rank.measure(quick=True)):
        assert set(result["target"]) <= set(result["ratios"])
        for ratio in result["ratios"].values():
            assert 0 < ratio["low"] <= ratio["median"] <= ratio["high"]
