"""Propensities of the explore share. Knows no model and no hash."""

from __future__ import annotations

from collections.abc import Sequence


def mixed_propensity(weights: Sequence[float], explore: float, chosen: int, arm: int) -> float:
    """Return the probability of an arm when a share of units explores and the others get one chosen arm.

    p(arm) = explore * weights[arm] + (1 - explore) * 1[arm = chosen]

    Args:
        weights: Randomisation probabilities of the explore share, shape (k,).
        explore: Explore share, in [0, 1].
        chosen: Arm that the policy chooses.
        arm: Arm asked for.

    Returns:
        The probability, in [0, 1].

    Example:
        >>> mixed_propensity((0.5, 0.5), 0.25, chosen=1, arm=1)
        0.875
    """
    return explore * weights[arm] + (1.0 - explore if arm == chosen else 0.0)
