"""What is searched: the weights with their ranges, what they are turned for, and what they must keep."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray
from scipy.stats import qmc

from abloop.blueprint.tuning import Limit, Objective, Sum
from abloop.errors import DataError

Points = NDArray[np.float64]
Progress = Callable[[int, int], None]  # steps done, steps in all
DRAWS = 4_096  # points looked at, for each that is wanted within sums


def silent(done: int, total: int) -> None:
    """Say nothing of progress."""


class Search(msgspec.Struct, frozen=True, kw_only=True):
    """A question to an optimiser.

    Attributes:
        bounds: Weight to its range.
        served: Weight to its value now.
        objectives: What is made better, as changes against what serves.
        limits: What must be kept; one of an objective is the worst that still counts.
        sums: What weights must keep together.
        whole: Those of `bounds` that are counts.
        seed: Makes it repeatable.
    """

    bounds: dict[str, tuple[float, float]]
    served: dict[str, float]
    objectives: tuple[Objective, ...]
    limits: tuple[Limit, ...] = ()
    sums: tuple[Sum, ...] = ()
    whole: tuple[str, ...] = ()
    seed: int = 0

    @property
    def metrics(self) -> tuple[str, ...]:
        """All that is measured, objectives first."""
        return tuple(
            dict.fromkeys([*(each.metric for each in self.objectives), *(each.metric for each in self.limits)])
        )

    def place(self, weights: Sequence[Mapping[str, float]]) -> Points:
        """Return weights as points of the unit cube, shape (n, d)."""
        return np.array(
            [[(each[name] - low) / (high - low) for name, (low, high) in self.bounds.items()] for each in weights]
        ).reshape(len(weights), len(self.bounds))

    def weights(self, points: Points) -> list[dict[str, float]]:
        """Return points of the unit cube as weights; counts are rounded."""
        found = []
        for point in points:
            values = {
                name: float(min(max(low + (high - low) * x, low), high))
                for (name, (low, high)), x in zip(self.bounds.items(), point, strict=True)
            }
            found.append(values | {name: float(round(values[name])) for name in self.whole})
        return found

    def rows(self) -> list[tuple[NDArray[np.float64], float]]:
        """Return each sum as coefficients c and a bound b of the unit cube, c . x <= b."""
        low = np.array([bound[0] for bound in self.bounds.values()])
        span = np.array([bound[1] - bound[0] for bound in self.bounds.values()])
        found = []
        for each in self.sums:
            c = np.array([each.weights.get(name, 0.0) for name in self.bounds])
            fixed = sum(factor * self.served[name] for name, factor in each.weights.items() if name not in self.bounds)
            if each.most is not None:
                found.append((c * span, each.most - fixed - float(c @ low)))
            if each.least is not None:
                found.append((-c * span, float(c @ low) + fixed - each.least))
        return found

    def keeps(self, points: Points) -> NDArray[np.bool_]:
        """Return which points of the unit cube keep all sums, shape (n,)."""
        kept = np.ones(len(points), dtype=bool)
        for c, b in self.rows():
            kept &= points @ c <= b + 1e-9
        return kept

    def spread(self, count: int, done: int = 0) -> Points:
        """Return points that fill the space evenly and keep the sums, going on after so many.

        Raises:
            DataError: Next to no weights keep the sums.
        """
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that a number is no power of two
            sampler = qmc.Sobol(len(self.bounds), seed=self.seed)
            if not self.sums:
                if done:
                    sampler.fast_forward(done)
                drawn: Points = sampler.random(count)
                return drawn
            drawn = sampler.random(DRAWS + 16 * (count + done))
        kept = drawn[self.keeps(drawn)]
        if len(kept) < count + done:
            raise DataError(f"tuning.sums: {len(kept)} of {len(drawn):,} weights in their ranges keep them; widen them")
        return kept[done : done + count]
