"""An experiment compiled for one draw: who is held out, who explores, who gets which arm. Knows no model."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate

from abloop.assign.fnv import bucket
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
        allocation: Which part of the hash space is whose arm, where earlier versions left their mark, as index of
            the arm; by the weights where None.

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
        "_owners",
        "_policy",
        "has_holdout",
        "weights",
    )

    def __init__(
        self,
        salt: str,
        weights: Sequence[float],
        *,
        holdout: float = 0.0,
        explore: float = 1.0,
        allocation: Sequence[tuple[int, int]] | None = None,
    ) -> None:
        """Compile the draws."""
        self.weights = tuple(weights)
        self._arm = prefix(salt, "arm")
        self._explore = prefix(salt, "explore")
        self._holdout = prefix(salt, "holdout")
        self._policy = prefix(salt, "policy")
        self._explore_below = threshold(explore)
        self._holdout_below = threshold(holdout)
        self.has_holdout = holdout > 0
        ends = [threshold(share) for share in accumulate(self.weights)]
        self._bounds = ends[:-1] if allocation is None else [end for end, _ in allocation][:-1]
        self._owners = None if allocation is None else [owner for _, owner in allocation]

    def arm(self, unit: str) -> int:
        """Return the index of the unit's randomised arm."""
        try:
            point = hash64((self._arm + unit).encode())
        except UnicodeEncodeError:
            point = draw(self._arm, unit)
        place = bisect_right(self._bounds, point)
        return place if self._owners is None else self._owners[place]

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


class BucketAssignment(Assignment):
    """The same, with arms by the buckets of GrowthBook's SDKs: units keep the arm that they have there.

    Args:
        salt: The seed, or the experiment's key.
        weights: Probability of each arm, shape (k,), sums to one.
        version: Hash version, 1 or 2.
        holdout: Share of units that always get control, in [0, 1).
        explore: Share of the other units that stay randomised, in [0, 1].

    Example:
        >>> BucketAssignment("checkout", [0.5, 0.5], 2).arm("u-17") in (0, 1)
        True
    """

    __slots__ = ("_ends", "_salt", "_version")

    def __init__(
        self, salt: str, weights: Sequence[float], version: int, *, holdout: float = 0.0, explore: float = 1.0
    ) -> None:
        """Compile the draws."""
        super().__init__(salt, weights, holdout=holdout, explore=explore)
        self._salt = salt
        self._version = version
        self._ends = list(accumulate(self.weights))[:-1]

    def arm(self, unit: str) -> int:
        """Return the index of the unit's randomised arm."""
        return bisect_right(self._ends, bucket(self._salt, unit, self._version))

    def within(self, unit: str, traffic: float) -> bool:
        """Return whether a unit is in the experiment: each arm takes the first part of its own buckets."""
        point, arm = bucket(self._salt, unit, self._version), self.arm(unit)
        return point < (self._ends[arm - 1] if arm else 0.0) + traffic * self.weights[arm]
