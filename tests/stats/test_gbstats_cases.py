"""GrowthBook's recorded cases, read where they lie: sufficient statistics in, the same results out."""

from __future__ import annotations

import json
import math
from functools import cache
from typing import Any

import numpy as np
import pytest
from scipy.stats import norm

from abloop.stats.bayes import Normal, best_chances, posterior, thompson_shares
from abloop.stats.compare import Effect, Side, effect
from abloop.stats.contrast import Arm, Contrast, contrast, contrast_of
from abloop.stats.estimand import Estimand
from abloop.stats.moments import Products, products_of_sums
from abloop.stats.sequential import TUNING, always_valid
from abloop.stats.srm import srm_p_value
from abloop.stats.strata import Stratum, stratified
from tests.conftest import SHARED

CASES = SHARED / "vectors" / "gbstats" / "cases_even.json"
OWNED_ELSEWHERE = {"MidExperimentPower"}  # tests/stats/test_power.py
DRAWS = 10_000  # of GrowthBook's bandits
ERRORS = {  # GrowthBook's name, and the reasons that say it more precisely
    "ZERO_NEGATIVE_VARIANCE": {"empty_arm", "few_units", "no_variance", "negative_variance", "zero_denominator"},
    "ZERO_NEGATIVE_BASELINE_VARIATION": {"zero_baseline", "negative_variance"},
}
IMPOSSIBLE = {"test_get_metric_dfs_bayesian_ratio"}  # GrowthBook answers, though a column's variance is negative
SIDES: dict[str, Side] = {"TreatmentGreater": "greater", "TreatmentLesser": "less"}
X, W = Estimand("x"), Estimand("x", over="w")


@cache
def cases() -> list[dict[str, Any]]:
    """Return all cases; none where the folder is absent."""
    found: list[dict[str, Any]] = json.loads(CASES.read_text()) if CASES.exists() else []
    return found


def squares(statistic: dict[str, Any]) -> float:
    """Return the sum of squares: of zeros and ones, the sum."""
    return float(statistic.get("sum_squares", statistic["sum"]))


def columns(statistic: dict[str, Any]) -> tuple[Estimand, list[dict[str, Any]], dict[tuple[int, int], float]]:
    """Return what a statistic estimates, the statistics of its columns, and the sums of their products."""
    kind = statistic["type"]
    if kind == "RatioStatistic":
        parts = [statistic["m_statistic"], statistic["d_statistic"]]
        return Estimand("y", over="d"), parts, {(0, 1): statistic["m_d_sum_of_products"]}
    if kind == "RegressionAdjustedStatistic":
        parts = [statistic["post_statistic"], statistic["pre_statistic"]]
        binary = parts[0]["type"] == "ProportionStatistic"
        estimand = Estimand("y", proportion=binary, covariates=(X,))
        return estimand, parts, {(0, 1): statistic["post_pre_sum_of_products"]}
    if kind == "RegressionAdjustedRatioStatistic":
        names = ("m_post", "d_post", "m_pre", "d_pre")
        parts = [statistic[f"{name[0]}_statistic_{name[2:]}"] for name in names]
        pairs = {(0, 2): "m_post_m_pre", (1, 3): "d_post_d_pre", (2, 3): "m_pre_d_pre", (0, 1): "m_post_d_post"}
        pairs |= {(0, 3): "m_post_d_pre", (1, 2): "m_pre_d_post"}
        across = {pair: float(statistic[f"{name}_sum_of_products"]) for pair, name in pairs.items()}
        return Estimand("y", over="d", covariates=(W,)), parts, across
    return Estimand("y", proportion=kind == "ProportionStatistic"), [statistic], {}


def record(statistic: dict[str, Any]) -> Products:
    """Return the moments of a statistic."""
    estimand, parts, across = columns(statistic)
    table = [[0.0] * len(parts) for _ in parts]
    for i, part in enumerate(parts):
        table[i][i] = squares(part)
    for (i, j), value in across.items():
        table[i][j] = table[j][i] = float(value)
    return products_of_sums(estimand.names, statistic["n"], [part["sum"] for part in parts], table)


def quantile(statistic: dict[str, Any]) -> Arm:
    """Return a quantile with GrowthBook's variance, from the order statistics 1.96 errors around it."""
    n = statistic["n"]
    width = (statistic["quantile_upper"] - statistic["quantile_lower"]) / (2 * norm.ppf(0.975))
    variance = statistic["n_star"] / n * (n - 1) * width**2
    return Arm(n, statistic["quantile_hat"], (max(variance, 1e-5) if variance and n >= 100 else variance) / n)


def contrasted(stats: list[list[dict[str, Any]]], post_stratify: bool) -> Contrast:
    """Return the contrast of strata of (control, treatment), as GrowthBook takes it."""
    if stats[0][0]["type"] == "QuantileStatistic":
        return contrast_of(quantile(stats[0][1]), quantile(stats[0][0]))
    estimand, _, _ = columns(stats[0][0])
    strata = [Stratum(record(treatment), record(control)) for control, treatment in stats]
    whole = strata[0]
    for stratum in strata[1:]:
        whole = whole.merge(stratum)
    if post_stratify and len(strata) > 1:
        return stratified(strata, estimand, equal_variance=True)
    theta = stats[0][0].get("theta")
    return contrast(whole.treatment, whole.control, estimand, None if theta is None else (theta,))


def agree(found: tuple[float, ...], wanted: list[Any], places: float = 1e-9) -> None:
    """Check numbers; GrowthBook loses what is below the last bit of 1 in its p-values."""
    assert found == pytest.approx([float(number) for number in wanted], rel=places, abs=1e-15)


def check_refused(found: Effect, error: str) -> None:
    """Check that a named reason stands for GrowthBook's error, and that nothing is claimed."""
    assert found.reason in ERRORS[error]
    assert found.detail
    assert math.isnan(found.low)
    assert math.isnan(found.high)
    assert math.isnan(found.p_value)


def check_moments(case: dict[str, Any]) -> None:
    """Check effect and standard error."""
    given, wanted = case["input"], case["output"]
    stats = given.get("stats") or [[given["stat_a"], given["stat_b"]]]
    found = effect(contrasted(stats, "PostStrat" in case["kind"]), relative=given["relative"])
    if wanted["error_message"]:
        return check_refused(found, wanted["error_message"])
    impossible = case["test"].split("::")[-1] in IMPOSSIBLE
    assert (found.reason == "negative_variance") is impossible
    agree((found.value, found.error), [wanted["point_estimate"], wanted["standard_error"]])
    assert found.n == wanted["pairwise_sample_size"]
    return None


def check_test(case: dict[str, Any]) -> None:
    """Check a frequentist test, read once or at every look."""
    config, wanted = case["input"]["config"], case["output"]
    joint = contrasted(case["input"]["stats"], config["post_stratify"])
    side = next((side for name, side in SIDES.items() if name in case["kind"]), "two")
    relative, confidence = config["difference_type"] == "relative", 1 - config["alpha"]
    looked = case["kind"].startswith("Sequential")
    if looked:
        tuning = case["input"]["tuning"] or TUNING
        found = always_valid(joint, confidence, relative=relative, side=side, tuning=tuning)
    else:
        found = effect(joint, confidence, relative=relative, side=side, null=config["test_value"])
    if wanted["errorMessage"]:
        return check_refused(found, wanted["errorMessage"])
    if wanted["expected"] == 0.0 and wanted["ci"] == [0.0, 0.0]:  # GrowthBook's answer to no data
        return check_refused(found, "ZERO_NEGATIVE_VARIANCE")
    agree((found.value, found.error), [wanted["expected"], wanted["uplift"]["stddev"]])
    agree((found.low, found.high), wanted["ci"])
    if not looked or side == "two":
        return agree((found.p_value,), [wanted["pValue"]])
    if wanted["pValue"] == 0.4999:  # the end of GrowthBook's search
        assert found.p_value >= 0.4999
        return None
    # GrowthBook halves [0, .5] until a bound is within 1e-6 of the null, here twelve times, then takes one step more
    assert found.p_value == pytest.approx(wanted["pValue"], abs=0.5**13)
    return None


def check_belief(case: dict[str, Any]) -> None:
    """Check a posterior with a normal prior."""
    config, wanted = case["input"]["config"], case["output"]
    given = config["prior_effect"]
    prior = Normal(
        given["mean"], given["variance"] if given["proper"] else math.inf, config["prior_type"] == "relative"
    )
    found = posterior(
        contrasted(case["input"]["stats"], config["post_stratify"]),
        prior,
        1 - config["alpha"],
        relative=config["difference_type"] == "relative",
        lower_is_better=config["inverse"],
    )
    if wanted["errorMessage"] or wanted["ci"] == [0.0, 0.0]:
        assert found.reason in ERRORS[wanted["errorMessage"] or "ZERO_NEGATIVE_VARIANCE"]
        assert math.isnan(found.chance)
        return
    agree(
        (found.value, found.error, found.low, found.high),
        [wanted["expected"], wanted["uplift"]["stddev"], *wanted["ci"]],
    )
    agree((found.chance,), [wanted["chanceToWin"]])
    agree((found.loss_of_control, found.loss), wanted["risk"])


def check_bandit(case: dict[str, Any]) -> None:
    """Check traffic shares, within the noise of GrowthBook's draws (four standard errors)."""
    config, wanted, arms = case["input"]["config"], case["output"], [record(arm) for arm in case["input"]["stats"]]
    means = [arm.means[0] for arm in arms]
    variances = [arm.products[0][0] / (arm.units - 1) / arm.units for arm in arms]
    agree(tuple(means), wanted["cr"])
    half = norm.ppf(1 - config["alpha"] / 2) * np.sqrt(variances)
    agree(tuple(np.ravel([means - half, means + half])), np.ravel(np.transpose(wanted["ci"])).tolist())
    best = np.array(best_chances(means, variances))
    noise = 4 * np.sqrt(best * (1 - best) / DRAWS)
    assert np.all(np.abs(best - wanted["best_arm_probabilities"]) <= noise)
    shares = np.array(thompson_shares(means, variances, config["min_variation_weight"]))
    assert np.all(np.abs(shares - wanted["bandit_weights"]) <= 4 * np.sqrt(0.25 / DRAWS) / 2)
    assert sum(shares) == pytest.approx(1.0)


@pytest.mark.parametrize("index", range(100))
def test_recorded_case(index: int) -> None:
    """The case agrees to 1e-9 (bandits within their noise), or says by name why there is no number."""
    if not cases():
        pytest.skip(f"{CASES} is absent: the recorded cases are not there")
    case = cases()[index]
    kind = case["kind"]
    if kind in OWNED_ELSEWHERE:
        pytest.skip(f"{kind} is checked with power")
    if kind == "check_srm":
        agree((srm_p_value(case["input"]["users"], case["input"]["weights"]),), [case["output"]])
    elif kind.startswith("EffectMoments"):
        check_moments(case)
    elif kind.endswith("TTest"):
        check_test(case)
    elif kind == "EffectBayesianABTest":
        check_belief(case)
    else:
        assert kind == "BanditsSimple"
        check_bandit(case)


def test_all_cases_are_read() -> None:
    """There are a hundred cases, and no kind is left out without being named."""
    if not cases():
        pytest.skip(f"{CASES} is absent: the recorded cases are not there")
    assert len(cases()) == 100
    assert sum(case["kind"] in OWNED_ELSEWHERE for case in cases()) == 1
