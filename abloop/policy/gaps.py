"""Shares by the distance to the best arm, for one decision and for a frame, in the same bits."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from abloop.policy.draws import Shares, argmax, argmax_all

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]


def inverse_gap(values: Sequence[float], weight: float) -> Shares:
    """Return shares that fall with the distance to the best arm, which gets the rest; None where undefined.

    share = 1 / (k + weight * (best - value)). Source: Abe, Long, ICML 1999; Foster, Rakhlin, ICML 2020 (SquareCB).

    Example:
        >>> inverse_gap((0.0, 1.0), 2.0)
        (0.25, 0.75)
    """
    if not 0.0 <= weight < math.inf or not all(map(math.isfinite, values)):
        return None
    best, arms = argmax(values), len(values)
    shares = [1.0 / (arms + weight * (values[best] - value)) for value in values]
    others = 0.0
    for arm, share in enumerate(shares):
        others = others + (0.0 if arm == best else share)
    if others != others:  # no weight of a distance beyond the numbers
        return None
    return tuple([1.0 - others if arm == best else share for arm, share in enumerate(shares)])


def inverse_gap_all(values: Array, weight: Array | float) -> Array:
    """Return `inverse_gap` of each row, NaN where it is undefined, shape (n, k)."""
    import numpy as np

    given: Array = np.broadcast_to(np.asarray(weight, dtype=np.float64), len(values))
    fine: NDArray[np.bool_] = (given >= 0.0) & (given < np.inf) & np.isfinite(values).all(axis=1)
    safe, steep = np.where(fine[:, None], values, 0.0), np.where(fine, given, 1.0)
    best = argmax_all(safe)
    mine = np.arange(values.shape[1])[None, :] == best[:, None]
    top: Array = np.take_along_axis(safe, best[:, None], axis=1)
    with np.errstate(over="ignore", invalid="ignore"):
        shares = 1.0 / (values.shape[1] + steep[:, None] * (top - safe))
    others: Array = np.zeros(len(values))
    for column in np.where(mine, 0.0, shares).T:
        others = others + column
    fine = fine & ~np.isnan(others)
    return np.where(fine[:, None], np.where(mine, (1.0 - others)[:, None], shares), np.nan)
