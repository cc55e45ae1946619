"""Random policies: the shares of the arms, exactly, for one decision and for a frame, in the same bits.

The shares are the policy: the arm is drawn from them, so that the logged propensity is exact by construction.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import reduce
from itertools import pairwise
from math import erf
from operator import add, mul
from typing import TYPE_CHECKING

from abloop.libm import erf_all, exp, exp_all

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

Shares = tuple[float, ...] | None
ROOT = math.sqrt(2.0)
# Where the greatest draw is looked for, as parts of its range: denser where the surest good arm lies.
GRID = tuple((index / 64) ** 4 for index in range(1, 65))
REACH = 4.0  # standard deviations from a mean to the ends of that range


def argmax(values: Sequence[float]) -> int:
    """Return the index of the greatest value, the first of equals; NaN never wins; -1 where all are NaN.

    Example:
        >>> argmax((1.0, float("nan"), 3.0)), argmax((float("nan"),))
        (2, -1)
    """
    best, most = -1, -math.inf
    for index, value in enumerate(values):
        if value > most or (best < 0 and value == value):
            best, most = index, value
    return best


def argmax_all(values: Array) -> NDArray[np.intp]:
    """Return `argmax` of each row, shape (n, k) to (n,)."""
    import numpy as np

    missing = np.isnan(values)
    best = np.argmax(np.where(missing, -np.inf, values), axis=1)
    # Where all that is left is minus infinity, the first that is not NaN wins, as in a single row.
    first = np.argmax(~missing, axis=1)
    lowest = np.take_along_axis(values, best[:, None], axis=1)[:, 0] == -np.inf
    found = np.where(lowest | np.isnan(np.take_along_axis(values, best[:, None], axis=1)[:, 0]), first, best)
    return np.where(missing.all(axis=1), -1, found).astype(np.intp)


def softmax(values: Sequence[float], temperature: float) -> Shares:
    """Return shares that grow exponentially with value / temperature; None where that is undefined.

    Example:
        >>> softmax((0.0, 0.0), 1.0), softmax((0.0, 1.0), 0.0)
        ((0.5, 0.5), None)
    """
    if not 0.0 < temperature < math.inf or not all(map(math.isfinite, values)):
        return None
    most = values[0]
    for value in values:
        most = value if value > most else most
    weights = [exp((value - most) / temperature) for value in values]
    return _shared(weights)


def softmax_all(values: Array, temperature: Array | float) -> Array:
    """Return `softmax` of each row, NaN where it is undefined, shape (n, k)."""
    import numpy as np

    heat: Array = np.broadcast_to(np.asarray(temperature, dtype=np.float64), len(values))
    fine: NDArray[np.bool_] = (heat > 0.0) & (heat < np.inf) & np.isfinite(values).all(axis=1)
    safe = np.where(fine[:, None], values, 0.0)
    scaled = (safe - safe.max(axis=1)[:, None]) / np.where(fine, heat, 1.0)[:, None]
    return np.where(fine[:, None], _shared_all(exp_all(scaled)), np.nan)


def epsilon(chosen: int, share: float, arms: int) -> Shares:
    """Return shares of one arm, with a share spread evenly over all; None where the arm or share is undefined.

    Example:
        >>> epsilon(1, 0.5, 2)
        (0.25, 0.75)
    """
    if chosen < 0 or share != share:
        return None
    spread = 0.0 if share <= 0.0 else 1.0 if share >= 1.0 else share
    return tuple([spread / arms + (1.0 - spread if arm == chosen else 0.0) for arm in range(arms)])


def epsilon_all(chosen: NDArray[np.intp], share: Array | float, arms: int) -> Array:
    """Return `epsilon` of each row, NaN where it is undefined, shape (n, k)."""
    import numpy as np

    given: Array = np.broadcast_to(np.asarray(share, dtype=np.float64), len(chosen))
    spread: Array = np.where(given <= 0.0, 0.0, np.where(given >= 1.0, 1.0, given))
    mine = np.arange(arms)[None, :] == chosen[:, None]
    undefined: NDArray[np.bool_] = np.asarray((chosen < 0) | np.isnan(given))
    shares = spread[:, None] / arms + np.where(mine, (1.0 - spread)[:, None], 0.0)
    return np.where(undefined[:, None], np.nan, shares)


def thompson(means: Sequence[float], deviations: Sequence[float]) -> Shares:
    """Return the probability of each arm to be the greatest of independent normal draws; None where undefined.

    Exact for two arms; for k > 2 within 0.006, in 64 k steps. Thompson (1933),
    https://doi.org/10.1093/biomet/25.3-4.285

    The greatest draw is in (a, b] with probability prod F(b) - prod F(a), F being the distribution of each arm; within
    so short a stretch, arms share it as their log F rise, which (F(b) - F(a)) / (F(b) + F(a)) is half of.

    Example:
        >>> thompson((0.0, 0.0), (1.0, 1.0))
        (0.5, 0.5)
    """
    if not all(map(math.isfinite, means)) or not all(0.0 <= deviation < math.inf for deviation in deviations):
        return None
    arms = len(means)
    if arms == 2:
        first = _below(means[0] - means[1], _spread(deviations[0], deviations[1]))
        return _shared([first, 1.0 - first])
    return _shared(_greatest(means, deviations))


def _greatest(means: Sequence[float], deviations: Sequence[float]) -> list[float]:
    """Return the probabilities of more than two arms; step by step over the range for one arm after the other."""
    arms = list(zip(means, deviations, [m + d == m for m, d in zip(means, deviations, strict=True)], strict=True))
    level = max([mean for mean, _, still in arms if still], default=-math.inf)
    low = max([mean if still else mean - REACH * deviation for mean, deviation, still in arms])
    reach = max([mean if still else mean + REACH * deviation for mean, deviation, still in arms]) - low
    xs = [low, *[low + reach * part for part in GRID]]
    chances, rise, rises = [1.0] * (len(xs) + 1), [0.0] * len(xs), []
    for mean, deviation, still in arms:
        if still:
            rises.append([0.0] * len(xs))
            continue
        below = [0.5 * (1.0 + erf((x - mean) / deviation / ROOT)) for x in xs]
        below.append(1.0)
        rises.append([(b - a) / (b + a) if b > a else 0.0 for a, b in pairwise(below)])
        chances = list(map(mul, chances, below))
        rise = list(map(add, rise, rises[-1]))
    weights = [(b - a) / up if up > 0.0 and b > a else 0.0 for (a, b), up in zip(pairwise(chances), rise, strict=True)]
    surest = [still and mean == level for mean, _, still in arms]
    heirs = surest.count(True) or len(arms)  # whoever is greatest where nothing above the low end is drawn
    starts = [chances[0] / heirs if mine or heirs == len(arms) else 0.0 for mine in surest]
    # Not by sum(), which since Python 3.12 adds more exactly than a frame does.
    return [reduce(add, map(mul, weights, mine), start) for mine, start in zip(rises, starts, strict=True)]


def thompson_all(means: Array, deviations: Array) -> Array:
    """Return `thompson` of each row, NaN where it is undefined, shape (n, k)."""
    import numpy as np

    known = np.isfinite(means) & np.isfinite(deviations) & (deviations >= 0.0)
    fine: NDArray[np.bool_] = np.asarray(known.all(axis=1))
    mean, spread = np.where(fine[:, None], means, 0.0).T.copy(), np.where(fine[:, None], deviations, 1.0).T.copy()
    arms = len(mean)
    if arms == 2:
        first = _below_all(mean[0] - mean[1], _spread_all(spread[0], spread[1]))
        totals = np.stack([first, 1.0 - first])
    else:
        totals = _greatest_all(mean, spread)
    return np.where(fine[:, None], _shared_all(totals.T), np.nan)


def _greatest_all(mean: Array, spread: Array) -> Array:
    """Return the probabilities of more than two arms, shapes (k, n)."""
    import numpy as np

    arms = len(mean)
    still = mean + spread == mean
    level = np.where(still, mean, -np.inf).max(axis=0)
    low = np.where(still, mean, mean - REACH * spread).max(axis=0)
    reach = np.where(still, mean, mean + REACH * spread).max(axis=0) - low
    divisor = np.where(still, 1.0, spread)

    def below(x: Array) -> Array:
        return np.where(still, 1.0, 0.5 * (1.0 + erf_all((x - mean) / divisor / ROOT)))

    before = below(low)
    chance = _product(before)
    surest = still & (mean == level)
    count = surest.sum(axis=0)
    heirs = np.where(count == 0, arms, count)
    totals = np.where(surest | (heirs == arms), chance / heirs, 0.0)
    for part in (*GRID, math.inf):
        after = below(low + reach * part) if part < math.inf else np.ones_like(mean)
        new = _product(after)
        up = after > before
        rises = np.where(up, (after - before) / np.where(up, after + before, 1.0), 0.0)
        rise: Array = np.zeros(mean.shape[1])
        for each in rises:
            rise = rise + each
        some = (rise > 0.0) & (new > chance)
        totals = totals + np.where(some, (new - chance) / np.where(some, rise, 1.0), 0.0) * rises
        before, chance = after, new
    return totals


def _product(chances: Array) -> Array:
    """Return the product over arms, in their order."""
    found: Array = chances[0]
    for each in chances[1:]:
        found = found * each
    return found


def _spread(one: float, other: float) -> float:
    """Return the deviation of a difference, without leaving the range of numbers on the way."""
    most, least = (one, other) if one >= other else (other, one)
    return most * math.sqrt(1.0 + (least / most) * (least / most)) if most > 0.0 else 0.0


def _spread_all(one: Array, other: Array) -> Array:
    import numpy as np

    most, least = np.where(one >= other, one, other), np.where(one >= other, other, one)
    share = least / np.where(most > 0.0, most, 1.0)
    return np.where(most > 0.0, most * np.sqrt(1.0 + share * share), 0.0)


def _below(distance: float, deviation: float) -> float:
    """Return the probability that a normal draw with this deviation lies below its mean plus the distance."""
    if deviation == 0.0:
        return 1.0 if distance > 0.0 else 0.5 if distance == 0.0 else 0.0
    return 0.5 * (1.0 + erf(distance / deviation / ROOT))


def _below_all(distance: Array, deviation: Array) -> Array:
    import numpy as np

    still = deviation == 0.0
    step = np.where(distance > 0.0, 1.0, np.where(distance == 0.0, 0.5, 0.0))
    return np.where(still, step, 0.5 * (1.0 + erf_all(distance / np.where(still, 1.0, deviation) / ROOT)))


def _shared(weights: Sequence[float]) -> Shares:
    """Return weights as shares of their sum; None where that is not a positive finite number."""
    total = 0.0
    for weight in weights:
        total = total + weight
    if not 0.0 < total < math.inf:
        return None
    return tuple([weight / total for weight in weights])


def _shared_all(weights: Array) -> Array:
    import numpy as np

    total: Array = np.zeros(len(weights))
    for arm in range(weights.shape[1]):
        total = total + weights[:, arm]
    fine = (total > 0.0) & (total < np.inf)
    return np.where(fine[:, None], weights / np.where(fine, total, 1.0)[:, None], np.nan)
