"""The benchmark of features runs, proves row and frame equal, and says what it compares; how fast is not tested."""

from __future__ import annotations

from benchmarks import features


def test_says_what_it_compares() -> None:
    """Ratios to the limits, the peer and the bars carry their range and rounds."""
    result = features.measure(quick=True)
    assert set(result["target"]) <= set(result["ratios"])
    assert {"row_to_row_lookups", "row_to_row_sklearn", "frame_to_frame_copy"} <= set(result["ratios"])
    for ratio in result["ratios"].values():
        assert 0 < ratio["low"] <= ratio["median"] <= ratio["high"]
        assert ratio["n"] == 3
    assert result["features"] == 100
