"""The trade-offs that a model of all trials expects, as they are kept: made by an errand, read at once by the page."""

from __future__ import annotations

import msgspec

from abloop.optimize.trials import Point
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
    """

    trials: int
    points: tuple[Point, ...]
    at: float = 0.0
    who: str = ""


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
    """Return the newest frontier that was expected; None where there is none, or only one that another abloop wrote.

    Args:
        workspace: Where the strategy is.
        strategy: Its name.
    """
    found = workspace.reports.newest(strategy, KIND)
    try:
        return None if found is None else _decoder.decode(found.body)
    except (msgspec.DecodeError, msgspec.ValidationError):
        return None
