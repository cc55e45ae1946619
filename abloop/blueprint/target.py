"""Who is in an experiment, by features: a condition in the language of the policy."""

from __future__ import annotations

from collections.abc import Sequence

from abloop.blueprint.policy import FEATURE_KINDS
from abloop.blueprint.spec import Blueprint
from abloop.errors import BlueprintError
from abloop.features.graph import Graph
from abloop.policy.formula import Formula
from abloop.records import FeatureValue


def compile_target(blueprint: Blueprint) -> Formula | None:
    """Return the checked condition that says who is in the experiment; None for everybody.

    Raises:
        BlueprintError: With a caret under the spot.
    """
    if not blueprint.experiment.target:
        return None
    graph = Graph(blueprint.features)
    kinds = zip(graph.names, graph.types, strict=True)
    names = {name: FEATURE_KINDS[kind] for name, kind in kinds if kind in FEATURE_KINDS}
    try:
        formula = Formula(blueprint.experiment.target, names)
    except BlueprintError as error:
        said = str(error).removeprefix("policy.formula")
        raise BlueprintError(f"experiment.target{said}", place="experiment.target") from error
    if formula.kind != "truth":
        message = f"experiment.target gives a {formula.kind}; allowed: a condition, e.g. country in ('FI', 'SE')"
        raise BlueprintError(message, place="experiment.target")
    return formula


class Target:
    """Who is in an experiment, by features.

    Args:
        formula: From `compile_target`.
        features: Names of all features, as `Graph.names` gives them.
    """

    def __init__(self, formula: Formula, features: Sequence[str]) -> None:
        """Compile the condition and where each of its inputs stands."""
        reads, self._call = formula.scalar()
        self._places = tuple(features.index(name) for name in reads)

    def row(self, features: Sequence[FeatureValue]) -> bool:
        """Return whether a unit with these features, as `Graph.row` gives them, is in the experiment."""
        return bool(self._call(*[features[place] for place in self._places]))
