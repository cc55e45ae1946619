"""Who is in an experiment at all: shared holdouts, layers, traffic and its ramp-up, forced arms. Knows no features."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence

from abloop.assign.experiment import Assignment, BucketAssignment
from abloop.assign.fnv import bucket
from abloop.assign.hashing import draw, prefix, threshold


class Screen:
    """Independent draws that say who is in an experiment; each depends on its own name and the unit alone.

    Args:
        salt: Names the experiment.
        assignment: Its arms; units that keep another product's arms also keep being in or out.
        traffic: Share of units in the experiment, in [0, 1].
        ramp: Instead: time and traffic from then on, by time.
        layer: Name, low and high end of the part of a layer that is the experiment's own; None for no layer.
        holdouts: Name and share of each holdout that is shared with other experiments.
        force: Unit to index of its arm.

    Example:
        >>> assignment = Assignment("checkout", [0.5, 0.5])
        >>> half = Screen("checkout", assignment, traffic=0.5)
        >>> sum(half.inside(str(unit), 0.0) for unit in range(1_000)) in range(450, 550)
        True
    """

    def __init__(
        self,
        salt: str,
        assignment: Assignment,
        *,
        traffic: float = 1.0,
        ramp: Sequence[tuple[float, float]] = (),
        layer: tuple[str, float, float] | None = None,
        holdouts: Sequence[tuple[str, float]] = (),
        force: Mapping[str, int] | None = None,
    ) -> None:
        """Compile the draws."""
        self.force = dict(force or {})
        self._assignment = assignment
        self._traffic = prefix(salt, "traffic")
        self._starts = [at for at, _ in ramp]
        self._shares = [0.0 if ramp else traffic, *(share for _, share in ramp)]
        self._layer = layer
        self._own = isinstance(assignment, BucketAssignment)
        name, low, high = layer or ("", 0.0, 1.0)
        self._slot = prefix(name, "layer"), threshold(low), threshold(high)
        self._holdouts = [(prefix(name, "held out"), threshold(share)) for name, share in holdouts]

    def held_out(self, unit: str) -> bool:
        """Return whether a shared holdout has the unit."""
        return any(draw(salt, unit) < below for salt, below in self._holdouts)

    def traffic(self, now: float) -> float:
        """Return the share of units in the experiment at a time, in seconds since 1970."""
        return self._shares[bisect_right(self._starts, now)]

    def inside(self, unit: str, now: float) -> bool:
        """Return whether the unit is in the part of the layer and of the traffic that is the experiment's own."""
        if self._layer is not None and not self._in_layer(unit):
            return False
        share = self.traffic(now)
        if share >= 1.0:
            return True
        if isinstance(self._assignment, BucketAssignment):
            return self._assignment.within(unit, share)
        return draw(self._traffic, unit) < threshold(share)

    def _in_layer(self, unit: str) -> bool:
        if self._own and self._layer is not None:
            name, low, high = self._layer
            return low <= bucket(f"__{name}", unit, 1) < high
        salt, start, end = self._slot
        return start <= draw(salt, unit) < end
