"""Evaluation: unbiased values, honest intervals, and a gate that errs as rarely as it says."""

from __future__ import annotations

import math

import numpy as np
import pytest

from abloop.evaluate.calibration import effect_slope
from abloop.evaluate.gate import Evidence, cross_choose, judge, needed_units
from abloop.evaluate.ope import (
    clustered_mean,
    doubly_robust,
    effective_sample_size,
    value_difference,
    weighted_value,
)
from abloop.evaluate.verdict import paced, refuse
from abloop.stats.sequential import always_valid_z, one_sided_z


@pytest.mark.parametrize("wrong", ["outcome-model", "neither"])
def test_doubly_robust_is_unbiased(wrong: str) -> None:
    """With the true propensity, the score's mean is each arm's value, however wrong the outcome model."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=200_000)
    chance = 1 / (1 + np.exp(-x))
    arm = (rng.random(len(x)) < chance).astype(int)
    means = np.column_stack([x, 2 * x + 1])
    outcome = means[np.arange(len(x)), arm] + rng.normal(size=len(x))
    predicted = np.zeros_like(means) if wrong == "outcome-model" else means
    scores = doubly_robust(predicted, arm, outcome, np.where(arm == 1, chance, 1 - chance))
    for index, truth in enumerate((0.0, 1.0)):
        mean, error = clustered_mean(scores[:, index], np.arange(len(x)))
        assert abs(mean - truth) < 4 * error


def test_clustered_mean_is_statsmodels() -> None:
    """Rows of one unit are taken together, as statsmodels' clustered error does, with units / (units - 1)."""
    import statsmodels.api as sm

    rng = np.random.default_rng(1)
    groups = rng.integers(0, 40, 300)
    groups = np.unique(groups, return_inverse=True)[1]
    values, weights = rng.normal(size=40)[groups] + rng.normal(size=300), rng.uniform(0.5, 2, 300)
    mean, error = clustered_mean(values, groups, weights)
    peer = sm.WLS(values, np.ones(300), weights=weights).fit(
        cov_type="cluster", cov_kwds={"groups": groups, "use_correction": False}
    )
    units = len(set(groups))
    assert (mean, error) == pytest.approx((peer.params[0], peer.bse[0] * math.sqrt(units / (units - 1))), rel=1e-9)


def test_replay_value_is_unbiased_and_covered() -> None:
    """Weighted by one over the propensity, matched units give a policy's value: 95 % intervals hold in 93 to 97 %."""
    rng = np.random.default_rng(2)
    hits = differences = 0
    for _ in range(1_000):
        x = rng.normal(size=800)
        chance = np.where(x > 0, 0.8, 0.3)
        arm = rng.random(800) < chance
        outcome = 1.0 + x * arm + rng.normal(size=800)
        weights = 1 / np.where(arm, chance, 1 - chance)
        policy = arm == (x > 0)
        value = weighted_value(outcome[policy], np.arange(int(policy.sum())), weights[policy])
        hits += value.low < 1 + 1 / math.sqrt(2 * math.pi) < value.high
        gap = value_difference(outcome, weights, policy, arm)
        differences += gap.low < 1 / math.sqrt(2 * math.pi) < gap.high
    assert 0.93 < hits / 1_000 < 0.97
    assert 0.925 < differences / 1_000 < 0.97


def test_units_that_agree_cancel() -> None:
    """Two policies that are the same differ by exactly nothing."""
    rng = np.random.default_rng(3)
    rows = rng.random(100) < 0.5
    gap = value_difference(rng.normal(size=100), np.ones(100), rows, rows)
    assert (gap.mean, gap.low, gap.high) == (0.0, 0.0, 0.0)


def test_effective_sample_size() -> None:
    """Equal weights are worth their number, one heavy weight is worth one row."""
    assert effective_sample_size(np.ones(50)) == 50
    assert effective_sample_size(np.asarray([1e9, 1.0, 1.0])) == pytest.approx(1.0, abs=1e-6)
    assert effective_sample_size(np.zeros(3)) == 0.0


def test_slope_finds_and_calibrates() -> None:
    """Predictions that are right have slope one; noise has an interval around zero; constants have none."""
    rng = np.random.default_rng(4)
    effect = rng.normal(size=5_000)
    measured, units = effect + rng.normal(size=5_000) * 3, np.arange(5_000)
    right, noise = effect_slope(effect, measured, units), effect_slope(rng.normal(size=5_000), measured, units)
    assert right.low < 1 < right.high
    assert right.low > 0.5
    assert noise.low < 0 < noise.high
    assert math.isnan(effect_slope(np.full(5_000, 0.3), measured, units).mean)


def evidence(
    rng: np.random.Generator, gain: float, lead: float = 0.0, rows: int = 1_000, learners: int = 3
) -> Evidence:
    """Return scores with a policy that gains `gain` over either arm, and treatment that leads by `lead`, in errors."""
    error = 1 / math.sqrt(rows)
    arms = rng.normal(size=(rows, 2)) + np.asarray([0.0, lead * error])
    policy = arms.mean(axis=1) + gain * error + rng.normal(size=(learners, rows)) * 0.7
    return Evidence(
        names=["a", "b"],
        arm_scores=arms,
        policy_scores=np.vstack([policy, arms[:, 0]]),
        losses=np.vstack([rng.normal(size=(learners, rows)), np.full(rows, 9.0)]),
        learners=[*"stx"[:learners], "constant"],
        effects=np.zeros((learners + 1, rows, 2)),
        folds=np.arange(rows) % 5,
        groups=np.arange(rows),
    )


def test_gate_is_rarely_fooled() -> None:
    """Of 2,000 trials in which nothing is better, at most 5 % personalise and at most 5 % + 3 errors ship."""
    rng = np.random.default_rng(5)
    verdicts = [judge(evidence(rng, gain=0.0)).verdict for _ in range(2_000)]
    assert verdicts.count("personalise") / 2_000 <= 0.05
    assert verdicts.count("ship") / 2_000 <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 2_000)


def test_gate_finds_a_gain() -> None:
    """A policy that is far better than both arms is found nearly always, and the gain is what it is."""
    rng = np.random.default_rng(6)
    found = [judge(evidence(rng, gain=5.0)) for _ in range(200)]
    assert sum(verdict.verdict == "personalise" for verdict in found) > 190
    assert np.mean([verdict.low > 0 for verdict in found]) > 0.9


def test_gate_ships_the_better_arm() -> None:
    """An arm that clearly leads is shipped by name, with both verdicts in the sentence."""
    verdict = judge(evidence(np.random.default_rng(7), gain=-3.0, lead=8.0))
    assert (verdict.verdict, verdict.arm) == ("ship", "b")
    assert "Ship 'b': it beats 'a'" in verdict.reason
    assert "Personalising is not proven" in verdict.reason


@pytest.mark.parametrize("always_valid", [False, True])
def test_units_needed_are_the_fewest(always_valid: bool) -> None:
    """With as many units as needed every bound is above zero, with one less it is not; more noise needs more."""
    gains, units, alpha = [(0.02, 0.03), (0.05, 0.02)], 4_000, 0.05
    needed = needed_units(gains, units, alpha, always_valid=always_valid)
    assert needed is not None

    def least(n: int) -> float:
        z = always_valid_z(n, alpha) if always_valid else one_sided_z(alpha)
        return min(gain - z * error * math.sqrt(units / n) for gain, error in gains)

    assert least(needed) > 0 >= least(needed - 1)
    noisy = [(gain, 2 * error) for gain, error in gains]
    assert (needed_units(noisy, units, alpha, always_valid=always_valid) or 0) > 3 * needed
    assert needed_units([*gains, (-0.01, 0.001)], units, alpha, always_valid=always_valid) is None


def test_the_outlook_comes_true() -> None:
    """A small gain is proven with the units that its verdict asked for, if gain and spread stay."""
    verdict = judge(evidence(np.random.default_rng(0), gain=1.0))
    assert verdict.verdict == "not enough evidence"
    assert verdict.needed is not None
    assert verdict.needed > verdict.n
    assert "more units would show it" in verdict.reason
    times = -(-verdict.needed // verdict.n)
    again = judge(repeated(evidence(np.random.default_rng(0), gain=1.0), times))
    assert again.verdict == "personalise"
    assert again.gain == pytest.approx(verdict.gain, abs=1e-12)
    assert again.needed is not None
    assert again.needed <= again.n


def repeated(given: Evidence, times: int) -> Evidence:
    """Return evidence of several times as many units, with the same gain and spread."""
    rows = len(given.folds) * times
    return Evidence(
        names=given.names,
        arm_scores=np.tile(given.arm_scores, (times, 1)),
        policy_scores=np.tile(given.policy_scores, (1, times)),
        losses=np.tile(given.losses, (1, times)),
        learners=given.learners,
        effects=np.tile(given.effects, (1, times, 1)),
        folds=np.tile(given.folds, times),
        groups=np.arange(rows),
    )


def test_a_month_needs_days() -> None:
    """What the gain comes to in a month is said by the pace of the rows, and not where they span no days."""
    verdict = judge(evidence(np.random.default_rng(6), gain=5.0))
    assert paced(verdict, 1_000, 1.0).monthly is None
    assert paced(verdict, 1_000, 1.0).reason == verdict.reason
    month = paced(verdict, 1_000, 5.0)
    assert month.monthly == pytest.approx(6_000)
    assert f"At 6,000 decisions a month that is {verdict.gain * 6_000:+,.4g} a month" in month.reason
    assert paced(refuse("because"), 1_000, 5.0).reason == "because"


def test_a_bound_for_every_look_is_wider() -> None:
    """Asked again and again, the gate wants more proof than for one planned look."""
    same = evidence(np.random.default_rng(8), gain=2.0)
    assert judge(same, always_valid=True).low < judge(same).low


def test_the_luckiest_learner_earns_nothing() -> None:
    """With learners of pure noise, the cross-selected value is zero on average, even if the luckiest is chosen."""
    rng = np.random.default_rng(9)
    honest, lucky = [], []
    for _ in range(400):
        scores = rng.normal(size=(3, 500))
        losses = np.vstack([-scores, np.full(500, 9.0)])
        padded = np.vstack([scores, np.zeros(500)])
        chosen, winner = cross_choose(padded, losses, np.arange(500) % 5, np.arange(500))
        value = padded[chosen, np.arange(500)]
        honest.append(value.mean())
        lucky.append(scores[winner].mean())
    assert abs(np.mean(honest)) < 3 * np.std(honest) / 20
    assert np.mean(lucky) > 5 * np.std(lucky) / 20


def test_refusal_has_no_numbers() -> None:
    """What could not be judged has a reason and no number."""
    verdict = refuse("because", n=3)
    assert verdict.verdict == "not enough evidence"
    assert all(math.isnan(number) for number in (verdict.gain, verdict.low, verdict.high))
