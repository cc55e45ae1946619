"""The benchmark of formulas runs, proves both sides equal, and says what it compares; how fast is not tested."""

from __future__ import annotations

from benchmarks import policy


def test_says_what_it_compares() -> None:
    """Ratios to the functions by hand carry their range and rounds."""
    result = policy.measure(quick=True)
    assert set(result["target"]) <= set(result["ratios"])
    for ratio in result["ratios"].values():
        assert 0 < ratio["low"] <= ratio["median"] <= ratio["high"]
        assert ratio["n"] == 3
