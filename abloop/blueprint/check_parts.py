"""What must hold within the decision space, the features, the labels and the policy of a blueprint."""

from __future__ import annotations

from abloop import validate
from abloop.blueprint.learning import BANDITS, LONG_TERM, Label
from abloop.blueprint.policy import challenged, compile_formula
from abloop.blueprint.ranking import Ranking
from abloop.blueprint.spec import BOOLEANS, Blueprint, Field
from abloop.errors import BlueprintError, listed, refused, unknown
from abloop.features.graph import Graph

MOST_CLASSES = 100


def check_space(blueprint: Blueprint) -> None:
    """Check that the decision space is whole and has no fields of another.

    Raises:
        BlueprintError: With path, value, what is allowed and the fix.
    """
    space = blueprint.space
    given = [name for name in ("low", "high") if getattr(space, name) is not None]
    if given and space.type != "number":
        raise refused(f"space.{given[0]}", f"belongs to a number, but space.type is {space.type!r}", "remove it")
    if space.fields and space.type != "structured":
        raise refused("space.fields", f"belong to a structured value, but space.type is {space.type!r}", "remove them")
    if space.type == "structured" and not space.fields:
        raise refused("space.fields", "is empty", "name one or more, e.g. {name: bitrate, low: 100, high: 8000}")
    if space.type == "boolean" and blueprint.arms and {arm.name for arm in blueprint.arms} != set(BOOLEANS):
        names = listed(arm.name for arm in blueprint.arms)
        raise refused("arms", f"are {names}, but space.type is 'boolean'", "name them 'false' and 'true', or none")
    if blueprint.arms and not blueprint.is_choice:
        raise refused("arms", f"belong to a choice, but space.type is {space.type!r}", "remove them, or the space")
    if space.type == "number":
        _check_bounds("space", Field("value", "number", space.low, space.high))
    validate.distinct("space.fields", [field.name for field in space.fields])
    for index, field in enumerate(space.fields):
        path = f"space.fields[{index}]"
        validate.text(f"{path}.name", field.name)
        _check_bounds(path, field)
        if field.type == "text" and not field.choices:
            raise refused(f"{path}.choices", "is empty", "name what the text may be")
        if field.type != "text" and field.choices:
            raise refused(f"{path}.choices", f"belong to a text, but the field is a {field.type}", "remove them")


def _check_bounds(path: str, field: Field) -> None:
    for name in ("low", "high"):
        bound = getattr(field, name)
        if bound is not None:
            validate.in_range(f"{path}.{name}", bound)
            if field.type != "number":
                raise refused(f"{path}.{name}", f"belongs to a number, but the field is a {field.type}", "remove it")
    if field.low is not None and field.high is not None and field.low >= field.high:
        raise refused(path, f"has low {field.low:g} and high {field.high:g}", "low must be below high")


def check_features(blueprint: Blueprint) -> None:
    """Check that features come from groups that exist, and are made of features that exist, in no circle.

    Raises:
        BlueprintError: With path, value, what is allowed and the fix.
    """
    groups = {group.name: group for group in blueprint.groups}
    metrics = [metric.name for metric in blueprint.metrics]
    measured = [metric.name for metric in blueprint.metrics if metric.measured]
    for index, feature in enumerate(blueprint.features):
        path = f"features[{index}]"
        if feature.group and feature.group not in groups:
            place = f"{path}.group"
            raise BlueprintError(f"{place}: {unknown('group', feature.group, groups)}", place=place)
        if feature.metric and feature.metric not in metrics:
            place = f"{path}.metric"
            raise BlueprintError(f"{place}: {unknown('metric', feature.metric, metrics)}", place=place)
        if feature.metric in measured:
            what = f"is {feature.metric!r}, which nobody logs"
            raise refused(f"{path}.metric", what, "name a metric without measured")
        tallies = bool(feature.group) and groups[feature.group].events
        if tallies and not feature.metric:
            raise refused(path, f"is of the events {feature.group!r} but has no metric", "add metric and window")
        if feature.metric and not tallies:
            raise refused(path, f"tallies {feature.metric!r} of group {feature.group!r}", "give the group events: true")
        if feature.metric and feature.type != "numeric":
            raise refused(path, f"is a tally, but its type is {feature.type!r}", "leave the type out")
    for index, group in enumerate(blueprint.groups):
        if not any(feature.group == group.name for feature in blueprint.features):
            raise refused(f"groups[{index}]", f"{group.name!r} has no feature", "add one, or remove the group")
    Graph(blueprint.features)


def check_labels(blueprint: Blueprint) -> None:
    """Check that labels are metrics, each once.

    Raises:
        BlueprintError: With path, value, what is allowed and the fix.
    """
    metrics = [metric.name for metric in blueprint.metrics]
    validate.distinct("labels", [label.name for label in blueprint.labels])
    for index, label in enumerate(blueprint.labels):
        place = f"labels[{index}].name"
        if label.name in {feature.name for feature in blueprint.features}:
            raise refused(place, f"{label.name!r} is also a feature", "what is predicted may not be known before")
        if label.name not in metrics:
            raise BlueprintError(f"{place}: {unknown('metric', label.name, metrics)}", place=place)
        if label.by_arm and not blueprint.is_choice:
            raise refused(
                f"labels[{index}].by_arm", f"needs arms, but space.type is {blueprint.space.type!r}", "remove it"
            )
        _check_task(blueprint, label, f"labels[{index}]")


def _check_task(blueprint: Blueprint, label: Label, path: str) -> None:
    """Check what belongs to the task of a label."""
    validate.in_range(f"{path}.quantile", label.quantile, 0, 1, open_low=True, open_high=True)
    validate.in_range(f"{path}.classes", label.classes, 0, MOST_CLASSES)
    if (label.task == "multiclass") != bool(label.classes):
        raise refused(f"{path}.classes", f"is {label.classes}, but the task is {label.task!r}", "give both, or neither")
    if label.classes == 1 or (label.classes and label.by_arm):
        raise refused(
            f"{path}.classes", "must be two or more, and are not predicted by arm", "change classes or by_arm"
        )
    listed = blueprint.space.type == "ordering"
    if (label.task == "rank" or label.position) and not listed:
        what = "position" if label.position else "task"
        raise refused(f"{path}.{what}", f"needs lists, but space.type is {blueprint.space.type!r}", "remove it")
    if label.task == "rank" and blueprint.model.kind in ("linear", "network"):
        raise refused(f"{path}.task", f"'rank' needs trees, but model.kind is {blueprint.model.kind!r}", "use trees")


def check_ranking(blueprint: Blueprint) -> None:
    """Check how a list is ordered.

    Raises:
        BlueprintError: With path, value, what is allowed and the fix.
    """
    ranking = blueprint.ranking
    if ranking == Ranking():
        return
    if blueprint.space.type != "ordering":
        raise refused("ranking", f"belongs to an ordering, but space.type is {blueprint.space.type!r}", "remove it")
    if list(ranking.slots) != sorted(set(ranking.slots)) or min((0, *ranking.slots)) < 0:
        raise refused("ranking.slots", f"are {list(ranking.slots)}", "name positions from 0, rising, e.g. [2, 5]")
    validate.in_range("ranking.explore", ranking.explore, 0, 0.5)
    validate.in_range("ranking.most", ranking.most, 1, 1_000_000)
    validate.in_range("ranking.within", ranking.within, 1, 1_000_000)
    graph = Graph(blueprint.features)
    kinds = dict(zip(graph.names, graph.types, strict=True))
    if ranking.diverse and kinds.get(ranking.diverse) != "categorical":
        named = [name for name, kind in kinds.items() if kind == "categorical"]
        place = "ranking.diverse"
        raise BlueprintError(f"{place}: {unknown('categorical feature', ranking.diverse, named)}", place=place)
    metrics = [metric.name for metric in blueprint.metrics]
    if ranking.shown and ranking.shown not in metrics:
        place = "ranking.shown"
        raise BlueprintError(f"{place}: {unknown('metric', ranking.shown, metrics)}", place=place)
    if ranking.challenger:
        compile_formula(challenged(blueprint))


def _check_sequences(blueprint: Blueprint) -> None:
    """Check that sequences are of categorical features, for a network."""
    model = blueprint.model
    graph = Graph(blueprint.features)
    steps = {name for name, kind in zip(graph.names, graph.types, strict=True) if kind == "categorical"}
    for index, sequence in enumerate(model.sequences):
        place = f"model.sequences[{index}]"
        if len(sequence) < 2 or model.kind not in ("network", "auto"):
            raise refused(place, "needs two steps or more, and kind: network", "name them, the oldest first")
        for name in sequence:
            if name not in steps:
                raise BlueprintError(f"{place}: {unknown('categorical feature', name, steps)}", place=place)


def check_model(blueprint: Blueprint) -> None:
    """Check what learns.

    Raises:
        BlueprintError: With path, value, what is allowed and the fix.
    """
    model = blueprint.model
    validate.in_range("model.folds", model.folds, 2, 20)
    validate.in_range("model.repeats", model.repeats, 1, 50)
    validate.in_range("model.budget", model.budget, 0, 86_400)
    validate.in_range("model.discount", model.discount, 0, 1, open_high=True)
    validate.in_range("model.gap", model.gap, 0, 366 * 86_400)
    if not model.learners:
        raise refused("model.learners", "is empty; allowed: one or more of 's', 't', 'x'", "name them, or leave it out")
    _check_sequences(blueprint)
    alone = [name for name in model.learners if name in (*BANDITS, LONG_TERM)]
    if alone and len(model.learners) > 1:
        raise refused("model.learners", f"names {alone[0]!r} beside others", "it learns alone: remove the others")
    bandit = blueprint.lifecycle.switch == "bandit"
    if bandit and not (model.is_bandit or blueprint.policy.formula):
        message = "is 'bandit', but nothing explores"
        fix = (
            "name learners: [bandit_linear] or [bandit_trees], or a formula, e.g. epsilon(best_arm(effect, cost), 0.1)"
        )
        raise refused("lifecycle.switch", message, fix)
    if model.is_bandit and not bandit:
        raise refused("model.learners", f"names {model.learners[0]!r}, which no gate judges", "add switch: bandit")
    if alone == [LONG_TERM] and not (blueprint.is_choice and blueprint.experiment.redraw):
        what = "names 'q', which learns from units that meet several arms"
        raise refused("model.learners", what, "give a choice of arms, and experiment.redraw, e.g. 24h")
    if bandit and not blueprint.is_choice:
        raise refused("lifecycle.switch", f"is 'bandit', but space.type is {blueprint.space.type!r}", "use auto")


def check_policy(blueprint: Blueprint) -> None:
    """Check weights and formula against everything that they may name.

    Raises:
        BlueprintError: With path, value, what is allowed and the fix; in a formula with a caret under the spot.
    """
    validate.distinct("policy.weights", [weight.name for weight in blueprint.policy.weights])
    for index, weight in enumerate(blueprint.policy.weights):
        path = f"policy.weights[{index}]"
        validate.text(f"{path}.name", weight.name)
        if not weight.name.isidentifier() or not weight.name.isascii():
            raise refused(f"{path}.name", f"is {weight.name!r}", "use letters, digits and _, e.g. 'threshold'")
        for name in ("value", "low", "high"):
            if getattr(weight, name) is not None:
                validate.in_range(f"{path}.{name}", getattr(weight, name))
        low = weight.value if weight.low is None else weight.low
        high = weight.value if weight.high is None else weight.high
        if not low <= weight.value <= high:
            message = f"is {weight.value:g}, outside its range [{low:g}, {high:g}]"
            raise refused(f"{path}.value", message, "move the value, low or high")
    compile_formula(blueprint)
