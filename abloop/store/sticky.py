"""Arms that units keep: the first arm of a unit, remembered whatever weights and traffic become. Knows no storage."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec

from abloop.errors import AbloopError

MOST_CACHED = 100_000
Kept = tuple[str, float]


class KeptArm(msgspec.Struct, frozen=True):
    """The arm that a unit keeps.

    Attributes:
        strategy: The strategy.
        unit: The unit.
        arm: Name of the arm.
        propensity: Probability with which it was drawn.
    """

    strategy: str
    unit: str
    arm: str
    propensity: float


class StickyStore(Protocol):
    """Where first arms are kept; give your own to `abloop.connect(sticky=...)`. It is asked in `get_decision`."""

    def get(self, strategy: str, unit: str) -> Kept | None:
        """Return the arm of a unit and its propensity then; None where the unit has none."""
        ...

    def put(self, strategy: str, unit: str, arm: str, propensity: float) -> None:
        """Keep the arm of a unit."""
        ...


class CachedSticky:
    """First arms behind a cache; written in batches by `flush`.

    What a killed process had not written yet is no loss: the hash of the unit gives the same arm until weights change.
    An arm that a unit is given while nobody can tell whether it has one is not kept, so that it takes no other's place.

    Args:
        look: Returns the arm of a unit from where arms are kept; raises where that cannot be told.
        write: Writes arms there; where it raises, they are written the next time.
    """

    def __init__(self, look: Callable[[str, str], Kept | None], write: Callable[[Sequence[KeptArm]], object]) -> None:
        """Begin with nothing cached."""
        self._look, self._write = look, write
        self._known: dict[tuple[str, str], Kept] = {}
        self._waiting: dict[tuple[str, str], Kept] = {}
        self._doubtful: set[tuple[str, str]] = set()

    def get(self, strategy: str, unit: str) -> Kept | None:
        """Return the arm of a unit and its propensity then; None where it has none, or nobody can tell."""
        found = self._known.get((strategy, unit))
        if found is not None:
            return found
        try:
            kept = self._look(strategy, unit)
        except AbloopError:
            if len(self._doubtful) >= MOST_CACHED:
                self._doubtful.clear()
            self._doubtful.add((strategy, unit))
            return None
        self._doubtful.discard((strategy, unit))
        return None if kept is None else self._remember((strategy, unit), kept)

    def put(self, strategy: str, unit: str, arm: str, propensity: float) -> None:
        """Keep the arm of a unit, unless nobody could tell whether it has one."""
        if (strategy, unit) in self._doubtful:
            return
        self._waiting[strategy, unit] = self._remember((strategy, unit), (arm, propensity))

    def flush(self) -> None:
        """Write what is new.

        Raises:
            StoreError: It was refused; it is tried again the next time.
        """
        waiting, self._waiting = self._waiting, {}
        if not waiting:
            return
        try:
            self._write([KeptArm(*key, *kept) for key, kept in sorted(waiting.items())])
        except AbloopError:
            self._waiting = {**waiting, **self._waiting}
            raise

    def _remember(self, key: tuple[str, str], kept: Kept) -> Kept:
        while len(self._known) >= MOST_CACHED:
            try:
                del self._known[next(iter(self._known))]
            except (KeyError, RuntimeError, StopIteration):  # another thread did
                break
        self._known[key] = kept
        return kept
