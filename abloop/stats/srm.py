"""Sample ratio mismatch: do the arms hold the shares they were given? Knows no table."""

from __future__ import annotations

from collections.abc import Sequence


def srm_p_value(counts: Sequence[int], weights: Sequence[float]) -> float:
    """Return the p-value of Pearson's chi-square test of arm counts against their weights.

    Args:
        counts: Units in each arm, shape (k,).
        weights: Probability of each arm, in (0, 1], shape (k,), sums to one.

    Returns:
        The p-value, in [0, 1]; 1 without units. Below .001 the experiment is unhealthy.

    Raises:
        ValueError: The shapes differ.

    Example:
        >>> round(srm_p_value([44_700, 45_489], [0.5, 0.5]), 4)
        0.0086
    """
    pairs = list(zip(counts, weights, strict=True))
    return srm_weighted(
        sum(counts),
        [count / weight for count, weight in pairs],
        [count / weight**2 for count, weight in pairs],
        weights,
    )


def srm_weighted(units: int, inverse: Sequence[float], squares: Sequence[float], weights: Sequence[float]) -> float:
    """Return the p-value of the same test where units have propensities of their own.

    Each arm's sum of one over the propensity should be the number of units. With g_k that sum over n, less
    one, and v_k the mean of 1 / p_k, the covariance of g is (diag(v) - 1 1') / n; the direction in which it
    vanishes for equal propensities is projected out, so that the statistic
    n (sum g**2/v - (sum g/v)**2 / sum 1/v) has k - 1 degrees of freedom and is Pearson's for equal ones.

    Args:
        units: Number of units, n.
        inverse: Sum of 1 / propensity over the units of each arm, shape (k,).
        squares: Sum of 1 / propensity**2 over the units of each arm, shape (k,).
        weights: Planned probability of each arm, shape (k,); used where an arm has no units.

    Returns:
        The p-value, in [0, 1]; 1 without units.
    """
    from scipy.special import chdtrc  # here, so that `import abloop` stays light

    if not units:
        return 1.0
    first = second = third = 0.0
    for total, square, weight in zip(inverse, squares, weights, strict=True):
        gap = total / units - 1.0
        spread = square / total if total else 1.0 / weight
        first += gap * gap / spread
        second += gap / spread
        third += 1.0 / spread
    return float(chdtrc(len(weights) - 1, max(0.0, units * (first - second * second / third))))
