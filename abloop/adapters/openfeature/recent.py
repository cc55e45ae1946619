"""A bounded memory: the newest entries, safe for threads. Knows nothing of what it keeps."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

V = TypeVar("V")


class Recent(Generic[V]):
    """The entries that came last.

    Args:
        most: How many are kept; 0 keeps none.

    Example:
        >>> recent = Recent[int](2)
        >>> for number, name in enumerate("abc"):
        ...     recent.put(name, number)
        >>> recent.get("a"), recent.get("c")
        (None, 2)
    """

    __slots__ = ("_kept", "_most")

    def __init__(self, most: int) -> None:
        """Begin empty."""
        self._most = most
        self._kept: OrderedDict[Hashable, V] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, key: Hashable) -> V | None:
        """Return what is kept under a key; None where nothing is."""
        return self._kept.get(key)

    def put(self, key: Hashable, value: V) -> None:
        """Keep a value; the one that came first goes where there are too many."""
        kept = self._kept
        kept[key] = value
        while len(kept) > self._most:
            try:
                kept.popitem(last=False)
            except KeyError:  # another thread has just let it go
                return
