"""Contextual bandits: a payload may hold weights for leaves of users, of which the first that fits is drawn by."""

from __future__ import annotations

from typing import Any

from abloop.adapters.growthbook.evaluation import Evaluation
from abloop.adapters.growthbook.hashing import normalised, usable
from abloop.adapters.growthbook.model import Experiment

FALLBACK_LEAF = -1  # reported where the rule's own weights are drawn by


def is_id(value: Any) -> bool:
    """Return whether a value is an integer."""
    return isinstance(value, int) and not isinstance(value, bool)


def lean(evaluation: Evaluation, experiment: Experiment[Any], reference: str) -> None:
    """Give an experiment the weights of the user's leaf; nothing changes where the bandit is not in the payload."""
    definition = evaluation.payload.bandits.get(reference)
    if not definition and not isinstance(definition, dict):
        return
    if not isinstance(definition, dict):
        definition = {}
    leaf, count = _leaf(evaluation, definition), len(experiment.variations)
    weights, name = leaf.get("weights"), leaf.get("leafId")
    if usable(weights, count) and is_id(name):
        experiment.weights = weights
        found = {"leafId": name, "variationWeights": weights}
    else:
        found = {"leafId": FALLBACK_LEAF, "variationWeights": normalised(experiment.weights, count)}
    if is_id(definition.get("banditVersion")):
        found["banditVersion"] = definition["banditVersion"]
    experiment.contextualBandit = found


def _leaf(evaluation: Evaluation, definition: dict[str, Any]) -> dict[str, Any]:
    """Return the first leaf whose condition the user meets; an empty one where there is none or all are malformed."""
    try:
        for leaf in definition.get("contexts") or ():
            if evaluation.meets(evaluation.user.attributes, leaf.get("condition") or {}):
                return dict(leaf)
    except Exception as error:  # law 1: product code never sees an exception
        evaluation.faults.complain(evaluation.place(), error, "the bandit's leaves are not used")
    return {}


def keep_weights(experiment: Experiment[Any]) -> None:
    """Report the weights that are drawn by, where an override replaced them; none where ranges are drawn by."""
    if experiment.ranges or experiment.contextualBandit is None:
        experiment.contextualBandit = None
    elif experiment.weights is not None:
        weights = normalised(experiment.weights, len(experiment.variations))
        experiment.contextualBandit = {**experiment.contextualBandit, "variationWeights": weights}
