"""The predict side of label models: what a proxy task predicts, for one row and for a frame. Knows no fitting."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec

from abloop.errors import ArtefactError
from abloop.models.link import Link, linked, linked_one
from abloop.models.trees import Ensemble, Tree

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
        self._ensemble = Ensemble(spec.trees, spec.columns + bool(spec.arms))

    def row(self, values: Sequence[float]) -> tuple[float, ...]:
        """Return the prediction of one row of inputs, or one for each arm."""
        score = self._ensemble.row
        if not self.spec.arms:
            return (linked_one(score(values), self.spec.link),)
        return tuple([linked_one(score([*values, float(arm)]), self.spec.link) for arm in range(self.spec.arms)])

    def frame(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the predictions of many rows, equal to `row` of each.

        Args:
            values: Inputs, shape (n, d), NaN where missing.

        Returns:
            Shape (n,), or (n, k) where it is predicted by arm.
        """
        import numpy as np

        if not self.spec.arms:
            return linked(self._ensemble.frame(values), self.spec.link)
        arms = [np.column_stack([values, np.full(len(values), float(arm))]) for arm in range(self.spec.arms)]
        return np.stack([linked(self._ensemble.frame(inputs), self.spec.link) for inputs in arms], axis=1)
