"""The arms of a PlanOut operator: what may be chosen as text, with the share of each. Knows no experiment."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from abloop.adapters.planout.base import Operator


class Arms(NamedTuple):
    """What one parameter may be.

    Attributes:
        names: Its values as text, length k, 2 or more, distinct.
        shares: Probability of each, in (0, 1], shape (k,), sums to one.
        values: The values themselves, length k.
    """

    names: tuple[str, ...]
    shares: tuple[float, ...]
    values: tuple[Any, ...]


def arms_of(operator: Operator) -> Arms | None:
    """Return the arms of an operator; None where it chooses none, or they are no arms of an experiment.

    Equal choices are one arm. There are no arms where fewer than two can come out, or where two values of different
    types read alike, as 1 and "1" do.

    Example:
        >>> from abloop.adapters.planout import WeightedChoice
        >>> arms_of(WeightedChoice(choices=["a", "b", "a"], weights=[1, 2, 1], unit=7))
        Arms(names=('a', 'b'), shares=(0.5, 0.5), values=('a', 'b'))
    """
    found = operator.choices()
    if found is None:
        return None
    values: dict[str, Any] = {}
    shares: dict[str, float] = {}
    for value, weight in zip(*found, strict=True):
        if not weight >= 0.0:
            return None
        if weight:
            name = str(value)
            if type(values.setdefault(name, value)) is not type(value):
                return None
            shares[name] = shares.get(name, 0.0) + weight
    total = sum(shares.values())
    if len(shares) < 2 or not math.isfinite(total):
        return None
    return Arms(tuple(shares), tuple(share / total for share in shares.values()), tuple(values.values()))
