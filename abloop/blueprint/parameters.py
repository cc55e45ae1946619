"""The numbers of a blueprint that tuning may turn: weights of its policy, and what it marks beside them."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from abloop.blueprint.spec import Blueprint

WHOLE = ("ranking.most", "ranking.within")  # counts
PARAMETERS = (
    *("ranking.explore", *WHOLE),
    *("experiment.explore", "experiment.margin", "experiment.calm"),
    *("space.low", "space.high"),
)


def tunable(blueprint: Blueprint) -> dict[str, tuple[float, float]]:
    """Return what has a range, by name: weights, then `tuning.parameters`.

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
    ranges |= {each.name: (float(each.low), float(each.high)) for each in blueprint.tuning.parameters}
    return {name: (low, high) for name, (low, high) in ranges.items() if low < high}


def idle_without(blueprint: Blueprint, name: str) -> str:
    """Return without what a parameter does nothing in a blueprint; an empty text where it does something.

    Example:
        >>> from abloop.blueprint import Metric, Space
        >>> lists = Blueprint(strategy="s", metrics=(Metric(name="m"),), space=Space(type="ordering"))
        >>> idle_without(lists, "ranking.most")
        'without ranking.diverse'
    """
    section, _, field = name.partition(".")
    if section == "ranking":
        needed = "slots" if field == "explore" else "diverse"
        return "" if getattr(blueprint.ranking, needed) else f"without ranking.{needed}"
    if section == "space":
        return "" if getattr(blueprint.space, field) is not None else f"without {name}"
    ruled = bool(blueprint.policy.formula)
    return "beside a policy.formula" if ruled and field in ("margin", "calm") else ""


def settings(blueprint: Blueprint) -> dict[str, float]:
    """Return the values of all weights and of `tuning.parameters`, by name."""
    found = {weight.name: float(weight.value) for weight in blueprint.policy.weights}
    for each in blueprint.tuning.parameters:
        section, field = each.name.split(".")
        found[each.name] = float(getattr(getattr(blueprint, section), field) or 0.0)
    return found


def with_settings(blueprint: Blueprint, values: Mapping[str, float]) -> Blueprint:
    """Return a blueprint with other values of some weights and parameters.

    Args:
        blueprint: The blueprint.
        values: Name to value, as `settings` gives them; a count is rounded.

    Example:
        >>> from abloop.blueprint import Metric, Space
        >>> old = Blueprint(strategy="s", metrics=(Metric(name="m"),), space=Space(type="ordering"))
        >>> with_settings(old, {"ranking.most": 3.0}).ranking.most
        3
    """
    weights = tuple(
        msgspec.structs.replace(weight, value=values.get(weight.name, weight.value))
        for weight in blueprint.policy.weights
    )
    made = msgspec.structs.replace(blueprint, policy=msgspec.structs.replace(blueprint.policy, weights=weights))
    for name, value in values.items():
        section, dot, field = name.partition(".")
        if dot:
            number = round(value) if name in WHOLE else value
            part = msgspec.structs.replace(getattr(made, section), **{field: number})
            made = msgspec.structs.replace(made, **{section: part})
    return made
