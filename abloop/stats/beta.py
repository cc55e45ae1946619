"""Beliefs about two proportions after data, without a normal approximation. Knows no table."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec

from abloop.errors import DataError
from abloop.stats.bayes import Posterior, nothing
from abloop.validate import in_range

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[tuple[int, ...], np.dtype[np.float64]]

REACH = 12.0  # standard deviations of the logit beyond which a belief has no weight
TAIL = 45.0  # e**-45 is nothing
FINE = 4.0  # points for each standard deviation: the rule is exact to rounding from 3 on
POINTS = 400_000  # at most


class Beta(msgspec.Struct, frozen=True):
    """A beta belief about a proportion; flat where nothing is said.

    Attributes:
        a: Successes it is worth, and one; above 0.
        b: Failures it is worth, and one; above 0.
    """

    a: float = 1.0
    b: float = 1.0


def beta_posterior(
    treatment: tuple[int, int],
    control: tuple[int, int],
    prior: Beta | None = None,
    confidence: float = 0.95,
    *,
    relative: bool = False,
    lower_is_better: bool = False,
) -> Posterior:
    """Return the belief about two proportions' difference or lift.

    Each proportion is Beta(a + successes, b + failures), a conjugate posterior; source: Gelman et al.,
    "Bayesian Data Analysis" (3rd ed.), section 2.4. All probabilities are integrals over the logit, where
    every beta density is smooth and the trapezoid rule exact to rounding: of one density times the other's
    distribution function; for the loss E max(0, a - b) of P(b < x) P(a > x), which loses no digits.

    Args:
        treatment: Successes and units of one arm.
        control: The same of the other.
        prior: Belief about either proportion before data; flat where None.
        confidence: Probability of the credible interval, in (0, 1).
        relative: Whether the lift is wanted: losses are then in shares of the control's proportion.
        lower_is_better: Whether the treatment wins by a lower proportion.

    Returns:
        The belief; with a reason where an arm is empty, or the lift has no variance.

    Raises:
        DataError: Counts or a prior that are none.

    Example:
        >>> found = beta_posterior((30, 100), (20, 100))
        >>> f"{found.value:.4f} {found.chance:.4f} {found.loss:.5f}"
        '0.0980 0.9476 0.00135'
    """
    prior = prior or Beta()
    in_range("confidence", confidence, 0, 1, open_low=True, open_high=True, error=DataError)
    in_range("prior.a", prior.a, 0, open_low=True, error=DataError)
    in_range("prior.b", prior.b, 0, open_low=True, error=DataError)
    for name, (successes, units) in (("treatment", treatment), ("control", control)):
        in_range(f"{name} units", units, 0, error=DataError)
        in_range(f"{name} successes", successes, 0, units, error=DataError)
    n = treatment[1] + control[1]
    if not treatment[1] or not control[1]:
        return nothing(n, math.nan, "empty_arm", f"{'control' if treatment[1] else 'treatment'}: 0 units")
    new, old = (Beta(prior.a + hits, prior.b + units - hits) for hits, units in (treatment, control))
    if relative and old.a <= 2.0:
        return nothing(n, math.nan, "unbounded", f"control: {control[0]} successes, so that its lift has no variance")
    value, error = _effect(new, old, relative)
    low, high = (_quantile(p, new, old, relative, value, error) for p in (0.5 - confidence / 2, 0.5 + confidence / 2))
    chance = 1.0 - _at_most(0.0, new, old, relative)
    by_old = Beta(old.a - 1.0, old.b) if relative else old  # a density over x is that of a beta with one success less
    times = (old.a + old.b - 1.0) / (old.a - 1.0) if relative else 1.0
    lost, gained = times * _excess(by_old, new), times * _excess(new, by_old)
    if lower_is_better:
        chance, lost, gained = 1.0 - chance, gained, lost
    return Posterior(n, value, error, low, high, chance, lost, gained)


def _effect(new: Beta, old: Beta, relative: bool) -> tuple[float, float]:
    """Return mean and standard deviation of the difference or lift, in closed form."""
    whole, base = new.a + new.b, old.a + old.b
    mean = new.a / whole
    square = mean * (new.a + 1.0) / (whole + 1.0)
    if not relative:
        other = old.a / base
        variance = mean * (new.b / whole) / (whole + 1.0) + other * (old.b / base) / (base + 1.0)
        return mean - other, math.sqrt(variance)
    first = (base - 1.0) / (old.a - 1.0)
    second = first * (base - 2.0) / (old.a - 2.0)
    return mean * first - 1.0, math.sqrt(max(0.0, square * second - (mean * first) ** 2))


def _logit(belief: Beta) -> tuple[float, float, float]:
    """Return where the logit of a proportion may lie, and its standard deviation."""
    from scipy.special import polygamma, psi  # here, so that `import abloop` stays light

    middle = float(psi(belief.a) - psi(belief.b))
    deviation = math.sqrt(float(polygamma(1, belief.a) + polygamma(1, belief.b)))
    low = middle - max(REACH * deviation, TAIL / belief.a)
    return low, middle + max(REACH * deviation, TAIL / belief.b), deviation


def _grid(low: float, high: float, deviation: float) -> tuple[Array, Array, float]:
    """Return proportions, their complements, and the step of their logits."""
    import numpy as np
    from scipy.special import expit

    logits = np.linspace(low, high, int(min(POINTS, FINE * (high - low) / deviation)) + 64)
    return expit(logits), expit(-logits), float(logits[1] - logits[0])


def _expect(belief: Beta, function: Callable[[Array], Array]) -> float:
    """Return the mean of a smooth function of a proportion."""
    import numpy as np
    from scipy.special import xlogy

    x, rest, step = _grid(*_logit(belief))
    weights = xlogy(belief.a, x) + xlogy(belief.b, rest)
    weights = np.exp(weights - weights.max()) * step
    return float(weights @ function(x) / weights.sum())


def _at_most(effect: float, new: Beta, old: Beta, relative: bool) -> float:
    """Return the probability that difference or lift is at or below a value, by the narrower density."""
    import numpy as np
    from scipy.special import betainc, betaincc

    if _logit(old)[2] <= _logit(new)[2]:
        return _expect(
            old,
            lambda x: betainc(new.a, new.b, np.clip(x * (1.0 + effect) if relative else x + effect, 0.0, 1.0)),
        )
    if relative and effect <= -1.0:
        return 0.0
    return _expect(
        new,
        lambda x: betaincc(old.a, old.b, np.clip(x / (1.0 + effect) if relative else x - effect, 0.0, 1.0)),
    )


def _quantile(probability: float, new: Beta, old: Beta, relative: bool, value: float, error: float) -> float:
    """Return the quantile of difference or lift."""
    from scipy.optimize import brentq

    low, high = -1.0, 1.0 if not relative else value + error
    while _at_most(high, new, old, relative) < probability:
        high = 2.0 * high + 1.0
    return float(brentq(lambda x: _at_most(x, new, old, relative) - probability, low, high, xtol=1e-14, rtol=1e-12))


def _excess(one: Beta, two: Beta) -> float:
    """Return E max(0, one - two) for independent proportions."""
    from scipy.special import betainc, betaincc

    low, high = _logit(two)[0], _logit(one)[1]
    if low >= high:
        return 0.0
    x, rest, step = _grid(low, high, min(_logit(one)[2], _logit(two)[2]))
    return float((betainc(two.a, two.b, x) * betaincc(one.a, one.b, x) * x * rest).sum() * step)
