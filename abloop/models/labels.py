"""The predict side of label models: what proxy tasks predict, for one row and for a frame. Knows no fitting."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec

from abloop.errors import ArtefactError
from abloop.models.forest import Forest
from abloop.models.linear import Linear, LinearModel
from abloop.models.link import Link, linked, linked_one, softmax_one, softmax_rows
from abloop.models.network import Network, NetworkSpec
from abloop.models.trees import Tree

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class LabelSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A label model as plain data: trees, linear models, or outputs of the network that all labels share.

    Attributes:
        name: The label.
        link: `logistic` where the prediction is a probability, `softmax` where it is one of each class, `identity`
            elsewhere.
        trees: The ensemble; of c classes, tree i is of class i modulo c.
        columns: Number of model inputs.
        arms: Arms it is predicted for, each appended to the inputs of trees as a last column; 0 for one prediction.
        classes: Number of classes; 0 for none.
        linears: Linear models, one for each arm or class; empty for another kind.
        head: The first of its outputs of the network; -1 for another kind.
        last: What is appended to the inputs as a last column, where training knew more than a decision does.
        looked: Share of candidates that are looked at, by position from 0, the first 1; empty where that is no part of
            the model. A prediction is of what is looked at.
    """

    name: str
    link: Link
    trees: tuple[Tree, ...]
    columns: int
    arms: int = 0
    classes: int = 0
    linears: tuple[Linear, ...] = ()
    head: int = -1
    last: float | None = None
    looked: tuple[float, ...] = ()

    @property
    def width(self) -> int:
        """Number of its predictions."""
        return self.classes or self.arms or 1


class LabelModel:
    """Predicts one label.

    Args:
        spec: The model as data.

    Raises:
        ArtefactError: The data do not fit together.

    Example:
        >>> spec = LabelSpec("opened", "logistic", (Tree((), (), (), (), (), (0.0,)),), columns=1)
        >>> LabelModel(spec).row([3.0])
        (0.5,)
    """

    def __init__(self, spec: LabelSpec) -> None:
        """Check the data and make the trees ready."""
        numbers = (spec.arms, spec.columns, spec.classes)
        fits = min(numbers) >= 0 and not (spec.arms and (spec.classes or spec.last is not None))
        fits = fits and spec.classes != 1 and (spec.link == "softmax") == bool(spec.classes)
        fits = fits and len(spec.linears) in (0, spec.width) and not (spec.trees and spec.linears)
        fits = fits and all(0.0 <= share <= 1.0 for share in spec.looked)
        fits = fits and (spec.head < 0 or not (spec.trees or spec.linears))
        if not fits:
            raise ArtefactError(
                f"label model {spec.name!r} has {spec.arms} arms and {spec.columns} inputs, or mixes kinds"
            )
        self.spec = spec
        # What the last input is told: each arm, or what training knew.
        self._told: list[float | None] = list(map(float, range(spec.arms))) or [spec.last]
        self._lines = [LinearModel(line, spec.columns + (spec.last is not None)) for line in spec.linears]
        groups = [spec.trees[at :: spec.classes] for at in range(spec.classes)] or [spec.trees]
        reads = [(group, told) for group in range(len(groups)) for told in self._told]
        self._forest = None if self._lines or spec.head >= 0 else Forest(groups, spec.columns, reads)

    def row(self, values: Sequence[float], scores: Sequence[float] = ()) -> tuple[float, ...]:
        """Return the prediction of one row of inputs, or one for each arm or class.

        Args:
            values: Inputs, shape (d,), NaN where missing.
            scores: Outputs of the network, where it is of that kind.
        """
        found: Sequence[float]
        if self._forest is not None:
            found = self._forest.row(values)
        elif self._lines:
            inputs = values if self.spec.last is None else [*values, self.spec.last]
            found = [line.row(inputs) for line in self._lines]
        else:
            found = scores[self.spec.head : self.spec.head + self.spec.width]
        if self.spec.link == "softmax":
            return softmax_one(found)
        return tuple([linked_one(score, self.spec.link) for score in found])

    def frame(self, values: NDArray[np.float64], scores: NDArray[np.float64] | None = None) -> NDArray[np.float64]:
        """Return the predictions of many rows, equal to `row` of each.

        Args:
            values: Inputs, shape (n, d), NaN where missing.
            scores: Outputs of the network, where it is of that kind, shape (n, outputs).

        Returns:
            Shape (n,), or (n, k) where it is predicted by arm or class.
        """
        import numpy as np

        if self._forest is not None:
            found = self._forest.frame(values)
        elif self._lines:
            last = [] if self.spec.last is None else [np.full(len(values), self.spec.last)]
            found = np.stack([line.frame(np.column_stack([values, *last])) for line in self._lines], axis=1)
        elif scores is not None:
            found = scores[:, self.spec.head : self.spec.head + self.spec.width]
        found = softmax_rows(found) if self.spec.link == "softmax" else linked(found, self.spec.link)
        return found if self.spec.width > 1 or self.spec.arms else found[:, 0]


def at_positions(spec: LabelSpec, values: NDArray[np.float64], positions: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return what a label trained with positions predicts of candidates where they were shown, as training saw them.

    Args:
        spec: The model, of trees or linear models and one output.
        values: Inputs, shape (n, d).
        positions: From 0, shape (n,); missing ones are the first.
    """
    import numpy as np

    if spec.looked:
        at = np.minimum(np.nan_to_num(positions), len(spec.looked) - 1).astype(np.intp)
        shown: NDArray[np.float64] = LabelModel(spec).frame(values) * np.asarray(spec.looked)[at]
        return shown
    told = np.column_stack([values, np.where(np.isnan(positions), 0.0, positions)])
    return LabelModel(msgspec.structs.replace(spec, columns=spec.columns + 1, last=None)).frame(told)


class LabelSet:
    """Predicts all labels of a release.

    Args:
        specs: Their models.
        network: The network that some of them share; None where none does.

    Raises:
        ArtefactError: The data do not fit together.
    """

    def __init__(self, specs: Sequence[LabelSpec], network: NetworkSpec | None = None) -> None:
        """Check the data and make the models ready."""
        self.models = tuple(LabelModel(spec) for spec in specs)
        self.network = None if network is None else Network(network)
        for spec in specs:
            outputs = 0 if network is None else network.outputs
            if spec.head + spec.width > outputs and spec.head >= 0:
                raise ArtefactError(f"label model {spec.name!r} reads a network that has {outputs} outputs")

    def row(self, values: Sequence[float]) -> tuple[float, ...]:
        """Return the predictions of one row of inputs, label after label."""
        scores = () if self.network is None else self.network.row(values)
        found: tuple[float, ...] = ()
        for model in self.models:
            found += model.row(values, scores)
        return found

    def frame(self, values: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
        """Return the predictions of many rows by what the formula reads, each of shape (n,), or (n, k) by arm."""
        scores = None if self.network is None else self.network.frame(values)
        found: dict[str, NDArray[np.float64]] = {}
        for model in self.models:
            spec, predicted = model.spec, model.frame(values, scores)
            if spec.classes:
                found |= {f"{spec.name}_{number}": predicted[:, number] for number in range(spec.classes)}
            else:
                found[spec.name] = predicted
        return found
