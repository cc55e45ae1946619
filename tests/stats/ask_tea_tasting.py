"""Runs inside the environment of tea-tasting: jobs on standard input, answers on standard output (JSON)."""

from __future__ import annotations

import json
import sys
from typing import Any


def aggregates(arm: dict[str, Any]) -> Any:
    """Return tea-tasting's record of an arm's means and covariances."""
    from tea_tasting.aggr import Aggregates

    names, covariance = arm["columns"], arm["covariance"]
    return Aggregates(
        count_=arm["n"],
        mean_=dict(zip(names, arm["means"], strict=True)),
        var_={name: covariance[i][i] for i, name in enumerate(names)},
        cov_={(a, b): covariance[i][j] for i, a in enumerate(names) for j, b in enumerate(names) if i < j},
    )


def answer(job: dict[str, Any]) -> list[float]:
    """Return the test of one metric."""
    from tea_tasting.metrics.mean import RatioOfMeans

    metric = RatioOfMeans(
        *job["columns"],
        alternative=job["side"],
        confidence_level=job["confidence"],
        equal_var=False,
        use_t=job["law"] == "t",
    )
    found = metric.analyze_aggregates(aggregates(job["control"]), aggregates(job["treatment"]))
    lift = found.treatment / found.control - 1.0
    return [found.effect_size, found.effect_size_ci_lower, found.effect_size_ci_upper, found.pvalue, lift]


if __name__ == "__main__":
    sys.stdout.write(json.dumps([answer(job) for job in json.load(sys.stdin)]))
