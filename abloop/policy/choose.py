"""The choice of an arm from predicted effects net of cost, for one unit and for a frame. Knows no model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def hurdles(costs: Sequence[float], margin: float) -> tuple[float, ...]:
    """Return what each arm's predicted effect has to exceed: its cost, and for all but control a margin.

    Args:
        costs: Cost of each arm, control first, in value, shape (k,).
        margin: By how much control must be beaten, from 0.

    Example:
        >>> best_arm((0.0, 0.2, 0.1), hurdles((0.0, 0.15, 0.0), 0.1))
        0
    """
    return tuple(float(cost) + margin * (arm > 0) for arm, cost in enumerate(costs))


def best_arm(effects: Sequence[float], costs: Sequence[float]) -> int:
    """Return the arm whose predicted effect net of its cost is greatest; the first of equals.

    Args:
        effects: Predicted effect of each arm, in value, shape (k,).
        costs: Cost of each arm, in value, shape (k,).

    Example:
        >>> best_arm((0.0, 0.2, 0.1), (0.0, 0.15, 0.0))
        2
    """
    best, most = 0, effects[0] - costs[0]
    for arm in range(1, len(effects)):
        net = effects[arm] - costs[arm]
        if net > most:
            best, most = arm, net
    return best


def best_arms(effects: NDArray[np.float64], costs: Sequence[float] | NDArray[np.float64]) -> NDArray[np.intp]:
    """Return `best_arm` of each row.

    Args:
        effects: Shape (n, k).
        costs: Shape (k,).

    Returns:
        Arm indices, shape (n,).
    """
    import numpy as np

    chosen: NDArray[np.intp] = np.argmax(effects - np.asarray(costs), axis=1)
    return chosen
