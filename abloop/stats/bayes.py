"""Beliefs about an effect after data: chance to beat the control, expected loss. Knows no table."""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec

from abloop.errors import DataError
from abloop.stats.compare import refuse
from abloop.stats.contrast import Contrast, Reason
from abloop.validate import in_range

MARKS = (-9.0, -6.0, -4.5, -3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0, 4.5, 6.0, 9.0)  # between them a belief is smooth
NODES = 24  # of the Gauss-Legendre rule between two marks


class Normal(msgspec.Struct, frozen=True):
    """A normal belief about the effect before data.

    Attributes:
        mean: Its mean.
        variance: Its variance, above 0; infinity is no belief at all (the improper, flat prior).
        relative: Whether it is about the lift over the control, not about the difference.
    """

    mean: float = 0.0
    variance: float = math.inf
    relative: bool = True


class Posterior(msgspec.Struct, frozen=True):
    """What is believed of an effect after data.

    Attributes:
        n: Units of both arms.
        value: Mean of the difference or lift.
        error: Its standard deviation.
        low: Lower end of the credible interval, of equal tails.
        high: Upper end.
        chance: Probability that the treatment is better than the control.
        loss: Expected loss if the treatment is shipped: what is lost where it is worse, 0 where it is better.
        loss_of_control: The same if the control is kept.
        reason: Why there is none of it; empty where there is. No number is NaN without it.
        detail: The arm and the count behind the reason.
    """

    n: int
    value: float
    error: float
    low: float
    high: float
    chance: float
    loss: float
    loss_of_control: float
    reason: Reason = ""
    detail: str = ""


def posterior(
    contrast: Contrast,
    prior: Normal | None = None,
    confidence: float = 0.95,
    *,
    relative: bool = False,
    lower_is_better: bool = False,
) -> Posterior:
    """Return the belief about the effect after data, with a normal prior.

    Precisions add: the posterior has precision 1/v + 1/w and mean (d/v + m/w) over it, with d and v the
    effect and its variance, m and w those of the prior. A prior about the lift is scaled by the size of the
    control's value where the difference is asked for, and the other way round. Expected losses are
    E max(0, -e) = s phi(u / s) - u Phi(-u / s) for a belief of mean u and deviation s. Source: Gelman et
    al., "Bayesian Data Analysis" (3rd ed.), section 2.5; Stucchio, "Bayesian A/B Testing at VWO", 2015.

    Args:
        contrast: Treatment against control.
        prior: Belief before data; flat where None.
        confidence: Probability of the credible interval, in (0, 1).
        relative: Whether the lift over the control is wanted instead of the difference.
        lower_is_better: Whether the treatment wins by a lower value.

    Returns:
        The belief; with a reason where the contrast allows none.

    Raises:
        DataError: A prior or confidence outside its range.

    Example:
        >>> found = posterior(Contrast(200, 0.1, 0.5, 0.0016, -0.0008, 0.0008, 190.0))
        >>> f"{found.chance:.3f} {found.loss:.5f}"
        '0.994 0.00008'
    """
    from scipy.special import ndtr, ndtri  # here, so that `import abloop` stays light

    prior = prior or Normal()
    in_range("confidence", confidence, 0, 1, open_low=True, open_high=True, error=DataError)
    in_range("prior.mean", prior.mean, error=DataError)
    if prior.variance != math.inf:
        in_range("prior.variance", prior.variance, 0, open_low=True, error=DataError)
    if refused := refuse(contrast, relative=relative):
        return nothing(contrast.n, refused.value, refused.reason, refused.detail)
    value, variance = contrast.scaled(relative=relative)
    scale = 1.0
    if prior.relative != relative:
        scale = abs(contrast.baseline) if prior.relative else 1.0 / abs(contrast.baseline) if contrast.baseline else 0.0
    if not scale and prior.variance != math.inf:
        return nothing(contrast.n, value, "zero_baseline", "control: its value is 0, and the prior is relative to it")
    weight = 0.0 if prior.variance == math.inf else 1.0 / (prior.variance * scale * scale)
    precision = 1.0 / variance + weight
    mean, error = (value / variance + prior.mean * scale * weight) / precision, math.sqrt(1.0 / precision)
    half = float(ndtri(0.5 + confidence / 2)) * error
    sign = -1.0 if lower_is_better else 1.0
    chance = float(ndtr(sign * mean / error))
    worse, better = (_shortfall(side * mean, error) for side in (sign, -sign))
    return Posterior(contrast.n, mean, error, mean - half, mean + half, chance, worse, better)


def nothing(n: int, value: float, reason: Reason, detail: str) -> Posterior:
    """Return the posterior of data that allow none: only the reason."""
    nan = math.nan
    return Posterior(n, value, nan, nan, nan, nan, nan, nan, reason, detail)


def _shortfall(mean: float, deviation: float) -> float:
    """Return E max(0, -e) of a normal e, without loss of digits where it is rare."""
    from scipy.special import erfcx, ndtr

    z = mean / deviation
    if z > 38.0:  # less than the least float
        return 0.0
    density = math.exp(-0.5 * z * z) / math.sqrt(2.0 * math.pi)
    if z > 0.0:  # phi - z Phi(-z), with Mills' ratio taken exactly
        return deviation * density * (1.0 - z * math.sqrt(math.pi / 2.0) * float(erfcx(z / math.sqrt(2.0))))
    return deviation * density - mean * float(ndtr(-z))


def best_chances(means: Sequence[float], variances: Sequence[float]) -> tuple[float, ...]:
    """Return the probability of each arm that it is the best, for independent normal beliefs.

    Args:
        means: Of each arm's value, shape (k,).
        variances: Of each mean, above 0, shape (k,).

    Raises:
        DataError: Fewer than two arms, or a variance that is none.

    Example:
        >>> [round(chance, 4) for chance in best_chances([0.0, 1.0], [0.5, 0.5])]
        [0.1587, 0.8413]
    """
    return _places(means, variances)[0]


def thompson_shares(means: Sequence[float], variances: Sequence[float], least: float = 0.0) -> tuple[float, ...]:
    """Return traffic shares by top-two Thompson sampling: each arm's chance to be first or second, halved.

    Source: Russo, "Simple Bayesian Algorithms for Best-Arm Identification", Operations Research 2020, with
    the coin at one half; exact, where GrowthBook draws.

    Args:
        means: Of each arm's value, shape (k,).
        variances: Of each mean, above 0, shape (k,).
        least: Share that every arm keeps; the rest follows the chances. Even shares where it is 1 / k or more.

    Raises:
        DataError: Fewer than two arms, or a variance that is none.

    Example:
        >>> [round(share, 3) for share in thompson_shares([0.0, 0.0, 5.0], [0.5, 0.5, 0.5])]
        [0.25, 0.25, 0.5]
    """
    in_range("least", least, 0, 1, error=DataError)
    first, second = _places(means, variances)
    spare = max(0.0, 1.0 - least * len(means))
    floor = min(least, 1.0 / len(means))
    return tuple(floor + spare * (one + two) / 2.0 for one, two in zip(first, second, strict=True))


def _places(means: Sequence[float], variances: Sequence[float]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return each arm's chance to be first and to be second, integrated piece by piece."""
    import numpy as np  # here, so that `import abloop` stays light
    from scipy.special import log_ndtr

    if len(means) != len(variances) or len(means) < 2:
        raise DataError(f"{len(means)} means, {len(variances)} variances; allowed: one each for two arms or more")
    for arm, (mean, variance) in enumerate(zip(means, variances, strict=True)):
        in_range(f"means[{arm}]", mean, error=DataError)
        in_range(f"variances[{arm}]", variance, 0, open_low=True, error=DataError)
    centre, deviation = np.array(means, dtype=float), np.sqrt(np.array(variances, dtype=float))
    marks = np.unique((centre[:, None] + deviation[:, None] * np.array(MARKS)).ravel())
    nodes, weights = np.polynomial.legendre.leggauss(NODES)
    half = np.diff(marks)[:, None] / 2.0
    x, weight = (marks[:-1, None] + half * (nodes + 1.0)).ravel(), (half * weights).ravel()
    z = (x - centre[:, None]) / deviation[:, None]
    density = np.exp(-0.5 * z * z) / (deviation[:, None] * math.sqrt(2.0 * math.pi)) * weight
    below, above = log_ndtr(z), log_ndtr(-z)
    all_below = below.sum(axis=0)
    first = (density * np.exp(all_below - below)).sum(axis=1)
    second = np.zeros(len(means))
    for winner in range(len(means)):
        for arm in range(len(means)):
            if arm != winner:
                second[arm] += (density[arm] * np.exp(all_below - below[arm] - below[winner] + above[winner])).sum()
    return tuple(float(p) for p in first / first.sum()), tuple(float(p) for p in second / second.sum())
