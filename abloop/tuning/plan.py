"""What a blueprint wants tuned, as a question to an optimiser."""

from __future__ import annotations

from abloop.blueprint import Blueprint
from abloop.blueprint.parameters import WHOLE, settings, tunable
from abloop.blueprint.tuning import Objective
from abloop.optimize.search import Search


def objectives(blueprint: Blueprint) -> tuple[Objective, ...]:
    """Return what tuning makes better: as given, or the goals."""
    return blueprint.tuning.objectives or tuple(Objective(metric=goal.name) for goal in blueprint.goals())


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
        sums=plan.sums,
        seed=plan.seed + number,
    )
