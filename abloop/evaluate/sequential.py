"""What a policy is worth over whole sequences of decisions, from logged ones. Knows no learner."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Frame = NDArray[np.float64]
Index = NDArray[np.intp]


def sequence_values(
    chosen: Index,
    values: Frame,
    arm: Index,
    reward: Frame,
    propensity: Frame,
    after: Index,
    starts: Index,
    discount: float,
    longest: int,
) -> Frame:
    """Return the doubly-robust value of a policy from each start on.

    From the last step back: V(s) = Q(s, pi) + 1[a = pi] / p * (r + discount * V(s') - Q(s, a)); what lies beyond the
    longest is Q(s', pi). Unbiased for that horizon whatever Q is, where the propensities are right. Source: Jiang, Li,
    ICML 2016.

    Args:
        chosen: What the policy would do at each step, shape (n,).
        values: Q of each arm at each step, from models that never saw the unit, shape (n, k).
        arm: What was done, shape (n,).
        reward: What it brought, shape (n,).
        propensity: Probability of what was done, shape (n,).
        after: Index of the next step, -1 where there is none, shape (n,).
        starts: Steps to begin at, shape (m,).
        discount: Worth of what comes one step later, in [0, 1).
        longest: Steps that are followed from a start, from 1.

    Returns:
        Shape (m,).

    Example:
        >>> steps = (np.array([1, 1]), np.zeros((2, 2)), np.array([1, 1]), np.array([1.0, 1.0]), np.full(2, 0.5))
        >>> sequence_values(*steps, after=np.array([1, -1]), starts=np.array([0]), discount=0.5, longest=9).tolist()
        [4.0]
    """
    paths = [starts]
    while len(paths) < longest and (paths[-1] >= 0).any():
        paths.append(np.where(paths[-1] >= 0, after[paths[-1]], -1))
    beyond = np.where(paths[-1] >= 0, after[paths[-1]], -1)
    found = np.where(beyond >= 0, values[beyond, chosen[beyond]], 0.0)
    for here in reversed(paths):
        real = here >= 0
        ratio = np.where(arm[here] == chosen[here], 1.0 / propensity[here], 0.0)
        gap = reward[here] + discount * found - values[here, arm[here]]
        found = np.where(real, values[here, chosen[here]] + ratio * gap, 0.0)
    return found
