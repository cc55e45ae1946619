"""The predict side of tree ensembles: the sums of several, for one row and for a frame.

By machine code where numba is installed, by Python and NumPy alone where it is not, with the same bits: those of the
library that fitted the trees. Knows no fitting and no storage.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from abloop.models.machine import Walked, machine_code
from abloop.models.spelled import Spelled
from abloop.models.trees import Tree

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Read = tuple[int, float | None]


class Forest:
    """Sums of tree ensembles, all read from the same inputs in one call.

    Args:
        ensembles: Trees of each, in the order in which they are summed.
        columns: Number of input columns, without the arm.
        reads: What is asked for, length r: an ensemble, and the arm that it reads as one column more; None where it
            reads the inputs alone. An ensemble is read with an arm always, or never.
        native: Whether machine code may be used; trees for which zero is missing are read by Python in any case.

    Raises:
        ArtefactError: A tree fails its check.

    Example:
        >>> stump = Tree((0,), (0.5,), (-1,), (-2,), (2,), (1.0, 3.0))
        >>> list(Forest([[stump], [stump, stump]], columns=1, reads=[(1, None), (0, None)]).row([0.7]))
        [6.0, 3.0]
    """

    def __init__(
        self, ensembles: Sequence[Sequence[Tree]], columns: int, reads: Sequence[Read], *, native: bool = True
    ) -> None:
        """Check the trees and make them ready, so that no decision waits for it."""
        armed = {ensemble: arm is not None for ensemble, arm in reads}
        for at, trees in enumerate(ensembles):
            for tree in trees:
                tree.check(columns + armed.get(at, False))
        zeros = any(bits & 4 for trees in ensembles for tree in trees for bits in tree.missing)
        code = machine_code() if native and reads and not zeros else None
        reader = Walked(code, ensembles, columns, reads) if code else Spelled(ensembles, columns, reads)
        self._row, self._frame = reader.row, reader.frame

    def row(self, values: Sequence[float]) -> Sequence[float]:
        """Return the sums of one row of inputs, NaN where missing, shape (columns,) to (r,)."""
        return self._row(values)

    def frame(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the sums of many rows, equal to `row` of each, shape (n, columns) to (n, r)."""
        return self._frame(values)


class Ensemble:
    """A sum of trees.

    Args:
        trees: The trees, in the order in which they are summed.
        columns: Number of input columns.

    Raises:
        ArtefactError: A tree fails its check.

    Example:
        >>> stump = Tree((0,), (0.5,), (-1,), (-2,), (2,), (1.0, 3.0))
        >>> Ensemble([stump], columns=1).row([0.7])
        3.0
    """

    def __init__(self, trees: Sequence[Tree], columns: int) -> None:
        """Check the trees and make them ready."""
        self._forest = Forest([tuple(trees)], columns, [(0, None)])

    def row(self, values: Sequence[float]) -> float:
        """Return the prediction for one row, shape (columns,), NaN where missing."""
        return self._forest.row(values)[0]

    def frame(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the predictions for many rows, equal to `row` of each, shape (n, columns) to (n,)."""
        return self._forest.frame(values)[:, 0]
