"""What a blueprint wants tuned, as a question to an optimiser."""

from __future__ import annotations

from collections.abc import Mapping

from abloop.blueprint import Blueprint
from abloop.blueprint.parameters import WHOLE, settings, tunable
from abloop.blueprint.tuning import Objective, Sum
from abloop.optimize.search import Search

APART = 0.01  # least distance of low and high, as a share of what the two may be


def objectives(blueprint: Blueprint) -> tuple[Objective, ...]:
    """Return what tuning makes better: as given, or the goals."""
    return blueprint.tuning.objectives or tuple(Objective(metric=goal.name) for goal in blueprint.goals())


def _ordered(bounds: Mapping[str, tuple[float, float]]) -> tuple[Sum, ...]:
    """Return that `space.low` is below `space.high`, where tuning could cross them: no blueprint allows it."""
    if not {"space.low", "space.high"} <= set(bounds):
        return ()
    least = APART * (bounds["space.high"][1] - bounds["space.low"][0])
    return (Sum(weights={"space.low": 1, "space.high": -1}, most=-least),)


def search_of(blueprint: Blueprint, number: int = 0) -> Search:
    """Return what is searched in a round.

    Args:
        blueprint: The version that serves.
        number: Of the round.
    """
    plan, bounds = blueprint.tuning, tunable(blueprint)
    return Search(
        bounds=bounds,
        served=settings(blueprint),
        whole=tuple(name for name in WHOLE if name in bounds),
        objectives=objectives(blueprint),
        limits=plan.limits,
        sums=(*plan.sums, *_ordered(bounds)),
        seed=plan.seed + number,
    )
