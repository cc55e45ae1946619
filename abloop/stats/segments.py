"""Does an effect differ between segments, and what is it in each? Knows no table.

The best segment of many looks better than it is. Each segment's effect is therefore drawn towards the mean of
all, the more so the less is known of it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist

import msgspec

from abloop.errors import DataError
from abloop.stats.compare import Estimate
from abloop.validate import distinct, in_range

FEWEST = 4  # segments below which their spread cannot be learned


class SegmentEffect(msgspec.Struct, frozen=True):
    """The effect measured in one segment alone.

    Attributes:
        segment: Its name.
        n: Units.
        mean: Effect.
        error: Standard error of the effect, above 0.
    """

    segment: str
    n: int
    mean: float
    error: float


class Heterogeneity(msgspec.Struct, frozen=True):
    """How an effect differs between segments.

    Attributes:
        pooled: Mean effect over segments, weighed by what is known of each.
        spread: Standard deviation of true effects between segments; 0 where noise explains all.
        q: Cochran's Q.
        p: Its p-value: the chance of such differences where all effects are the same.
        share: Share of the differences that noise does not explain (I squared), in [0, 1).
        segments: Shrunk effects, by segment.
        reason: Why effects are not shrunk; empty where they are.
    """

    pooled: Estimate
    spread: float
    q: float
    p: float
    share: float
    segments: dict[str, Estimate]
    reason: str = ""


def heterogeneity(effects: Sequence[SegmentEffect], confidence: float = 0.95) -> Heterogeneity:
    """Return whether effects differ between segments, and each segment's shrunk effect.

    Cochran's Q against chi-square with k - 1 degrees of freedom; source: Cochran, Biometrics 10 (1954). The
    variance A of true effects after Paule, Mandel (Journal of Research NBS 87, 1982): Q with weights
    1 / (error**2 + A) is k - 1. Shrinkage and intervals are empirical Bayes with allowance for A and the mean
    being estimated, so that intervals cover on average over segments; source: Morris, "Parametric empirical
    Bayes inference", JASA 78 (1983), eq. 1.22 to 1.27 and 5.2 to 5.5 (unequal variances).

    Args:
        effects: One for each segment; segments share no units.
        confidence: Coverage of intervals, in (0, 1).

    Returns:
        The record; below four segments effects are as measured, with the reason.

    Raises:
        DataError: Fewer than two segments, one named twice, or an effect without a standard error.

    Example:
        >>> found = heterogeneity([SegmentEffect(name, 100, x, 1.0) for name, x in zip("abcd", [0.0, 1, 2, 9])])
        >>> round(found.p, 4), round(found.segments["d"].mean, 1)
        (0.0, 8.9)
    """
    from scipy.special import chdtrc  # here, so that `import abloop` stays light

    _check(effects, confidence)
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    k, variances = len(effects), [effect.error**2 for effect in effects]
    means = [effect.mean for effect in effects]
    q = _dispersion(means, variances, 0.0)
    between = _between(means, variances)
    weights = [1.0 / (variance + between) for variance in variances]
    total = math.fsum(weights)
    mean = math.fsum(weight * value for weight, value in zip(weights, means, strict=True)) / total
    half = z / math.sqrt(total)
    return Heterogeneity(
        Estimate(sum(effect.n for effect in effects), mean, mean - half, mean + half),
        math.sqrt(between),
        q,
        float(chdtrc(k - 1, q)),
        max(0.0, 1.0 - (k - 1) / q) if q > 0 else 0.0,
        _shrunk(effects, mean, between, z),
        f"{k} segments: their spread cannot be learned from fewer than {FEWEST}" if k < FEWEST else "",
    )


def _shrunk(effects: Sequence[SegmentEffect], mean: float, between: float, z: float) -> dict[str, Estimate]:
    """Return each segment's effect drawn towards the mean, with its interval."""
    k = len(effects)
    weights = [1.0 / (effect.error**2 + between) for effect in effects]
    total = math.fsum(weights)
    middle = math.fsum(weight * effect.error**2 for weight, effect in zip(weights, effects, strict=True)) / total
    found = {}
    for effect, weight in zip(effects, weights, strict=True):
        own, gap = effect.error**2, effect.mean - mean
        pull = (k - 3) / (k - 1) * own * weight if k >= FEWEST else 0.0
        doubt = 2.0 / (k - 3) * pull**2 * (middle + between) * weight if k >= FEWEST else 0.0
        half = z * math.sqrt(own * (1.0 - (1.0 - weight / total) * pull) + doubt * gap * gap)
        value = effect.mean - pull * gap
        found[effect.segment] = Estimate(effect.n, value, value - half, value + half)
    return found


def _dispersion(means: Sequence[float], variances: Sequence[float], between: float) -> float:
    """Return the weighed sum of squares around the weighed mean, for a given variance of true effects."""
    weights = [1.0 / (variance + between) for variance in variances]
    mean = math.fsum(weight * value for weight, value in zip(weights, means, strict=True)) / math.fsum(weights)
    return math.fsum(weight * (value - mean) ** 2 for weight, value in zip(weights, means, strict=True))


def _between(means: Sequence[float], variances: Sequence[float]) -> float:
    """Return Paule and Mandel's variance of true effects.

    statsmodels' `combine_effects` has it too, but stops at an absolute 1e-5, which is coarse for rates.
    """
    from scipy.optimize import brentq

    freedom = len(means) - 1
    if _dispersion(means, variances, 0.0) <= freedom:
        return 0.0
    high = (max(means) - min(means)) ** 2
    return float(brentq(lambda between: _dispersion(means, variances, between) - freedom, 0.0, high, xtol=1e-14 * high))


def _check(effects: Sequence[SegmentEffect], confidence: float) -> None:
    """Refuse effects that cannot be compared."""
    in_range("confidence", confidence, 0, 1, open_low=True, open_high=True, error=DataError)
    if len(effects) < 2:
        raise DataError(f"{len(effects)} segments; allowed: two or more")
    distinct("segments", [effect.segment for effect in effects], error=DataError)
    for effect in effects:
        in_range(f"segment {effect.segment!r}: units", effect.n, 0, error=DataError)
        in_range(f"segment {effect.segment!r}: effect", effect.mean, error=DataError)
        in_range(f"segment {effect.segment!r}: standard error", effect.error, 0, open_low=True, error=DataError)
