"""One unit's way through abloop: which parameters are strategies, what abloop gives for them, what happened after."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from abloop.adapters.exposure import Exposures
from abloop.adapters.planout.arms import Arms, arms_of
from abloop.adapters.planout.base import Operator
from abloop.errors import AbloopError, UnknownNameError
from abloop.loop import Loop

log = logging.getLogger("abloop")
_kept: dict[Loop | str, Exposures] = {}


def exposures_of(loop: Loop | str) -> Exposures:
    """Return the one `Exposures` of a loop: experiments are made anew for each request, it is not.

    A URL that cannot be used is said once, and nothing is recorded.
    """
    if loop not in _kept:
        try:
            _kept[loop] = Exposures(loop)
        except AbloopError as error:
            log.error("PlanOut experiments are not recorded: %s", error)
            _kept[loop] = Exposures(None)
    return _kept[loop]


class Draw(NamedTuple):
    """One parameter that was drawn and is a strategy.

    Attributes:
        strategy: Its name.
        arms: What it may be.
        drawn: Index of what PlanOut's hash gave.
    """

    strategy: str
    arms: Arms
    drawn: int


class Placement:
    """What abloop sees of one unit in one experiment.

    A first run of the experiment's code notes what is drawn, in order, and writes nothing: a unit that the code
    turns away, or of which only an event is logged, is not exposed. Exposing asks abloop for each draw in turn. While
    everything is randomised the answers are what was drawn. At the first other answer the code has to run again,
    with the answers so far, since later parameters may depend on this one.

    Args:
        exposures: Where exposures go.
        experiment: Name of the experiment.
        inputs: Its inputs: the context of the decision.
        primary: Names of the inputs that are randomised; where empty, the unit of the first draw.
    """

    def __init__(
        self, exposures: Exposures, experiment: str, inputs: Mapping[str, Any], primary: Sequence[str] = ()
    ) -> None:
        """Begin with nothing drawn."""
        self._exposures = exposures
        self._experiment = experiment
        self._inputs = inputs
        self._key = ".".join(primary)
        self._unit = _text([inputs.get(name) for name in primary]) if primary else None
        self._draws: list[Draw] = []
        self._answers: list[int] | None = None

    def watch(self, name: str, operator: Operator, value: Any) -> Any:
        """Note an operator that was drawn; return the value to keep."""
        arms, given = arms_of(operator), operator.unit()
        unit = _text(given if type(given) is list else [given])
        if arms is None or str(value) not in arms.names:
            return value
        if self._unit is None:
            self._unit, self._key = unit, self._named(given)
        if unit != self._unit:
            return value
        draw = Draw(f"{self._experiment}.{name}", arms, arms.names.index(str(value)))
        self._draws.append(draw)
        if self._answers is None:
            return value
        if len(self._answers) < len(self._draws):
            self._answers.append(self._place(draw))
        answer = self._answers[len(self._draws) - 1]
        return value if answer == draw.drawn else arms.values[answer]

    def expose(self, *, given: bool = False) -> bool:
        """Record the exposures; return whether the experiment's code has to run again.

        Args:
            given: Whether the product has been given what was drawn. Then that stays, and is not recorded where abloop
                personalises the parameter by now and would have given something else.
        """
        if given:
            for draw in self._draws:
                if not self._personalised(draw.strategy):
                    self._place(draw)
            return False
        self._answers = []
        for draw in self._draws:
            self._answers.append(self._place(draw))
            if self._answers[-1] != draw.drawn:
                self._draws = []
                return True
        return False

    def observe(self, name: str, value: float) -> None:
        """Log what happened to the unit."""
        if self._unit is not None and self._draws:
            self._exposures.observe(self._unit, {name: value}, [draw.strategy for draw in self._draws])

    def _place(self, draw: Draw) -> int:
        arms = draw.arms
        return self._exposures.place(
            draw.strategy, self._unit or "", self._inputs, arms.names, draw.drawn, arms.shares, unit_key=self._key
        )

    def _personalised(self, strategy: str) -> bool:
        try:
            return self._exposures.loop is not None and self._exposures.loop.strategy(strategy).snapshot.serves
        except AbloopError as error:  # while the database is away, nobody knows
            return not isinstance(error, UnknownNameError)

    def _named(self, unit: Any) -> str:
        """Return the name of the input that holds a unit; `unit` where none does."""
        if type(unit) is list and len(unit) == 1:
            unit = unit[0]
        return next((name for name, value in self._inputs.items() if value is unit), "unit")


def _text(parts: Sequence[Any]) -> str:
    return ".".join(map(str, parts))
