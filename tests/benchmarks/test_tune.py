"""The benchmark of tuning says what it compares; speed and reach are not tested."""

from __future__ import annotations

from tests.benchmarks.test_store import bench


def test_it_names_peers() -> None:
    """Each peer has its seconds and its hypervolume, from the same run."""
    found = bench("tune")
    assert set(found["target"]) <= set(found["ratios"])
    for part in ("seconds", "volume"):
        assert set(found[part]) == {"ours", "ax", "optuna_nsga", "optuna_gp", "sobol"}
