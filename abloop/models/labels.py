"""The predict side of label models: what a proxy task predicts, for one row and for a frame. Knows no fitting."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec

from abloop.errors import ArtefactError
from abloop.models.forest import Forest
from abloop.models.link import Link, linked, linked_one
from abloop.models.trees import Tree

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class LabelSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A label model as plain data.

    Attributes:
        name: The label.
        link: `logistic` where the label is 0 or 1 and the prediction a probability, `identity` elsewhere.
        trees: The ensemble.
        columns: Number of model inputs.
        arms: Arms it is predicted for, each appended to the inputs as a last column; 0 for one prediction.
    """

    name: str
    link: Link
    trees: tuple[Tree, ...]
    columns: int
    arms: int = 0


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
        """Check the data and build the ensemble."""
        if spec.arms < 0 or spec.columns < 0:
            raise ArtefactError(f"label model {spec.name!r} has {spec.arms} arms and {spec.columns} inputs")
        self.spec = spec
        read = [(0, float(arm)) for arm in range(spec.arms)] if spec.arms else [(0, None)]
        self._forest = Forest([spec.trees], spec.columns, read)

    def row(self, values: Sequence[float]) -> tuple[float, ...]:
        """Return the prediction of one row of inputs, or one for each arm."""
        return tuple([linked_one(score, self.spec.link) for score in self._forest.row(values)])

    def frame(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the predictions of many rows, equal to `row` of each.

        Args:
            values: Inputs, shape (n, d), NaN where missing.

        Returns:
            Shape (n,), or (n, k) where it is predicted by arm.
        """
        found = linked(self._forest.frame(values), self.spec.link)
        return found if self.spec.arms else found[:, 0]
