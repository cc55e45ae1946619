"""Which values of a tuple a formula is handed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import Any


def picker(places: Sequence[int | slice]) -> Callable[[tuple[Any, ...]], tuple[Any, ...]]:
    """Return the function that takes some places out of a tuple, in one call where there are several.

    Example:
        >>> picker([2, slice(0, 2)])((5, 6, 7)), picker([1])((5, 6, 7))
        ((7, (5, 6)), (6,))
    """
    if len(places) > 1:
        return itemgetter(*places)
    if not places:
        return lambda values: ()
    (place,) = places
    return itemgetter(slice(place, place + 1)) if isinstance(place, int) else lambda values: (values[place],)
