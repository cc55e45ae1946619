"""What must hold between what a blueprint wants tuned and its metrics, weights and parameters."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from abloop import validate
from abloop.blueprint.parameters import PARAMETERS, WHOLE
from abloop.blueprint.spec import Blueprint
from abloop.blueprint.tuning import Limit, Sum
from abloop.errors import BlueprintError, refused, unknown

Ends = tuple[float | None, float | None]  # of a range


def check_tuning(blueprint: Blueprint) -> None:
    """Check what weights are tuned for.

    Raises:
        BlueprintError: With path, value, what is allowed and the fix.
    """
    tuning, metrics = blueprint.tuning, [metric.name for metric in blueprint.metrics]
    validate.in_range("tuning.arms", tuning.arms, 1, 100)
    validate.in_range("tuning.units", tuning.units, 2, 10**9)
    validate.distinct("tuning.objectives", [each.metric for each in tuning.objectives])
    for section in ("objectives", "limits"):
        for index, each in enumerate(getattr(tuning, section)):
            place = f"tuning.{section}[{index}].metric"
            if each.metric not in metrics:
                raise BlueprintError(f"{place}: {unknown('metric', each.metric, metrics)}", place=place)
    _check_sums(blueprint)
    bounded: tuple[Limit | Sum, ...] = (*tuning.limits, *tuning.sums)
    for index, limit in enumerate(bounded):
        at = index - len(tuning.limits)
        place = f"tuning.limits[{index}]" if at < 0 else f"tuning.sums[{at}]"
        if limit.most is None and limit.least is None:
            example = "most: 0.02 for +2 %" if at < 0 else "most: 1"
            raise refused(place, "limits nothing", f"give most or least, e.g. {example}")
        for name in ("most", "least"):
            if getattr(limit, name) is not None:
                validate.in_range(f"{place}.{name}", getattr(limit, name))
        if limit.most is not None and limit.least is not None and limit.least > limit.most:
            raise refused(place, f"has least {limit.least:g} above most {limit.most:g}", "change them")
        if at >= 0 and limit.most is not None and limit.least == limit.most:
            fix = "say one weight by the others in policy.formula, e.g. 1 - fresh, or widen it"
            raise refused(place, f"has least and most {limit.most:g}, which next to no weights keep", fix)


def _check_sums(blueprint: Blueprint) -> None:
    """Check what names weights: sums, and those to choose among."""
    tuning = blueprint.tuning
    for index, each in enumerate(tuning.parameters):
        if each.name not in PARAMETERS:
            place = f"tuning.parameters[{index}].name"
            raise BlueprintError(f"{place}: {unknown('parameter', each.name, PARAMETERS)}", place=place)
    validate.in_range("tuning.repeat", tuning.repeat, 0, 100)
    ranges: dict[str, Ends] = {each.name: (each.low, each.high) for each in blueprint.policy.weights}
    beside: dict[str, Ends] = {each.name: (each.low, each.high) for each in tuning.parameters}
    counts = [name for name in WHOLE if name in beside]  # a sum would be rounded with them
    for index, each_sum in enumerate(tuning.sums):
        known = [*ranges, *(name for name in beside if name not in counts)]
        _check_named(f"tuning.sums[{index}].weights", each_sum.weights, known, counts)
    for index, weights in enumerate(tuning.among):
        _check_named(f"tuning.among[{index}]", weights, [*ranges, *beside], ())
        for name, value in weights.items():
            low, high = (ranges | beside)[name]
            if (low is not None and value < low) or (high is not None and value > high):
                ends = f"{-math.inf if low is None else low:g} to {math.inf if high is None else high:g}"
                raise refused(f"tuning.among[{index}].{name}", f"is {value:g}", f"allowed: {ends}")


def _check_named(place: str, weights: Mapping[str, float], known: Sequence[str], counts: Sequence[str]) -> None:
    """Check that names are those of weights that are known, with finite numbers."""
    if not weights:
        raise refused(place, "names no weight", f"some of {', '.join(known) or 'policy.weights'}")
    for name, value in weights.items():
        validate.in_range(f"{place}.{name}", value)
        if name in counts:
            raise refused(f"{place}.{name}", "is a count", "name weights, and parameters that are none")
        if name not in known:
            raise BlueprintError(f"{place}: {unknown('weight', name, known)}", place=place)
