"""What a policy would have been worth, from decisions that another one made. Knows no learner and no storage.

Five estimators with one interface, two kinds of interval, and a floor: a policy that does what was hardly ever done
gets no number.
"""

from __future__ import annotations

import math
from typing import Literal

import msgspec
import numpy as np

from abloop.errors import DataError
from abloop.evaluate.ope import Frame, Index, clustered_mean, count_units, doubly_robust, effective_sample_size
from abloop.stats.compare import Estimate, t_quantile

Estimator = Literal["ips", "snips", "direct", "dr", "switch"]
Interval = Literal["asymptotic", "bernstein"]
FEWEST_WORTH = 100.0  # rows that the weighted rows must be worth,
LEAST_WORTH = 0.05  # and the share of all rows
MEAN_WEIGHT_Z = 6.0  # standard errors by which the mean weight may miss one: skewed weights often miss it by four


class Log(msgspec.Struct, frozen=True, kw_only=True):
    """Decisions as they were made, and the policy that is asked about.

    Attributes:
        arm: Logged arm, shape (n,).
        outcome: Its outcome, shape (n,), finite.
        propensity: Probability that the logged arm had, in (0, 1], shape (n,).
        policy: Probability of each arm under the policy, shape (n, k), rows that sum to one.
        predicted: Outcome predictions of each arm from models of other rows, shape (n, k); None where there are none.
        groups: Unit of each row, 0 to g - 1, shape (n,); None for one row a unit.
    """

    arm: Index
    outcome: Frame
    propensity: Frame
    policy: Frame
    predicted: Frame | None = None
    groups: Index | None = None

    def weights(self) -> Frame:
        """Return how much likelier the policy does what was done, shape (n,)."""
        found: Frame = self.policy[np.arange(len(self.arm)), self.arm] / self.propensity
        return found

    def check(self) -> None:
        """Refuse arrays that do not fit together.

        Raises:
            DataError: They do not.
        """
        rows, arms = self.policy.shape
        lengths = {"arm": len(self.arm), "outcome": len(self.outcome), "propensity": len(self.propensity)}
        lengths |= {} if self.groups is None else {"groups": len(self.groups)}
        if any(length != rows for length in lengths.values()) or not rows:
            told = ", ".join(f"{name} {length:,}" for name, length in lengths.items())
            raise DataError(f"rows are {told}, policy {rows:,}; allowed: as many in each, and some")
        if self.predicted is not None and self.predicted.shape != (rows, arms):
            raise DataError(f"predicted has shape {self.predicted.shape}; allowed: that of policy, ({rows}, {arms})")
        if not ((self.arm >= 0) & (self.arm < arms)).all():
            raise DataError(f"arm is {self.arm.min()} to {self.arm.max()}; allowed: 0 to {arms - 1}, policy's columns")
        if not np.isfinite(self.outcome).all():
            raise DataError(f"outcome has {int((~np.isfinite(self.outcome)).sum()):,} values that are not finite")
        if not ((self.propensity > 0) & (self.propensity <= 1)).all():
            raise DataError(
                f"propensity is {self.propensity.min():g} to {self.propensity.max():g}; allowed: the probability that "
                "the logged arm had, in (0, 1]"
            )
        if (self.policy < 0).any() or not np.allclose(self.policy.sum(axis=1), 1.0, atol=1e-6):
            raise DataError("policy has rows that are no probabilities; allowed: from 0, each row summing to 1")


class Overlap(msgspec.Struct, frozen=True, kw_only=True):
    """How much of what the policy does was done.

    Attributes:
        n: Rows.
        worth: Effective sample size: rows that the weighted rows are worth.
        mean_weight: Mean weight; about one where the logged propensities are those that were drawn with.
        most: Greatest weight.
        arms: By arm: its rows, its share under the policy, and what its weighted rows are worth.
        alarm: What is wrong, and what to do; empty where nothing is.
    """

    n: int
    worth: float
    mean_weight: float
    most: float
    arms: tuple[tuple[int, float, float], ...]
    alarm: str = ""


class Value(msgspec.Struct, frozen=True, kw_only=True):
    """What a policy is worth a decision.

    Attributes:
        value: The estimate with its interval.
        estimator: How it was estimated.
        interval: How its interval was.
        overlap: What it rests on.
    """

    value: Estimate
    estimator: str
    interval: str
    overlap: Overlap


def overlap(log: Log) -> Overlap:
    """Return how much of what a policy does was done, with an alarm where it is too little.

    Raises:
        DataError: The arrays do not fit together.
    """
    log.check()
    weights, rows = log.weights(), len(log.arm)
    worth = effective_sample_size(weights)
    arms = []
    for arm in range(log.policy.shape[1]):
        here = log.arm == arm
        arms.append((int(here.sum()), float(log.policy[:, arm].mean()), effective_sample_size(weights[here])))
    groups = np.arange(rows) if log.groups is None else log.groups
    mean, error = clustered_mean(weights, groups)
    alarm = ""
    floor = max(FEWEST_WORTH, LEAST_WORTH * rows)
    if worth < floor:
        alarm = (
            f"The policy does what was hardly ever done: {rows:,} rows are worth {worth:,.0f}, allowed: {floor:,.0f} "
            "or more. Explore more, or ask about a policy that is closer to the one that ran."
        )
    elif abs(mean - 1.0) > MEAN_WEIGHT_Z * error + 1e-9:
        alarm = (
            f"The mean weight is {mean:.3f} where it must be about 1 (standard error {error:.3f}): arms were not drawn "
            "with the propensities that were logged, or never had a chance where the policy takes them."
        )
    return Overlap(n=rows, worth=worth, mean_weight=mean, most=float(weights.max()), arms=tuple(arms), alarm=alarm)


def policy_value(
    log: Log,
    estimator: Estimator = "dr",
    *,
    interval: Interval = "asymptotic",
    bounds: tuple[float, float] | None = None,
    threshold: float | None = None,
    confidence: float = 0.95,
) -> Value:
    """Return what a policy would have been worth a decision.

    * `ips`: mean of w y. Unbiased with the logged propensities. Source: Horvitz, Thompson, JASA 1952.
    * `snips`: sum of w y over sum of w. Source: Swaminathan, Joachims, NeurIPS 2015.
    * `direct`: mean of the predictions under the policy; its interval holds no error of the predictions.
    * `dr`: predictions, mended by weighted residuals. Source: Dudik, Langford, Li, ICML 2011.
    * `switch`: as `dr`, with residuals left out where the weight is above a threshold. Source: Wang, Agarwal, Dudik,
      ICML 2017.

    Args:
        log: The decisions and the policy.
        estimator: Which.
        interval: `asymptotic` by the t distribution, or `bernstein`, which holds for any number of rows where the
            outcome stays in its bounds. Source: Maurer, Pontil, COLT 2009, theorem 4.
        bounds: Least and greatest outcome there can be, for `bernstein`.
        threshold: Weight above which `switch` trusts the predictions; the root of the rows where None.
        confidence: Coverage, in (0, 1).

    Raises:
        DataError: The arrays do not fit together, there is no overlap, or what the estimator needs is missing.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> arm = rng.integers(0, 2, 10_000)
        >>> always = np.tile([0.0, 1.0], (10_000, 1))
        >>> log = Log(arm=arm, outcome=2.0 * arm, propensity=np.full(10_000, 0.5), policy=always)
        >>> round(policy_value(log, "snips").value.mean, 6)
        2.0
    """
    seen = overlap(log)
    if seen.alarm:
        raise DataError(seen.alarm)
    if log.predicted is None and estimator in ("direct", "dr", "switch"):
        raise DataError(f"estimator {estimator!r} needs predictions; give `predicted`, or ask for 'ips' or 'snips'")
    weights = log.weights()
    groups = np.arange(seen.n) if log.groups is None else log.groups
    if interval == "bernstein":
        if estimator in ("snips", "direct") or bounds is None:
            raise DataError("interval 'bernstein' needs the outcome's `bounds`, and estimator 'ips', 'dr' or 'switch'")
        found = _bernstein(_terms(log, estimator, weights, threshold), groups, _span(log, bounds), confidence)
    elif estimator == "snips":
        found = _student(log.outcome, groups, weights, confidence)
    else:
        found = _student(_terms(log, estimator, weights, threshold), groups, None, confidence)
    return Value(value=found, estimator=estimator, interval=interval, overlap=seen)


def _terms(log: Log, estimator: str, weights: Frame, threshold: float | None) -> Frame:
    """Return the terms whose mean is the estimate, shape (n,)."""
    if log.predicted is None:
        found: Frame = weights * log.outcome
        return found
    if estimator == "ips":
        return np.asarray(weights * log.outcome)
    direct: Frame = (log.policy * log.predicted).sum(axis=1)
    if estimator == "direct":
        return direct
    mended: Frame = (log.policy * doubly_robust(log.predicted, log.arm, log.outcome, log.propensity)).sum(axis=1)
    if estimator == "dr":
        return mended
    return np.where(weights > (math.sqrt(len(weights)) if threshold is None else threshold), direct, mended)


def _student(values: Frame, groups: Index, weights: Frame | None, confidence: float) -> Estimate:
    mean, error = clustered_mean(values, groups, weights)
    units = count_units(groups)
    half = t_quantile(0.5 + confidence / 2, max(1, units - 1)) * error
    return Estimate(units, mean, mean - half, mean + half)


def _span(log: Log, bounds: tuple[float, float]) -> float:
    """Return the most by which two terms can differ, by the outcome's bounds and the least propensity.

    Raises:
        DataError: An outcome or a prediction lies outside the bounds.
    """
    low, high = bounds
    values = [log.outcome] if log.predicted is None else [log.outcome, log.predicted]
    if any(float(each.min()) < low or float(each.max()) > high for each in values):
        raise DataError(f"bounds are {low:g} to {high:g}; outcomes or predictions lie outside")
    steepest = 1.0 / float(log.propensity.min())
    if log.predicted is None:
        return max(0.0, high * steepest) - min(0.0, low * steepest)
    return (high - low) * (1.0 + 2.0 * steepest)


def _bernstein(terms: Frame, groups: Index, span: float, confidence: float) -> Estimate:
    """Return a mean with the empirical Bernstein interval; rows of one unit are one term."""
    counts = np.bincount(groups)
    units = int((counts > 0).sum())
    sums = np.bincount(groups, terms)[counts > 0] * (units / len(terms))
    reach = span * float(counts.max()) * units / len(terms)
    mean = float(sums.mean())
    log_term = math.log(4.0 / (1.0 - confidence))  # each side at half the error rate
    half = math.sqrt(2.0 * float(sums.var(ddof=1)) * log_term / units) + 7.0 * reach * log_term / (3.0 * (units - 1))
    return Estimate(units, mean, mean - half, mean + half)
