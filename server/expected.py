"""The trade-offs that a model of all trials expects, as they are kept: made by an errand, read at once by the page."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from abloop.optimize.trials import Lift, Point
from abloop.store.reports import Kept
from abloop.store.workspace import Workspace

KIND = "frontier"


class Expected(msgspec.Struct, frozen=True):
    """A frontier that was expected.

    Attributes:
        trials: How many trials the model was made of.
        points: Best at the first objective first.
        at: When it was made, in seconds since 1970.
        who: Who asked for it.
        trusted: How much of what the journal said of each metric was left; empty without a log.
    """

    trials: int
    points: tuple[Point, ...]
    at: float = 0.0
    who: str = ""
    trusted: dict[str, float] = {}


def apart(points: Sequence[Point], least: float = 0.25) -> tuple[Point, ...]:
    """Return points that can be told from each other: by more than a part of half an interval, in some metric.

    Args:
        points: A frontier.
        least: That part.

    Example:
        >>> from abloop.optimize.trials import Lift
        >>> points = [Point({"w": w}, {"a": Lift(w, 0.01)}) for w in (0.0, 0.001, 0.02)]
        >>> [point.weights["w"] for point in apart(points)]
        [0.0, 0.02]
    """
    kept: list[Point] = []
    for point in points:
        if all(any(_far(point.lifts[name], other.lifts[name], least) for name in point.lifts) for other in kept):
            kept.append(point)
    return tuple(kept)


def _far(one: Lift, other: Lift, least: float) -> bool:
    return abs(one.mean - other.mean) > least * max(one.half, other.half)


_decoder = msgspec.msgpack.Decoder(Expected)


def keep(workspace: Workspace, strategy: str, expected: Expected) -> None:
    """Keep a frontier as the newest of its strategy.

    Args:
        workspace: Where the strategy is.
        strategy: Its name.
        expected: The frontier.
    """
    version, body = workspace.catalogue.serving(strategy).version, msgspec.msgpack.encode(expected)
    workspace.reports.add(Kept(strategy, KIND, version, expected.at, len(expected.points), expected.who, body))


def newest(workspace: Workspace, strategy: str) -> Expected | None:
    """Return the newest frontier that was expected, as changes against what serves now.

    None where there is none, where another version serves since, or where another abloop wrote it.

    Args:
        workspace: Where the strategy is.
        strategy: Its name.
    """
    found = workspace.reports.newest(strategy, KIND)
    if found is None or found.version != workspace.catalogue.serving(strategy).version:
        return None
    try:
        return _decoder.decode(found.body)
    except (msgspec.DecodeError, msgspec.ValidationError):
        return None
