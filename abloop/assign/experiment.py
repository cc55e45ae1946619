"""An experiment compiled for one draw: who is held out, who explores, who gets which arm. Knows no model."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate

from abloop.assign.hashing import SIZE, draw, hash64, prefix, threshold


class Assignment:
    """Three independent draws for a unit: holdout, explore share, arm.

    The draws depend on the salt and the unit alone. A unit in the explore share therefore keeps the arm it
    had while everything was randomised.

    Args:
        salt: Names the experiment; two experiments with one salt assign alike.
        weights: Probability of each arm, shape (k,), sums to one.
        holdout: Share of units that always get control, in [0, 1).
        explore: Share of the other units that stay randomised, in [0, 1].

    Example:
        >>> assignment = Assignment("checkout", [0.5, 0.5])
        >>> assignment.arm("user-1") in (0, 1)
        True
    """

    __slots__ = (
        "_arm",
        "_bounds",
        "_explore",
        "_explore_below",
        "_holdout",
        "_holdout_below",
        "_policy",
        "has_holdout",
        "weights",
    )

    def __init__(self, salt: str, weights: Sequence[float], *, holdout: float = 0.0, explore: float = 1.0) -> None:
        """Compile the draws."""
        self.weights = tuple(weights)
        self._arm = prefix(salt, "arm")
        self._explore = prefix(salt, "explore")
        self._holdout = prefix(salt, "holdout")
        self._policy = prefix(salt, "policy")
        self._explore_below = threshold(explore)
        self._holdout_below = threshold(holdout)
        self.has_holdout = holdout > 0
        self._bounds = [threshold(share) for share in accumulate(self.weights)][:-1]

    def arm(self, unit: str) -> int:
        """Return the index of the unit's randomised arm."""
        try:
            point = hash64((self._arm + unit).encode())
        except UnicodeEncodeError:
            point = draw(self._arm, unit)
        return bisect_right(self._bounds, point)

    def held_out(self, unit: str) -> bool:
        """Return whether the unit never receives anything new."""
        return self.has_holdout and draw(self._holdout, unit) < self._holdout_below

    def explores(self, unit: str) -> bool:
        """Return whether the unit stays randomised while others are personalised."""
        return draw(self._explore, unit) < self._explore_below

    def pick(self, unit: str, shares: Sequence[float]) -> int:
        """Return the arm that a random policy draws for the unit.

        Args:
            unit: The unit.
            shares: Probability of each arm, shape (k,), sums to one.
        """
        point, total, last = draw(self._policy, unit) / SIZE, 0.0, 0
        for arm, share in enumerate(shares):
            total += share
            if point < total:
                return arm
            last = arm if share > 0.0 else last
        return last  # the shares sum to a little less than one
