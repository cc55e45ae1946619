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
    told: NDArray[np.bool_] | None = None,
) -> Frame:
    """Return the doubly-robust value of a policy from each start on.

    From the last step back: V(s) = Q(s, pi) + 1[a = pi] / p * (r + discount * V(s') - Q(s, a)), with nothing after the
    longest. Unbiased for that horizon whatever Q is, where the propensities are right; Q is moved by a number for each
    step, so that it fits what is left of the horizon. Source: Jiang, Li, ICML 2016.

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
        told: Which steps count, shape (n,): the last of a sequence that goes on does not; all where None.

    Returns:
        Shape (m,).

    Example:
        >>> steps = (np.array([1, 1]), np.zeros((2, 2)), np.array([1, 1]), np.array([1.0, 1.0]), np.full(2, 0.5))
        >>> sequence_values(*steps, after=np.array([1, -1]), starts=np.array([0]), discount=0.5, longest=9).tolist()
        [1.5]
    """
    counts = np.ones(len(arm), dtype=np.bool_) if told is None else told
    paths = [starts]
    while len(paths) < longest and (paths[-1] >= 0).any():
        paths.append(np.where(paths[-1] >= 0, after[paths[-1]], -1))
    found = np.zeros(len(starts))
    for here in reversed(paths):
        real = (here >= 0) & counts[here]
        same = arm[here] == chosen[here]
        ratio = np.where(same, 1.0 / propensity[here], 0.0)
        gap = reward[here] + discount * found - values[here, arm[here]]
        weight = np.where(real, ratio, 0.0)
        moved = float(weight @ gap) / max(float(weight.sum()), 1e-300)
        found = np.where(real, values[here, chosen[here]] + moved + ratio * (gap - moved), 0.0)
    return found
