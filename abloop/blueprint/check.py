"""What must hold between the values of a blueprint. Each refusal names path, value, what is allowed and the fix."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from abloop import validate
from abloop.blueprint.check_experiment import check_experiment
from abloop.blueprint.check_keeping import check_keeping, check_measured, check_outcomes
from abloop.blueprint.check_parts import (
    check_features,
    check_labels,
    check_model,
    check_policy,
    check_ranking,
    check_space,
)
from abloop.blueprint.check_reading import check_reading
from abloop.blueprint.check_tuning import check_tuning
from abloop.blueprint.parameters import WHOLE, idle_without, settings, tunable, with_settings
from abloop.blueprint.spec import Arm, Blueprint, Metric
from abloop.blueprint.tuning import Parameter, Tuning
from abloop.errors import BlueprintError, unknown
from abloop.features.spec import Feature, Group


def check(blueprint: Blueprint) -> Blueprint:
    """Return the blueprint if its values fit together.

    Raises:
        BlueprintError: With path, value, what is allowed and the fix.
    """
    _check_names(blueprint)
    check_space(blueprint)
    _check_arms(blueprint)
    _check_numbers(blueprint)
    check_features(blueprint)
    check_labels(blueprint)
    check_model(blueprint)
    check_policy(blueprint)
    check_ranking(blueprint)
    check_tuning(blueprint)
    check_experiment(blueprint)
    check_reading(blueprint, blueprint.readout)
    _check_parameters(blueprint)
    _check_sums(blueprint)
    return blueprint


def _check_parameters(blueprint: Blueprint) -> None:
    """Check what tuning turns besides weights: every value that it may try must be allowed, and do something."""
    given = blueprint.tuning.parameters
    validate.distinct("tuning.parameters", [each.name for each in given])
    for index, each in enumerate(given):
        place = f"tuning.parameters[{index}]"
        idle = idle_without(blueprint, each.name)
        if idle:
            message = f"{place} turns {each.name!r}, which does nothing {idle}. Change that, or remove it"
            raise BlueprintError(message, place=place)
        for end in ("low", "high"):
            value = getattr(each, end)
            validate.in_range(f"{place}.{end}", value)
            if each.name in WHOLE and value != round(value):
                message = f"{place}.{end} is {value:g}, but {each.name} is a count; allowed: whole numbers"
                raise BlueprintError(message, place=f"{place}.{end}")
        now = settings(blueprint)[each.name]
        if each.low >= each.high:
            message = f"{place} has low {each.low:g} and high {each.high:g}; low must be below high"
            raise BlueprintError(message, place=place)
        if not each.low <= now <= each.high:
            message = f"{place} has low {each.low:g} and high {each.high:g}, but {each.name} is {now:g}"
            raise BlueprintError(f"{message}; allowed: a range about it", place=place)
        plain = msgspec.structs.replace(blueprint, tuning=Tuning())
        for end in ("low", "high"):
            try:
                check(with_settings(plain, {**_beside(given, each), each.name: getattr(each, end)}))
            except BlueprintError as error:
                message = f"{place}.{end}: {str(error).removeprefix('blueprint: ')}"
                raise BlueprintError(message, place=f"{place}.{end}") from error


def _beside(given: Sequence[Parameter], one: Parameter) -> dict[str, float]:
    """Return the value of the space's other bound that leaves most to this one, if tuning turns both."""
    ends = {"space.low": ("space.high", "high"), "space.high": ("space.low", "low")}
    other, end = ends.get(one.name, ("", ""))
    return {each.name: getattr(each, end) for each in given if each.name == other}


def _check_sums(blueprint: Blueprint) -> None:
    """Check that some weights, each in its range, keep what tuning wants them to keep together, one sum at a time."""
    fixed, ranges = settings(blueprint), tunable(blueprint)
    for index, each in enumerate(blueprint.tuning.sums):
        least = most = 0.0
        for name, factor in each.weights.items():
            ends = ranges.get(name, (fixed[name],))
            least, most = least + min(factor * end for end in ends), most + max(factor * end for end in ends)
        if (each.most is not None and each.most < least) or (each.least is not None and each.least > most):
            message = f"tuning.sums[{index}] can be kept by no weights: in their ranges it is {least:g} to {most:g}"
            raise BlueprintError(f"{message}; change its bounds or theirs", place=f"tuning.sums[{index}]")


def _check_names(blueprint: Blueprint) -> None:
    """Check names and that none is used twice."""
    validate.text("strategy", blueprint.strategy)
    if blueprint.strategy in (".", ".."):  # they would vanish from every URL
        raise BlueprintError(f"strategy is {blueprint.strategy!r}; allowed: any other name", place="strategy")
    validate.text("unit", blueprint.unit)
    for section in ("arms", "metrics", "groups", "features"):
        items: tuple[Arm | Metric | Group | Feature, ...] = getattr(blueprint, section)
        for index, item in enumerate(items):
            validate.text(f"{section}[{index}].name", item.name)
            if isinstance(item, Feature | Group):
                item.check(f"{section}[{index}]")
        validate.distinct(section, [item.name for item in items])
    both = {metric.name for metric in blueprint.metrics} & {feature.name for feature in blueprint.features}
    if both:
        name = min(both)
        message = f"{name!r} is both a feature and a metric: what is predicted may not be known before. Remove one"
        raise BlueprintError(message, place="features")
    if blueprint.unit in {feature.source for feature in blueprint.features if not (feature.group or feature.transform)}:
        message = f"features name the unit {blueprint.unit!r}: a model would learn single units. Remove it"
        raise BlueprintError(message, place="features")


def _check_arms(blueprint: Blueprint) -> None:
    """Check that arms, control and weights make an experiment."""
    names = [arm.name for arm in blueprint.arms]
    if blueprint.space.type == "choice" and len(names) < 2:
        message = f"arms has {len(names)} entries; allowed: two or more, e.g. control and treatment"
        raise BlueprintError(message, place="arms")
    known = [arm.name for arm in blueprint.ordered_arms()] if blueprint.is_choice else []
    if blueprint.control and blueprint.control not in known:
        raise BlueprintError(unknown("arm in control:", blueprint.control, known), place="control")
    given = [arm.weight for arm in blueprint.arms if arm.weight is not None]
    if given and len(given) < len(names):
        missing = next(arm.name for arm in blueprint.arms if arm.weight is None)
        message = f"arms: {missing!r} has no weight while others do; give every arm a weight, or none"
        raise BlueprintError(message, place="arms")
    for index, arm in enumerate(blueprint.arms):
        validate.in_range(f"arms[{index}].cost", arm.cost)
        if arm.weight is not None:
            validate.in_range(f"arms[{index}].weight", arm.weight, 0, 1, open_low=True)
    if given and abs(sum(given) - 1) > 1e-9:
        raise BlueprintError(
            f"arms: weights {', '.join(f'{weight:g}' for weight in given)} sum to {sum(given):g}; allowed: exactly 1. "
            "Change them, or leave them all out for equal shares",
            place="arms",
        )


def _check_numbers(blueprint: Blueprint) -> None:
    """Check ranges."""
    if not blueprint.metrics or not blueprint.goals():
        message = "metrics has no goal; allowed: one or more, e.g. {name: purchase, role: goal}"
        raise BlueprintError(message, place="metrics")
    for index, metric in enumerate(blueprint.metrics):
        validate.in_range(f"metrics[{index}].value", metric.value)
        if metric.default is not None:
            validate.in_range(f"metrics[{index}].default", metric.default)
        check_outcomes(f"metrics[{index}]", metric, blueprint.lifecycle.ttl)
        check_measured(f"metrics[{index}]", metric, blueprint)
    validate.in_range("lifecycle.ttl", blueprint.lifecycle.ttl, 0, 366 * 86_400, open_low=True)
    validate.in_range("lifecycle.refit", blueprint.lifecycle.refit, 0, 10)
    check_keeping(blueprint)
    validate.in_range("lifecycle.alpha", blueprint.lifecycle.alpha, 0, 0.5, open_low=True, open_high=True)
