"""Which decisions a tracked event belongs to: OpenFeature's events name a unit, abloop's observations a decision."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from abloop.adapters.exposure import exposure_id
from abloop.adapters.openfeature.context import read_unit
from abloop.adapters.openfeature.flag import Flag
from abloop.adapters.openfeature.recent import Recent
from abloop.online import Strategy

LONGEST_KEPT: Final = 1_500  # characters of unit and decision id; longer ones are not worth their memory
Join = tuple[Strategy, str]


class Memory:
    """The decisions that were made last, by unit and by the id that a caller named.

    Args:
        most: Decisions that are remembered.

    Attributes:
        served: Names of all strategies that decided here.
    """

    def __init__(self, most: int) -> None:
        """Begin empty."""
        self.served: set[str] = set()
        self._by_unit: Recent[str] = Recent(most)
        self._by_id: Recent[frozenset[str]] = Recent(most)

    def keep(self, unit: str, strategy: str, decision_id: str, *, named: bool) -> None:
        """Remember a decision.

        Args:
            unit: The unit.
            strategy: The strategy that decided.
            decision_id: Id of the decision.
            named: Whether the caller named the id.
        """
        self.served.add(strategy)
        if len(unit) + len(decision_id) > LONGEST_KEPT:
            return
        self._by_unit.put((unit, strategy), decision_id)
        if named:
            self._by_id.put(decision_id, (self._by_id.get(decision_id) or frozenset()) | {strategy})

    def joins(
        self, flags: Mapping[str, Flag], metric: str, unit: str, attributes: Mapping[str, Any], named: str
    ) -> list[Join]:
        """Return the decisions that an event belongs to.

        They are the remembered ones of strategies that know the metric; where none is remembered, those that the
        unit would have of the strategies that decided here; where none did, of all strategies.

        Args:
            flags: All flags, by name.
            metric: Name of the event.
            unit: The targeting key; empty for none.
            attributes: Of the evaluation context; a strategy's unit is read from them where there is no targeting key.
            named: Decision id that the caller named; empty for none.
        """
        seen: list[Join] = []
        served: list[Join] = []
        others: list[Join] = []
        deciders = self._by_id.get(named) if named else None
        for name, flag in list(flags.items()):  # another thread may add one
            snapshot = flag.handle.snapshot
            if metric not in snapshot.metrics:
                continue
            if named:
                decision_id = named
                is_seen = name in deciders if deciders else named.startswith(f"{name}/")
            else:
                key = unit or read_unit(attributes.get(snapshot.unit_key))
                if not key:
                    continue
                remembered = self._by_unit.get((key, name))
                is_seen, decision_id = remembered is not None, remembered or exposure_id(snapshot, key)
            (seen if is_seen else served if name in self.served else others).append((flag.handle, decision_id))
        return seen or served or others
