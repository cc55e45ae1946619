"""The policy of a blueprint, compiled: which names its formula may read, and what its results become.

The same formula decides for one decision and, as a frame, for all rows of a training table.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isfinite
from typing import TYPE_CHECKING, Any

import msgspec

from abloop.blueprint.bounds import bounded, structured
from abloop.blueprint.spec import Blueprint, Field
from abloop.errors import BlueprintError, listed
from abloop.features.graph import Graph
from abloop.policy.formula import NOTHING, Formula, Kind
from abloop.policy.places import picker
from abloop.records import FeatureValue, Phase

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from abloop.features.column import FrameColumn

ARM_NAMES: tuple[str, ...] = ("effect", "cost", "sd")
FEATURE_KINDS: dict[str, Kind] = {"numeric": "number", "time": "number", "categorical": "text"}
_RESULTS: dict[str, tuple[Kind, ...]] = {
    "choice": ("choice", "shares"),
    "boolean": ("truth", "choice", "shares"),
    "number": ("number",),
    "ordering": ("number",),
    "structured": ("record",),
}
_WANTED = {
    "choice": "an arm, e.g. best_arm(effect, cost) or arm('NAME') if ... else arm('OTHER'), or their shares",
    "boolean": "true or false, e.g. PREDICTION > threshold",
    "number": "a number",
    "ordering": "a number: the candidates are ordered by it, greatest first",
    "structured": "a value for each field, e.g. {'bitrate': 800 * quality, 'hd': bandwidth > 2}",
}


def names_of(blueprint: Blueprint) -> dict[str, Kind]:
    """Return what a formula may read, and as what.

    Raises:
        BlueprintError: A weight has the name of something else.
    """
    graph = Graph(blueprint.features)
    names: dict[str, Kind] = {
        name: FEATURE_KINDS[kind] for name, kind in zip(graph.names, graph.types, strict=True) if kind in FEATURE_KINDS
    }
    for label in blueprint.labels:
        for name in label.names():
            if name in names:
                place = "labels"
                raise BlueprintError(
                    f"label {label.name!r} is read as {name!r}, which is taken; rename it", place=place
                )
            names[name] = "arms" if label.by_arm else "number"
    taken = {feature.name for feature in blueprint.features} | set(names)
    for index, weight in enumerate(blueprint.policy.weights):
        if weight.name in taken or weight.name in ARM_NAMES:
            place = f"policy.weights[{index}].name"
            raise BlueprintError(
                f"{place} {weight.name!r} hides a feature, label or word of that name; rename it", place=place
            )
        names[weight.name] = "number"
    if blueprint.is_choice:
        for name in ARM_NAMES:
            if name in names and name in blueprint.policy.formula:
                raise BlueprintError(
                    f"policy.formula: {name!r} is both a word of the language and a feature or label; rename yours",
                    place="policy.formula",
                )
            names[name] = "arms"
    return names


def compile_formula(blueprint: Blueprint) -> Formula:
    """Return the checked formula of a blueprint.

    Raises:
        BlueprintError: With a caret under the spot.
    """
    names = names_of(blueprint)
    arms = [arm.name for arm in blueprint.ordered_arms()] if blueprint.is_choice else []
    formula = Formula(blueprint.policy.formula or _default(blueprint), names, arms)
    if blueprint.space.type == "structured" and formula.kind == "record":
        _check_fields(blueprint.space.fields, formula.fields)
    kind = blueprint.space.type
    if formula.kind not in _RESULTS[kind]:
        came = {"truth": "true or false", "arms": "one number for each arm"}.get(formula.kind, f"a {formula.kind}")
        raise BlueprintError(
            f"policy.formula gives {came}; a {kind} space needs {_WANTED[kind]}", place="policy.formula"
        )
    return formula


def _check_fields(fields: Sequence[Field], given: Mapping[str, Kind]) -> None:
    """Refuse a structured value whose fields are not those of the space."""
    kinds = {field.name: "truth" if field.type == "boolean" else field.type for field in fields}
    for name in [*kinds, *given]:
        if given.get(name) != kinds.get(name):
            came = f"is {given[name]}" if name in given else "is missing"
            wanted = f"allowed: {kinds[name]}" if name in kinds else f"allowed fields: {listed(kinds)}"
            message = f"policy.formula: field {name!r} {came}; {wanted}".replace("truth", "true or false")
            raise BlueprintError(message, place="policy.formula")


def _default(blueprint: Blueprint) -> str:
    """Return the formula of a blueprint that gives none."""
    if blueprint.is_choice:
        return "thompson(effect - cost, sd)" if blueprint.model.is_bandit else "best_arm(effect, cost)"
    labels = [label.name for label in blueprint.labels if not label.by_arm and not label.classes]
    if len(labels) == 1 and blueprint.space.type != "structured":
        return f"feature({labels[0]!r})"
    kind = blueprint.space.type
    raise BlueprintError(f"policy.formula is missing; a {kind} space needs {_WANTED[kind]}", place="policy.formula")


def challenged(blueprint: Blueprint) -> Blueprint:
    """Return a blueprint whose formula is that of its challenger."""
    policy = msgspec.structs.replace(blueprint.policy, formula=blueprint.ranking.challenger)
    return msgspec.structs.replace(blueprint, policy=policy)


def first_phase(blueprint: Blueprint) -> Phase:
    """Return how a version begins: a choice is randomised; a rule decides at once; all else gives the default."""
    if blueprint.is_choice:
        return "randomise"
    return "default" if Policy(blueprint).needs_release else "personalise"


class Policy:
    """A blueprint's policy, ready to decide.

    Args:
        blueprint: A checked blueprint.
        sd: Uncertainty of each arm's mean, in value, shape (k,), from the release; zeros without one.

    Attributes:
        formula: The checked formula.
        needs_release: Whether it reads anything that only a release predicts.
    """

    def __init__(self, blueprint: Blueprint, sd: Sequence[float] = ()) -> None:
        """Compile the formula and where each of its inputs stands."""
        self.formula = compile_formula(blueprint)
        self.space = blueprint.space
        arms = blueprint.ordered_arms() if blueprint.is_choice else ()
        self._constants: dict[str, float | tuple[float, ...]] = {
            weight.name: float(weight.value) for weight in blueprint.policy.weights
        }
        if arms:
            self._constants["cost"] = tuple(float(arm.cost) for arm in arms)
            if not blueprint.model.is_bandit:
                self._constants["sd"] = tuple(sd) or (0.0,) * len(arms)
        places: dict[str, int] = {name: place for place, name in enumerate(Graph(blueprint.features).names)}
        self._features = len(places)
        start = len(arms)
        spans = {"effect": slice(0, start)} if arms else {}
        if arms and blueprint.model.is_bandit:
            spans["sd"] = slice(start, 2 * start)
            start *= 2
        single = set()
        for label in blueprint.labels:
            for name in label.names():
                width = len(arms) if label.by_arm else 1
                spans[name] = slice(start, start + width)
                single |= set() if label.by_arm else {name}
                start += width
        reads_all = set(self.formula.reads)
        self.needs_release = bool(({"effect", "sd"} | set(spans)) & reads_all)
        self.labels = tuple(label.name for label in blueprint.labels if reads_all & set(label.names()))
        reads, self._call = self.formula.scalar(
            {name: value for name, value in self._constants.items() if name in self.formula.reads}
        )
        self._reads = tuple(
            (places[name], None) if name in places else (spans[name].start, None if name in single else spans[name])
            for name in reads
        )
        self._of_features = tuple(name in places for name in reads)
        self._pick = picker([self._place(at) for at in range(len(reads))])
        self._names = reads

    def _place(self, at: int) -> int | slice:
        """Return where a name that the formula reads stands among all features and then all predictions."""
        (place, span), first = self._reads[at], self._features
        if self._of_features[at]:
            return place
        return first + place if span is None else slice(first + span.start, first + span.stop)

    def inputs(self, features: Sequence[FeatureValue], predictions: Sequence[float]) -> list[Any]:
        """Return the values of the names that the formula reads, constants left out."""
        return list(self._pick((*features, *predictions)))

    def row(self, features: Sequence[FeatureValue], predictions: Sequence[float]) -> Any:
        """Return what the formula gives for one decision.

        Args:
            features: All features, as `Graph.row` gives them.
            predictions: What the release predicts: effects of the arms, then labels.

        Returns:
            Of a choice: index of the arm, or a tuple of shares; of another space: the value, within its bounds.
            None where the formula is undefined: a value is missing, or a number is not finite.
        """
        return self._settle(self._call(*self._pick((*features, *predictions))))

    def rows(self, features: Sequence[Sequence[FeatureValue]], predictions: Sequence[Sequence[float]]) -> list[Any]:
        """Return `row` of each of n decisions, given their features and predictions."""
        columns = [
            [row[place if span is None else span] for row in (features if of_features else predictions)]
            for (place, span), of_features in zip(self._reads, self._of_features, strict=True)
        ]
        found = list(map(self._call, *columns)) if columns else [self._call() for _ in features]
        if self.formula.kind == "number" and self.space.low is None and self.space.high is None:
            return [value if isfinite(value) else None for value in found]
        return [self._settle(each) for each in found]

    def _settle(self, result: Any) -> Any:
        kind = self.formula.kind
        if kind == "truth":
            return int(result)
        if kind == "choice":
            return result if result >= 0 else None
        if kind == "number":
            return bounded(self.space.low, self.space.high, result)
        if kind == "record":
            return structured(self.space.fields, result)
        return result

    def frame(
        self,
        features: Sequence[FrameColumn],
        predictions: Mapping[str, Any],
        rows: int,
        constants: Mapping[str, Any] = NOTHING,
    ) -> NDArray[np.float64]:
        """Return what the formula of a choice gives for many rows: shares of the arms.

        Args:
            features: All features, as `Graph.frame` gives them, n rows each.
            predictions: `effect`, a bandit's `sd` and by-arm labels of shape (n, k), other labels of shape (n,).
            rows: n.
            constants: Weights, cost or sd to use instead of the blueprint's.

        Returns:
            Probability of each arm, shape (n, k); rows where the formula is undefined give control everything.
        """
        import numpy as np

        values, result = self._frame(features, predictions, rows, constants)
        arms = len(values["cost"])
        if self.formula.kind == "shares":
            undefined = np.isnan(result).any(axis=1)
            drawn: NDArray[np.float64] = np.where(undefined[:, None], np.eye(arms)[0], result)
            return drawn
        chosen = np.asarray(result).astype(np.intp)
        shares: NDArray[np.float64] = np.eye(arms)[np.where(chosen < 0, 0, chosen)]
        return shares

    def scores(
        self,
        features: Sequence[FrameColumn],
        predictions: Mapping[str, Any],
        rows: int,
        constants: Mapping[str, Any] = NOTHING,
    ) -> NDArray[np.float64]:
        """Return what the formula of a number or an ordering gives for many rows, shape (n,); see `frame`."""
        import numpy as np

        found = np.asarray(self._frame(features, predictions, rows, constants)[1], dtype=np.float64)
        return np.broadcast_to(found, (rows,))

    def _frame(
        self, features: Sequence[FrameColumn], predictions: Mapping[str, Any], rows: int, constants: Mapping[str, Any]
    ) -> tuple[dict[str, Any], Any]:
        """Return what the formula reads, and what it gives."""
        from abloop.features.column import Categories

        values: dict[str, Any] = {**self._constants, **constants}
        for name, (place, _), feature in zip(self._names, self._reads, self._of_features, strict=True):
            column: Any = features[place] if feature else predictions[name]
            values[name] = column.texts() if isinstance(column, Categories) else column
        return values, self.formula.frame({name: values[name] for name in self.formula.reads}, rows)

    def show(self, features: Sequence[FeatureValue], predictions: Sequence[float]) -> str:
        """Return the formula with the numbers of one decision put in."""
        given = dict(zip(self._names, self.inputs(features, predictions), strict=True))
        return self.formula.show({**{n: v for n, v in self._constants.items() if n in self.formula.reads}, **given})
