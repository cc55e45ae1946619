"""A strategy seen as a flag: the types it can be asked for, whether it draws, and the reasons it gives.

Compiled once for each snapshot. Nothing here decides.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, Final

from openfeature.flag_evaluation import FlagMetadata, FlagType, Reason

from abloop.details import Details
from abloop.online import Strategy
from abloop.snapshot import Snapshot

EXACT: Final = 1 << 53  # greatest whole number up to which every one is a float
REASONS: Final = {
    "randomise": Reason.SPLIT,
    "explore": Reason.SPLIT,
    "limited": Reason.SPLIT,
    "personalise": Reason.TARGETING_MATCH,
    "forced": Reason.TARGETING_MATCH,
    "ship": Reason.STATIC,
    "default": Reason.DEFAULT,
    "holdout": Reason.DEFAULT,
    "untargeted": Reason.DEFAULT,
    "outside": Reason.DEFAULT,
    "paused": Reason.DISABLED,
}
Describe = Callable[[str, Details], FlagMetadata]


def describe(flag_key: str, details: Details) -> FlagMetadata:
    """Return what is told of a decision as its flag metadata.

    Args:
        flag_key: Name of the strategy.
        details: The decision; without a decision id where it was not recorded.

    Example:
        >>> told = describe("checkout", Details("green", "green", 0.5, "randomise", "d1", 3))
        >>> told["phase"], told["version"], told["propensity"]
        ('randomise', 3, 0.5)
    """
    return {
        "strategy": flag_key,
        "version": details.version,
        "phase": details.reason,
        "propensity": details.propensity,
        "decision_id": details.decision_id,
        "release": details.release,
    }


class Flag:
    """What is served of a strategy, as a flag.

    Args:
        handle: Of the strategy.

    Attributes:
        handle: As given.
        snapshot: What it served when this was made.
        types: Types it may be asked for; none where its arms have several.
        closed: Whether nobody is in the experiment, so that everybody gets control.
        draws: Whether an answer depends on who asks.
        paused: Whether it is switched off.
        lasts: Whether an answer stays right for the same unit and features, as long as the snapshot is served.
    """

    __slots__ = ("closed", "draws", "handle", "lasts", "paused", "snapshot", "types")

    def __init__(self, handle: Strategy) -> None:
        """Compile what is served now."""
        self.handle = handle
        self.snapshot = snapshot = handle.snapshot
        rivals = () if snapshot.split is None else snapshot.split.snapshots
        trial = snapshot.blueprint.experiment
        self.types = frozenset[FlagType].intersection(*(_types(each) for each in rivals or (snapshot,)))
        self.closed = trial.traffic == 0.0 and not trial.ramp
        self.draws = bool(rivals) or _draws(snapshot)
        self.paused = snapshot.serving.phase == "paused" and not rivals
        self.lasts = not (rivals or snapshot.feed or trial.ramp or trial.sticky)

    def reason(self, details: Details) -> Reason:
        """Return the specification's reason for a decision."""
        phase = details.reason
        if phase == "randomise" and details.propensity == 1.0:  # one arm for all who are in
            return Reason.STATIC if self.snapshot.target is None else Reason.TARGETING_MATCH
        if phase == "outside" and self.closed:
            return Reason.STATIC
        return REASONS.get(phase, Reason.UNKNOWN)


def type_of(value: object) -> FlagType | None:
    """Return the flag type of a value; None where it is of none.

    Example:
        >>> type_of(True).name, type_of(1).name, type_of({}).name, type_of(None)
        ('BOOLEAN', 'INTEGER', 'OBJECT', None)
    """
    if isinstance(value, bool):
        return FlagType.BOOLEAN
    if isinstance(value, str):
        return FlagType.STRING
    if isinstance(value, int):
        return FlagType.INTEGER
    if isinstance(value, float):
        return FlagType.FLOAT
    return FlagType.OBJECT if isinstance(value, dict | list) else None


def shaped(value: Any, wanted: FlagType) -> Any:
    """Return a value as it is given out: a float for a float, a copy of an object; None where its type is another.

    Example:
        >>> shaped(3, FlagType.FLOAT), shaped(True, FlagType.INTEGER)
        (3.0, None)
    """
    if type(value) is str:
        return value if wanted is FlagType.STRING else None
    found = type_of(value)
    if found is wanted:
        return copy.deepcopy(value) if found is FlagType.OBJECT else value
    return float(value) if found is FlagType.INTEGER and wanted is FlagType.FLOAT else None


def _types(snapshot: Snapshot) -> frozenset[FlagType]:
    """Return the types that every decision has."""
    space = snapshot.blueprint.space.type
    if space == "structured":
        return frozenset((FlagType.OBJECT,))
    if not snapshot.is_choice:
        return frozenset((FlagType.FLOAT,))
    found = {type_of(value) for value in snapshot.values}
    if found == {FlagType.INTEGER} and all(abs(value) <= EXACT for value in snapshot.values):
        return frozenset((FlagType.INTEGER, FlagType.FLOAT))
    if found == {FlagType.INTEGER, FlagType.FLOAT}:
        return frozenset((FlagType.FLOAT,))
    return frozenset(kind for kind in found if kind is not None) if len(found) == 1 else frozenset()


def _draws(snapshot: Snapshot) -> bool:
    """Return whether an answer depends on the unit, and not on features alone."""
    trial = snapshot.blueprint.experiment
    if snapshot.serving.phase == "paused":
        return False
    if trial.holdout or trial.holdouts or trial.layer or trial.ramp or trial.sticky or snapshot.feed is not None:
        return True
    if trial.traffic == 0.0:
        return False
    return trial.traffic < 1.0 or snapshot.serves or (snapshot.is_choice and max(snapshot.weights) < 1.0)
