"""PlanOut's random operators: a value from the SHA-1 of salts and unit, bit for bit that of PlanOut 0.6.0.

Written from its public behaviour, https://facebook.github.io/planout/. Knows no experiment and no journal.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import Any

from abloop.adapters.planout.base import Hash, Operator

__all__ = [
    "BernoulliFilter",
    "BernoulliTrial",
    "FastSample",
    "RandomFloat",
    "RandomInteger",
    "Sample",
    "UniformChoice",
    "WeightedChoice",
]


class RandomFloat(Operator):
    """A number in [min, max], uniformly.

    Example:
        >>> 0 <= RandomFloat(min=0, max=1).draw("exp", "x", ["u1"]) <= 1
        True
    """

    def value(self, hashed: Hash) -> float:
        """Return the number."""
        return hashed.uniform(float(self._number("min")), float(self._number("max")))


class RandomInteger(Operator):
    """A whole number from min to max, both included, uniformly.

    Example:
        >>> RandomInteger(min=3, max=3).draw("exp", "x", ["u1"])
        3
    """

    def value(self, hashed: Hash) -> int:
        """Return the number."""
        low, high = self._integer("min"), self._integer("max")
        if high < low:
            raise self._refused("max", f"a whole number of at least {low!r:.80}")
        return low + hashed.integer() % (high - low + 1)


class BernoulliTrial(Operator):
    """1 with probability p, else 0.

    Example:
        >>> BernoulliTrial(p=1).draw("exp", "x", ["u1"])
        1
    """

    def value(self, hashed: Hash) -> int:
        """Return 0 or 1."""
        return int(hashed.uniform() <= self._share("p"))

    def choices(self) -> tuple[Sequence[Any], Sequence[float]] | None:
        """Return 0 and 1 with their probabilities."""
        share = self._share("p")
        return (0, 1), (1.0 - share, share)


class BernoulliFilter(Operator):
    """Those of the choices that a trial of their own with probability p keeps.

    Example:
        >>> BernoulliFilter(choices=["a", "b"], p=1).draw("exp", "x", ["u1"])
        ['a', 'b']
    """

    def value(self, hashed: Hash) -> list[Any]:
        """Return what is kept, in the order given."""
        share = self._share("p")
        return [choice for choice in self._list("choices") if hashed.uniform(more=choice) <= share]


class UniformChoice(Operator):
    """One of the choices, each with the same probability; an empty list where there are none.

    Example:
        >>> UniformChoice(choices=["a", "b"]).draw("exp", "x", ["u1"]) in ("a", "b")
        True
    """

    def value(self, hashed: Hash) -> Any:
        """Return the choice."""
        found = self._list("choices")
        return found[hashed.integer() % len(found)] if found else []

    def choices(self) -> tuple[Sequence[Any], Sequence[float]] | None:
        """Return the choices with equal weights."""
        found = self._list("choices")
        return found, [1.0] * len(found)


class WeightedChoice(Operator):
    """One of the choices, each by its weight; an empty list where there are none.

    Example:
        >>> WeightedChoice(choices=["a", "b"], weights=[0, 1]).draw("exp", "x", ["u1"])
        'b'
    """

    def value(self, hashed: Hash) -> Any:
        """Return the choice; None where no weight is a number that can be reached."""
        found, weights = self._list("choices"), self._weights()
        if not found:
            return []
        ends = list(accumulate(weights, initial=0.0))[1:]
        point = hashed.uniform(0.0, ends[-1])
        return next((choice for choice, end in zip(found, ends, strict=False) if point <= end), None)

    def choices(self) -> tuple[Sequence[Any], Sequence[float]] | None:
        """Return the choices with their weights."""
        found, weights = self._list("choices"), self._weights()
        return found, [*weights, *[0.0] * (len(found) - len(weights))]

    def _weights(self) -> list[float]:
        found = self._list("weights")
        numbers = all(isinstance(weight, int | float) for weight in found)
        if not numbers or not 0 < len(found) <= max(1, len(self._list("choices"))):
            raise self._refused("weights", "one number for each choice")
        return found


class Sample(Operator):
    """Some of the choices in random order, without replacement; all of them where `draws` is not given.

    Example:
        >>> sorted(Sample(choices=[1, 2, 3]).draw("exp", "x", ["u1"]))
        [1, 2, 3]
    """

    def value(self, hashed: Hash) -> list[Any]:
        """Return the first ones after a shuffle."""
        found = self._list("choices")
        draws = self._draws(len(found))
        self._shuffle(found, hashed, 0)
        return found[:draws]

    def _draws(self, most: int) -> int:
        draws = self._integer("draws") if "draws" in self.args else most
        if not 0 <= draws <= most:
            raise self._refused("draws", f"a whole number from 0 to {most}, the number of choices")
        return draws

    @staticmethod
    def _shuffle(found: list[Any], hashed: Hash, last: int) -> None:
        """Shuffle in place from the end down to a position, as Fisher and Yates do."""
        for place in range(len(found) - 1, max(last, 1) - 1, -1):
            other = hashed.integer(place) % (place + 1)
            found[place], found[other] = found[other], found[place]


class FastSample(Sample):
    """The same in as many steps as there are draws; its samples are not those of `Sample`.

    Example:
        >>> len(FastSample(choices=[1, 2, 3], draws=2).draw("exp", "x", ["u1"]))
        2
    """

    def value(self, hashed: Hash) -> list[Any]:
        """Return the last ones of a shuffle that goes no further than it must."""
        found = self._list("choices")
        draws = self._draws(len(found))
        stop = len(found) - draws if draws else 0
        self._shuffle(found, hashed, stop)
        return found[stop:] if stop else found[:draws]
