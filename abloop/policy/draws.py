"""Random policies: the shares of the arms, exactly, for one decision and for a frame, in the same bits.

The shares are the policy: the arm is drawn from them, so that the logged propensity is exact by construction.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING

from abloop.libm import erf_all, exp, exp_all

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

Shares = tuple[float, ...] | None
POINTS = 32
ROOT = math.sqrt(2.0)


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

    Exact for two arms; for more, by 32 points of equal probability of each arm's own draw. Thompson (1933),
    https://doi.org/10.1093/biomet/25.3-4.285

    Example:
        >>> thompson((0.0, 0.0), (1.0, 1.0))
        (0.5, 0.5)
    """
    if not all(map(math.isfinite, means)) or not all(0.0 <= deviation < math.inf for deviation in deviations):
        return None
    arms = len(means)
    if arms == 2:
        spread = math.sqrt(deviations[0] * deviations[0] + deviations[1] * deviations[1])
        first = _below(means[0] - means[1], spread)
        return _shared([first, 1.0 - first])
    totals = []
    for arm in range(arms):
        total = 0.0
        for point in _points():
            draw, product = means[arm] + deviations[arm] * point, 1.0
            for other in range(arms):
                if other != arm:
                    product = product * _below(draw - means[other], deviations[other])
            total = total + product
        totals.append(total)
    return _shared(totals)


def thompson_all(means: Array, deviations: Array) -> Array:
    """Return `thompson` of each row, NaN where it is undefined, shape (n, k)."""
    import numpy as np

    known = np.isfinite(means) & np.isfinite(deviations) & (deviations >= 0.0)
    fine: NDArray[np.bool_] = np.asarray(known.all(axis=1))
    mean, spread = np.where(fine[:, None], means, 0.0), np.where(fine[:, None], deviations, 1.0)
    arms = means.shape[1]
    if arms == 2:
        both = np.sqrt(spread[:, 0] * spread[:, 0] + spread[:, 1] * spread[:, 1])
        first = _below_all(mean[:, 0] - mean[:, 1], both)
        totals = np.stack([first, 1.0 - first], axis=1)
    else:
        totals = np.zeros_like(mean)
        for arm in range(arms):
            for point in _points():
                draw, product = mean[:, arm] + spread[:, arm] * point, np.ones(len(mean))
                for other in range(arms):
                    if other != arm:
                        product = product * _below_all(draw - mean[:, other], spread[:, other])
                totals[:, arm] = totals[:, arm] + product
    return np.where(fine[:, None], _shared_all(totals), np.nan)


@cache
def _points() -> tuple[float, ...]:
    """Return the middles of 32 equally probable parts of the standard normal."""
    from statistics import NormalDist

    return tuple(NormalDist().inv_cdf((index + 0.5) / POINTS) for index in range(POINTS))


def _below(distance: float, deviation: float) -> float:
    """Return the probability that a normal draw with this deviation lies below its mean plus the distance."""
    if deviation == 0.0:
        return 1.0 if distance > 0.0 else 0.5 if distance == 0.0 else 0.0
    return 0.5 * (1.0 + math.erf(distance / deviation / ROOT))


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
