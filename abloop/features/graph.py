"""The graph of a blueprint's features, compiled: what is read, what is made of it in which order, what is learned.

The same compiled graph makes one row at decision time and a frame at training time. Knows no storage.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from abloop.errors import BlueprintError, unknown
from abloop.features.spec import FITTED, Feature
from abloop.features.transform import FrameStep, RowStep, frame_step, row_step
from abloop.records import FeatureType, FeatureValue

if TYPE_CHECKING:
    from abloop.features.column import FrameColumn

_TAKES: dict[str, tuple[FeatureType, ...]] = {
    "log": ("numeric",),
    "bucketise": ("numeric", "time"),
    "date": ("time", "numeric"),
    "cross": ("categorical", "numeric"),
    "hash": ("categorical", "sparse"),
    "standardise": ("numeric", "time"),
    "target": ("categorical",),
}
_GIVES: dict[str, FeatureType] = {"cross": "categorical", "hash": "embedding"}


class Graph:
    """Features in the order in which they can be made.

    Args:
        features: As the blueprint declares them, in any order.

    Raises:
        BlueprintError: A feature is made of one that does not exist, has the wrong type, or of itself.

    Attributes:
        sourced: Features that are read or fetched, in the order of the blueprint; these are logged.
        names: All features but the fitted ones, in the order of `row`: the sourced, then the derived.
        types: Their types.
        learned: Features that models read, in the order of the blueprint.
        slots: Where in `row` each learned feature, or what a fitted one is made of, stands.

    Example:
        >>> graph = Graph([Feature("age"), Feature("old", transform="bucketise", of=("age",), edges=(50.0,))])
        >>> graph.row((61.0,))
        [61.0, 1.0]
    """

    def __init__(self, features: Sequence[Feature]) -> None:
        """Sort and compile."""
        by_name = {feature.name: feature for feature in features}
        self.sourced = tuple(feature for feature in features if not feature.transform)
        ordered = [*self.sourced, *_order(features, by_name)]
        place = {feature.name: index for index, feature in enumerate(ordered)}
        self.names = tuple(place)
        self.types: tuple[FeatureType, ...] = tuple(type_of(feature) for feature in ordered)
        self._steps: list[tuple[RowStep, FrameStep, tuple[int, ...]]] = [
            (row_step(feature), frame_step(feature), tuple(place[name] for name in feature.of))
            for feature in ordered[len(self.sourced) :]
        ]
        self.learned = tuple(feature for feature in features if feature.learn)
        self.slots = tuple(
            place[feature.of[0] if feature.transform in FITTED else feature.name] for feature in self.learned
        )

    def row(self, values: Sequence[FeatureValue]) -> list[FeatureValue]:
        """Return all features of one decision from its sourced ones."""
        out = list(values)
        for step, _, inputs in self._steps:
            out.append(step(*[out[place] for place in inputs]))
        return out

    def frame(self, columns: Sequence[FrameColumn]) -> list[FrameColumn]:
        """Return all features of many decisions from their sourced ones, equal to `row` of each."""
        out = list(columns)
        for _, step, inputs in self._steps:
            out.append(step(*[out[place] for place in inputs]))
        return out


def type_of(feature: Feature) -> FeatureType:
    """Return the type of a feature: as declared, or what its transform makes.

    Example:
        >>> type_of(Feature("where", transform="cross", of=("country", "device")))
        'categorical'
    """
    return _GIVES.get(feature.transform, "numeric") if feature.transform else feature.type


def _order(features: Sequence[Feature], by_name: dict[str, Feature]) -> list[Feature]:
    """Return the derived features, each after what it is made of, the fitted ones left out."""
    made: list[Feature] = []
    done = {feature.name for feature in features if not feature.transform}
    for index, feature in enumerate(features):
        _check_inputs(feature, by_name, f"features[{index}].of")
    waiting = [feature for feature in features if feature.transform and feature.transform not in FITTED]
    while waiting:
        ready = [feature for feature in waiting if done.issuperset(feature.of)]
        if not ready:
            circle = _circle(waiting)
            place = f"features[{list(by_name).index(circle[0])}].of"
            raise BlueprintError(
                f"{place}: features go round in a circle: {' <- '.join(map(repr, circle))}. "
                "Make one of them of something else",
                place=place,
            )
        made.extend(ready)
        done.update(feature.name for feature in ready)
        waiting = [feature for feature in waiting if feature.name not in done]
    return made


def _check_inputs(feature: Feature, by_name: dict[str, Feature], place: str) -> None:
    """Refuse inputs that do not exist, are fitted, or have a type that the transform cannot take."""
    for name in feature.of:
        if name not in by_name:
            others = [other for other in by_name if other != feature.name]
            raise BlueprintError(f"{place}: {unknown('feature', name, others)}", place=place)
        given = by_name[name]
        if given.transform in FITTED:
            raise BlueprintError(
                f"{place}: {name!r} is learned from the training rows ({given.transform}), so nothing else can be "
                f"made of it; make {feature.name!r} of {given.of[0]!r}",
                place=place,
            )
        if type_of(given) not in _TAKES[feature.transform]:
            raise BlueprintError(
                f"{place}: {feature.transform} of {name!r}, which is {type_of(given)}; "
                f"allowed: {' or '.join(_TAKES[feature.transform])}",
                place=place,
            )


def _circle(waiting: Sequence[Feature]) -> list[str]:
    """Return the names of a circle among features that wait for each other, the first again at the end."""
    inputs = {feature.name: feature.of for feature in waiting}
    path: list[str] = []
    name = waiting[0].name
    while name not in path:
        path.append(name)
        name = next(inner for inner in inputs[name] if inner in inputs)
    return [*path[path.index(name) :], name]
