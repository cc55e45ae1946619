"""Sample ratio mismatch: do the arms hold the shares they were given? Knows no table."""

from __future__ import annotations

import math
from collections.abc import Sequence

from abloop.errors import DataError
from abloop.validate import in_range

CONCENTRATION = 1_000.0
NEARLY = 1e-6  # how far sums may be from what they must be, relative


def srm_p_value(counts: Sequence[int], weights: Sequence[float]) -> float:
    """Return the p-value of Pearson's chi-square test of arm counts against their weights.

    Args:
        counts: Units in each arm, shape (k,).
        weights: Probability of each arm, in (0, 1], shape (k,), sums to one.

    Returns:
        The p-value, in [0, 1]; 1 without units. Below .001 the experiment is unhealthy.

    Raises:
        DataError: Counts or weights that are none.

    Example:
        >>> round(srm_p_value([44_700, 45_489], [0.5, 0.5]), 4)
        0.0086
    """
    from scipy.special import chdtrc  # here, so that `import abloop` stays light

    _check(counts, weights)
    units = sum(counts)
    if not units:
        return 1.0
    gaps = [(count - units * weight) ** 2 / (units * weight) for count, weight in zip(counts, weights, strict=True)]
    return float(chdtrc(len(gaps) - 1, math.fsum(gaps)))


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

    Raises:
        DataError: Sums that no traffic has.
    """
    from scipy.special import chdtrc  # here, so that `import abloop` stays light

    in_range("units", units, 0, error=DataError)
    if not len(inverse) == len(squares) == len(weights) >= 2:
        raise DataError(
            f"{len(inverse)} sums, {len(squares)} squares, {len(weights)} weights; allowed: one of each an arm"
        )
    for arm, (total, square, weight) in enumerate(zip(inverse, squares, weights, strict=True)):
        in_range(f"inverse[{arm}]", float(total), 0, error=DataError)
        in_range(f"squares[{arm}]", float(square), 0, error=DataError)
        in_range(f"weights[{arm}]", float(weight), 0, 1, open_low=True, error=DataError)
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


def srm_always_valid(counts: Sequence[int], weights: Sequence[float], concentration: float = CONCENTRATION) -> float:
    """Return a p-value of arm counts against their weights that may be looked at after every unit.

    One over the Bayes factor of a Dirichlet-multinomial, with parameters concentration * weight, against the
    planned multinomial. Under the plan the factor is a martingale that begins at one, so the chance that the
    p-value is ever at or below alpha is at most alpha (Ville). Source: Lindon, Malek, "Anytime-valid inference
    for multinomial count data", NeurIPS 2022, eq. 6.

    The concentration decides which mismatch is found soonest; about n / 15 is best at n units and an alarm at
    .001. With 1,000, 52/48 is found by 20,000 units in 94.7 % of runs and 51/49 by 100,000 in 98.6 %; with 100 in
    92.6 and 97.5 %, with 10,000 in 85.3 and 98.8 % (tests/truth).

    Args:
        counts: Units in each arm, shape (k,).
        weights: Probability of each arm, in (0, 1], shape (k,), sums to one.
        concentration: Units' worth of belief in the plan, above 0.

    Returns:
        The p-value at this look, in [0, 1]; the least one of all looks so far is valid too. 1 without units.

    Raises:
        DataError: Counts or weights that are none.

    Example:
        >>> srm_always_valid([51_000, 49_000], [0.5, 0.5]) < 0.001
        True
        >>> srm_always_valid([5_100, 4_900], [0.5, 0.5]) < 0.001
        False
    """
    _check(counts, weights)
    in_range("concentration", concentration, 0, open_low=True, error=DataError)
    evidence = math.lgamma(concentration) - math.lgamma(concentration + sum(counts))
    for count, weight in zip(counts, weights, strict=True):
        prior = concentration * weight
        evidence += math.lgamma(prior + count) - math.lgamma(prior) - count * math.log(weight)
    return math.exp(min(0.0, -evidence))


def srm_always_valid_weighted(surpluses: Sequence[float], variances: Sequence[float]) -> float:
    """Return a p-value that may be looked at after every unit, where units have propensities of their own.

    For each arm, 1[the unit got it] - propensity sums to a martingale S with variance V. For every l > 0,
    exp(l S - (exp(l) - 1 - l) V) is a supermartingale that begins at one, and so is its like for -S and every
    mean of them: over a grid of l weighed by a half-normal, over both signs and over arms. By Ville's
    inequality the p-value, one over that mean, is ever at or below alpha with a chance of at most alpha; it
    is exact, not asymptotic. Source: Howard, Ramdas, McAuliffe, Sekhon, "Time-uniform Chernoff bounds via
    nonnegative supermartingales", Probability Surveys 2020, table 3 (Bennett); mixtures: section 3 of the
    same authors' "Time-uniform, nonparametric, nonasymptotic confidence sequences", Annals 2021.

    Args:
        surpluses: Sum of 1[the unit got the arm] - propensity over all units, for each arm, shape (k,).
        variances: Sum of propensity * (1 - propensity) over all units, for each arm, shape (k,).

    Returns:
        The p-value at this look, in [0, 1]; 1 without units.

    Raises:
        DataError: Sums that no traffic has.

    Example:
        >>> srm_always_valid_weighted([1_000.0, -1_000.0], [25_000.0, 25_000.0]) < 0.001
        True
    """
    if len(surpluses) != len(variances) or len(surpluses) < 2:
        raise DataError(
            f"{len(surpluses)} surpluses and {len(variances)} variances; allowed: one each for 2 arms or more"
        )
    for arm, (surplus, variance) in enumerate(zip(surpluses, variances, strict=True)):
        in_range(f"surpluses[{arm}]", surplus, error=DataError)
        in_range(f"variances[{arm}]", variance, 0, error=DataError)
        if variance == 0 and abs(surplus) > NEARLY:
            raise DataError(
                f"surpluses[{arm}] is {surplus!r} with variance 0; allowed: 0 where propensities are 0 or 1"
            )
    if abs(math.fsum(surpluses)) > NEARLY * max(1.0, math.fsum(variances)):
        raise DataError(f"surpluses sum to {math.fsum(surpluses)!r}; allowed: 0, as every unit has one arm")
    terms = [
        math.log(share) + slope * sign * surplus - (math.expm1(slope) - slope) * variance
        for surplus, variance in zip(surpluses, variances, strict=True)
        for slope, share in _slopes()
        for sign in (1.0, -1.0)
    ]
    top = max(terms)
    evidence = top + math.log(math.fsum(math.exp(term - top) for term in terms) / (2 * len(surpluses)))
    return math.exp(min(0.0, -evidence))


def _slopes() -> list[tuple[float, float]]:
    """Return the grid of l and its weights, which sum to one: a half-normal as wide as the prior of the other test."""
    wide = 2.0 / math.sqrt(CONCENTRATION)
    grid = [2.0 ** (-step / 2) for step in range(1, 24)]
    mass = [slope * math.exp(-0.5 * (slope / wide) ** 2) for slope in grid]
    return [(slope, share / math.fsum(mass)) for slope, share in zip(grid, mass, strict=True) if share > 0]


def _check(counts: Sequence[int], weights: Sequence[float]) -> None:
    """Refuse counts and weights that are none."""
    if len(counts) != len(weights) or len(counts) < 2:
        raise DataError(f"{len(counts)} counts and {len(weights)} weights; allowed: one each for two arms or more")
    for arm, (count, weight) in enumerate(zip(counts, weights, strict=True)):
        in_range(f"counts[{arm}]", int(count) if count == count // 1 else count, 0, error=DataError)
        in_range(f"weights[{arm}]", float(weight), 0, 1, open_low=True, error=DataError)
    if abs(math.fsum(weights) - 1.0) > NEARLY:
        raise DataError(f"weights sum to {math.fsum(weights)!r}; allowed: 1")
