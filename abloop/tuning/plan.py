"""What a blueprint wants tuned, as a question to an optimiser."""

from __future__ import annotations

from abloop.blueprint import Blueprint
from abloop.blueprint.tuning import Objective
from abloop.optimize.search import Search


def tunable(blueprint: Blueprint) -> dict[str, tuple[float, float]]:
    """Return the weights that have a range.

    Example:
        >>> from abloop.blueprint import Metric, Policy, Space, Weight
        >>> weights = (Weight(name="w", value=1, low=0, high=2), Weight(name="fixed", value=3))
        >>> policy = Policy(formula="w * fixed", weights=weights)
        >>> metrics = (Metric(name="m"),)
        >>> tunable(Blueprint(strategy="s", metrics=metrics, space=Space(type="number"), policy=policy))
        {'w': (0.0, 2.0)}
    """
    ranges = {
        weight.name: (
            float(weight.value if weight.low is None else weight.low),
            float(weight.value if weight.high is None else weight.high),
        )
        for weight in blueprint.policy.weights
    }
    return {name: (low, high) for name, (low, high) in ranges.items() if low < high}


def objectives(blueprint: Blueprint) -> tuple[Objective, ...]:
    """Return what tuning makes better: as given, or the goals."""
    return blueprint.tuning.objectives or tuple(Objective(metric=goal.name) for goal in blueprint.goals())


def search_of(blueprint: Blueprint, number: int = 0) -> Search:
    """Return what is searched in a round.

    Args:
        blueprint: The version that serves.
        number: Of the round.
    """
    plan = blueprint.tuning
    return Search(
        bounds=tunable(blueprint),
        served={weight.name: float(weight.value) for weight in blueprint.policy.weights},
        objectives=objectives(blueprint),
        limits=plan.limits,
        sums=plan.sums,
        seed=plan.seed + number,
    )
