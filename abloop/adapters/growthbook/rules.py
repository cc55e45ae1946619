"""The value of a feature: its rules in their order, the first that applies; prerequisites are features of their own."""

from __future__ import annotations

from functools import partial
from typing import Any

from abloop.adapters.growthbook.bandit import lean
from abloop.adapters.growthbook.evaluation import Evaluation
from abloop.adapters.growthbook.experiment import run
from abloop.adapters.growthbook.feature import FeatureRule
from abloop.adapters.growthbook.hashing import in_range, point
from abloop.adapters.growthbook.limits import DEEPEST
from abloop.adapters.growthbook.model import Experiment, FeatureResult
from abloop.errors import DataError

Path = tuple[str, ...]


def feature(evaluation: Evaluation, key: str, above: Path = ()) -> FeatureResult[Any]:
    """Return the value of a feature, and report that it was looked at.

    Args:
        evaluation: The evaluation.
        key: The feature.
        above: Features whose prerequisite it is.

    Raises:
        Exception: Whatever a malformed rule leads to.
    """
    result = _value(evaluation, key, above)
    if evaluation.reports.on_usage is not None and key not in evaluation.told:
        evaluation.told.add(key)
        evaluation.reports.used(key, result, evaluation.user)
    return result


def parents(evaluation: Evaluation, conditions: Any, above: Path = ()) -> str:
    """Return whether prerequisites are met.

    Args:
        evaluation: The evaluation.
        conditions: Objects with the `id` of a feature and a `condition` on its `value`.
        above: Features whose prerequisites they are.

    Returns:
        `pass`; `fail`, `gate` (nothing further may be looked at) or `cyclic` (features wait for each other).
    """
    for parent in conditions:
        evaluation.budget.spend()
        key, condition = parent.get("id"), parent.get("condition")
        if key is None:
            continue
        result = feature(evaluation, key, above)
        if result.source == "cyclicPrerequisite":
            return "cyclic"
        if condition is not None and not evaluation.meets({"value": result.value}, condition):
            return "gate" if parent.get("gate", False) else "fail"
    return "pass"


def _value(evaluation: Evaluation, key: str, above: Path) -> FeatureResult[Any]:
    """Return the value of a feature."""
    found = evaluation.payload.features.get(key)
    if found is None:
        return FeatureResult(None, "unknownFeature")
    if key in above:
        return FeatureResult(None, "cyclicPrerequisite")
    if len(above) >= DEEPEST:
        raise DataError(f"prerequisites are deeper than {DEEPEST} features")
    path = (*above, key)
    for number, rule in enumerate(found.rules):
        evaluation.where = (key, number)
        evaluation.budget.spend()
        result = _by_rule(evaluation, key, rule, path)
        if result is not None:
            return result
    return FeatureResult(found.defaultValue, "defaultValue")


def _by_rule(evaluation: Evaluation, key: str, rule: FeatureRule, path: Path) -> FeatureResult[Any] | None:
    """Return what a rule says; None where it does not apply."""
    if rule.unreadable:
        raise DataError(rule.unreadable)
    if rule.parentConditions:
        number = evaluation.where
        met = parents(evaluation, rule.parentConditions, path)
        evaluation.where = number
        if met in ("gate", "cyclic"):
            return FeatureResult(None, "prerequisite" if met == "gate" else "cyclicPrerequisite")
        if met == "fail":
            return None
    if rule.condition and not evaluation.meets(evaluation.user.attributes, rule.condition):
        return None
    if rule.filters and evaluation.filtered_out(rule.filters):
        return None
    if rule.force is not None:
        return FeatureResult(rule.force, "force", ruleId=rule.id) if _rolled_out(evaluation, key, rule) else None
    variations = rule.variations if rule.contextualVariations is None else rule.contextualVariations
    return None if variations is None else _by_experiment(evaluation, key, rule, variations, path)


def _by_experiment(
    evaluation: Evaluation, key: str, rule: FeatureRule, variations: list[Any], path: Path
) -> FeatureResult[Any] | None:
    """Return what a rule's experiment gives; None for who is not in, and where the arm says to go on."""
    experiment: Experiment[Any] = Experiment(
        rule.key or key,
        variations,
        rule.weights,
        coverage=rule.coverage,
        condition=rule.condition,
        namespace=rule.namespace,
        hashAttribute=rule.hashAttribute,
        fallbackAttribute=rule.fallbackAttribute,
        hashVersion=rule.hashVersion,
        ranges=rule.ranges,
        meta=rule.meta,
        filters=rule.filters,
        seed=rule.seed,
        name=rule.name,
        phase=rule.phase,
        disableStickyBucketing=rule.disableStickyBucketing,
        bucketVersion=rule.bucketVersion,
        minBucketVersion=rule.minBucketVersion,
    )
    if rule.contextualBanditRef:
        lean(evaluation, experiment, rule.contextualBanditRef)
    result = run(evaluation, experiment, key, partial(parents, evaluation, above=path))
    if not (result.hashUsed and result.inExperiment):
        experiment.contextualBandit = None
    evaluation.reports.notify(experiment, result)
    if not result.inExperiment or result.passthrough:
        return None
    return FeatureResult(result.value, "experiment", experiment, result, rule.id)


def _rolled_out(evaluation: Evaluation, key: str, rule: FeatureRule) -> bool:
    """Return whether a user is in the share that a forced value is for."""
    if rule.range is None and (rule.coverage is None or rule.coverage == 0):
        return rule.coverage is None
    unit = evaluation.unit(rule.hashAttribute, rule.fallbackAttribute)[1]
    place = point(rule.seed or key, unit, rule.hashVersion or 1) if unit else None
    if place is None:
        return False
    if rule.range:
        return in_range(place, rule.range)
    return rule.coverage is None or place < rule.coverage
