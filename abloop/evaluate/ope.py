"""Off-policy value from logged propensities, with intervals by unit. Knows no learner and no storage."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from abloop.stats.compare import Estimate, t_quantile

Frame = NDArray[np.float64]
Index = NDArray[np.intp]


def doubly_robust(predicted: Frame, arm: Index, outcome: Frame, propensity: Frame) -> Frame:
    """Return each row's doubly-robust score of every arm.

    score_k = mu_k(x) + 1[arm = k] / p * (y - mu_k(x)); its mean estimates the value of arm k, without bias
    when either mu (fitted on other rows) or p is right. Source: Robins, Rotnitzky, Zhao, JASA 1994; Dudik,
    Langford, Li, ICML 2011.

    Args:
        predicted: Out-of-fold outcome predictions mu, shape (n, k).
        arm: Logged arm, shape (n,).
        outcome: Logged outcome, shape (n,).
        propensity: Probability of the logged arm, in (0, 1], shape (n,).

    Returns:
        Scores, shape (n, k).
    """
    scores = predicted.copy()
    rows = np.arange(len(arm))
    scores[rows, arm] += (outcome - predicted[rows, arm]) / propensity
    return scores


def count_units(groups: Index) -> int:
    """Return how many units rows are of, without sorting them.

    Args:
        groups: Unit of each row, from 0, shape (n,); numbers may be left out.

    Example:
        >>> count_units(np.array([3, 0, 3]))
        2
    """
    return int(np.count_nonzero(np.bincount(groups)))


def clustered_mean(values: Frame, groups: Index, weights: Frame | None = None) -> tuple[float, float]:
    """Return a (weighted) mean and its standard error with rows of one unit taken together.

    Args:
        values: Shape (n,).
        groups: Unit of each row, 0 to g - 1, shape (n,).
        weights: Shape (n,), not negative; None for equal ones.

    Returns:
        Mean and standard error; NaN where fewer than two units carry weight.
    """
    there = groups if weights is None else groups[weights > 0]
    weights = np.ones(len(values)) if weights is None else weights
    total = float(weights.sum())
    if total <= 0.0:
        return math.nan, math.nan
    mean = float(values @ weights) / total
    units = count_units(there)
    if units < 2:
        return mean, math.nan
    sums = np.bincount(groups, weights * (values - mean))
    return mean, math.sqrt(float(sums @ sums) * units / (units - 1)) / total


def weighted_value(values: Frame, groups: Index, weights: Frame | None = None, confidence: float = 0.95) -> Estimate:
    """Return the self-normalised inverse-propensity value (SNIPS) of rows with its t interval.

    Args:
        values: Outcome of each row that counts, shape (n,).
        groups: Unit of each row, shape (n,).
        weights: One over the propensity of the logged arm, shape (n,); None for equal ones.
        confidence: Coverage, in (0, 1).

    Returns:
        The value; NaN interval ends below two units.

    Example:
        >>> weighted_value(np.array([1.0, 0.0]), np.array([0, 1]), np.array([3.0, 1.0])).mean
        0.75
    """
    mean, error = clustered_mean(values, groups, weights)
    units = count_units(groups)
    half = t_quantile(0.5 + confidence / 2, max(1, units - 1)) * error
    return Estimate(units, mean, mean - half, mean + half)


def value_difference(
    values: Frame,
    weights: Frame,
    first: NDArray[np.bool_],
    second: NDArray[np.bool_],
    confidence: float = 0.95,
) -> Estimate:
    """Return the difference of two self-normalised values that may share rows, with its interval.

    The interval comes from the influence of each row on the difference, so that rows on which both agree
    cancel: w (y - V1) 1[first] / sum_first(w) - w (y - V2) 1[second] / sum_second(w).

    Args:
        values: Outcome of each row, one row a unit, shape (n,).
        weights: One over the propensity of the logged arm, shape (n,).
        first: Rows that count for the first value, shape (n,).
        second: Rows that count for the second, shape (n,).
        confidence: Coverage, in (0, 1).

    Returns:
        First minus second; NaN where either has no row.
    """
    influence, means = np.zeros(len(values)), []
    for rows, sign in ((first, 1.0), (second, -1.0)):
        mean, _ = clustered_mean(values[rows], np.arange(int(rows.sum())), weights[rows])
        means.append(mean)
        influence += sign * np.where(rows, weights * (values - mean), 0.0) / max(weights[rows].sum(), 1e-300)
    half = t_quantile(0.5 + confidence / 2, max(1, len(values) - 1)) * math.sqrt(float(influence @ influence))
    gap = means[0] - means[1]
    return Estimate(int((first | second).sum()), gap, gap - half, gap + half)


def effective_sample_size(weights: Frame) -> float:
    """Return (sum w)**2 / sum w**2, the rows that weighted rows are worth; 0 without any.

    Example:
        >>> effective_sample_size(np.array([1.0, 1.0, 2.0]))
        2.6666666666666665
    """
    squares = float(weights @ weights)
    return float(weights.sum()) ** 2 / squares if squares else 0.0
