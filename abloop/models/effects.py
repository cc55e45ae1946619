"""The predict side of effect models: each arm's effect against control, for one row and for a frame.

Every learner (S, T, X, a constant) ends as the same thing: some tree ensembles and linear models, each read with
the features and perhaps an arm, and a matrix that mixes their predictions into one effect an arm. Knows no learner.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec

from abloop.errors import ArtefactError
from abloop.models.forest import Forest
from abloop.models.linear import Linear, LinearModel
from abloop.models.trees import Tree

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Term(msgspec.Struct, frozen=True):
    """One prediction that enters the effects.

    Attributes:
        ensemble: Index of the tree ensemble, or of the linear model.
        weights: How much of it enters the effect of each arm, shape (k,).
        arm: Arm index appended to the features as a last column; None for the features alone.
        linear: Whether it is the prediction of a linear model.
    """

    ensemble: int
    weights: tuple[float, ...]
    arm: int | None = None
    linear: bool = False


class EffectSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An effect model as plain data.

    Attributes:
        base: Constant part of each arm's effect, shape (k,).
        terms: What is added to it.
        ensembles: Tree ensembles that the terms name.
        columns: Number of features.
        linears: Linear models that the terms name.
    """

    base: tuple[float, ...]
    columns: int
    terms: tuple[Term, ...] = ()
    ensembles: tuple[tuple[Tree, ...], ...] = ()
    linears: tuple[Linear, ...] = ()


class EffectModel:
    """Predicted effect of each arm against control.

    Args:
        spec: The model as data.

    Raises:
        ArtefactError: The data do not fit together.

    Example:
        >>> EffectModel(EffectSpec(base=(0.0, 0.3), columns=0)).row([])
        (0.0, 0.3)
    """

    def __init__(self, spec: EffectSpec) -> None:
        """Check the data and build the ensembles."""
        self.spec = spec
        arms = len(spec.base)
        if arms < 2 or not all(map(math.isfinite, spec.base)):
            raise ArtefactError(f"effect model has base {spec.base}; allowed: two finite numbers or more")
        takes_arm: dict[tuple[bool, int], bool] = {}
        for term in spec.terms:
            kind, parts = ("linear model", spec.linears) if term.linear else ("ensemble", spec.ensembles)
            if not 0 <= term.ensemble < len(parts):
                raise ArtefactError(f"effect model names {kind} {term.ensemble}; there are {len(parts)}")
            if len(term.weights) != arms or not all(map(math.isfinite, term.weights)):
                raise ArtefactError(f"effect model weights {term.weights}; allowed: {arms} finite numbers")
            if term.arm is not None and not 0 <= term.arm < arms:
                raise ArtefactError(f"effect model names arm {term.arm}; there are {arms}")
            reads = term.arm is not None
            if takes_arm.setdefault((term.linear, term.ensemble), reads) != reads:
                raise ArtefactError(f"effect model reads {kind} {term.ensemble} both with and without an arm")
        trees = [term for term in spec.terms if not term.linear]
        read = [(term.ensemble, None if term.arm is None else float(term.arm)) for term in trees]
        self._forest = Forest(spec.ensembles, spec.columns, read)
        self._mix = [_weights(term) for term in trees]
        lines = [
            LinearModel(each, spec.columns + takes_arm.get((True, i), False)) for i, each in enumerate(spec.linears)
        ]
        self._lines = [
            (lines[term.ensemble], [] if term.arm is None else [float(term.arm)], _weights(term))
            for term in spec.terms
            if term.linear
        ]

    def row(self, values: Sequence[float]) -> tuple[float, ...]:
        """Return each arm's effect for one row of features, shape (d,) to (k,)."""
        effects = list(self.spec.base)
        if self._mix:
            for score, weights in zip(self._forest.row(values), self._mix, strict=True):
                for arm, weight in weights:
                    effects[arm] += weight * score
        for part, armed, weights in self._lines:
            score = part.row([*values, *armed] if armed else values)
            for arm, weight in weights:
                effects[arm] += weight * score
        return tuple(effects)

    def frame(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return each arm's effect for many rows.

        Args:
            values: Features, shape (n, d), NaN where missing.

        Returns:
            Effects, shape (n, k), equal to `row` of each.
        """
        import numpy as np

        effects = np.tile(np.asarray(self.spec.base), (len(values), 1))
        if self._mix:
            for score, weights in zip(self._forest.frame(values).T, self._mix, strict=True):
                for arm, weight in weights:
                    effects[:, arm] += weight * score
        for part, armed, weights in self._lines:
            score = part.frame(np.column_stack([values, np.full(len(values), armed[0])]) if armed else values)
            for arm, weight in weights:
                effects[:, arm] += weight * score
        return effects


def _weights(term: Term) -> list[tuple[int, float]]:
    """Return how much of a term enters the effects of which arms."""
    return [(arm, weight) for arm, weight in enumerate(term.weights) if weight]
