"""Runs inside the environment of gbstats: jobs on standard input, answers on standard output (JSON)."""

from __future__ import annotations

import json
import sys
from typing import Any


def statistic(arm: dict[str, Any]) -> Any:
    """Return gbstats' record of an arm's raw sums: of the value, then of the denominator or the covariate."""
    from gbstats.models import statistics as kinds

    n, sums, squares = arm["n"], arm["sums"], arm["squares"]
    if arm["kind"] == "proportion":
        return kinds.ProportionStatistic(n=n, sum=sums[0])
    means = [kinds.SampleMeanStatistic(n=n, sum=sums[i], sum_squares=squares[i][i]) for i in range(len(sums))]
    if arm["kind"] == "mean":
        return means[0]
    if arm["kind"] == "ratio":
        return kinds.RatioStatistic(n, means[0], means[1], squares[0][1])
    return kinds.RegressionAdjustedStatistic(n, means[0], means[1], squares[0][1], 0.0)


def answer(job: dict[str, Any]) -> dict[str, list[float]]:
    """Return every test of one experiment."""
    from gbstats.bayesian import tests as bayesian
    from gbstats.frequentist import tests as frequentist
    from gbstats.models.statistics import compute_theta

    control, treatment = statistic(job["control"]), statistic(job["treatment"])
    if job["control"]["kind"] == "adjusted":
        control.theta = treatment.theta = compute_theta(control, treatment)
    kind, alpha = job["difference"], job["alpha"]
    fixed = frequentist.FrequentistConfig(difference_type=kind, alpha=alpha)
    looked = frequentist.SequentialConfig(difference_type=kind, alpha=alpha, sequential_tuning_parameter=job["tuning"])
    tests = {
        "two": frequentist.TwoSidedTTest(control, treatment, fixed),
        "greater": frequentist.OneSidedTreatmentGreaterTTest(control, treatment, fixed),
        "always_valid": frequentist.SequentialTwoSidedTTest(control, treatment, looked),
    }
    answers = {}
    for name, test in tests.items():
        found = test.compute_result()
        answers[name] = [found.expected, found.uplift.stddev, *found.ci, found.p_value]
    prior = bayesian.GaussianPrior(mean=job["prior"][0], variance=job["prior"][1], proper=True)
    config = bayesian.EffectBayesianConfig(difference_type=kind, alpha=alpha, prior_type="relative", prior_effect=prior)
    found = bayesian.EffectBayesianABTest(control, treatment, config).compute_result()
    answers["bayes"] = [found.expected, found.uplift.stddev, *found.ci, found.chance_to_win, *reversed(found.risk)]
    return answers


if __name__ == "__main__":
    sys.stdout.write(json.dumps([answer(job) for job in json.load(sys.stdin)]))
