"""The predict side of bandits: the value of each arm for one unit, and how sure it is. Knows no fitting and no storage.

Linear: a normal posterior of each arm's coefficients. Trees: each arm's values by ensembles of resampled rows, whose
spread is the uncertainty. Sums go one after the other, so that one row and a frame give the same bits anywhere.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec

from abloop.errors import ArtefactError
from abloop.models.forest import Forest
from abloop.models.tensors import read_tensors
from abloop.models.trees import Tree

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]


class LinearPosterior(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Normal posteriors of linear models, one for each arm.

    Attributes:
        means: What a missing number is taken for, shape (d,).
        gaps: Whether a number has an input that says it is missing, length d.
        levels: Levels of a category that have an input of their own, 0 for numbers, length d.
        tensors: Safetensors: `centre` and `scale` of the p inputs, shape (p,); of each arm in one row after the other
            `mean`, shape (k, p + 1), and `root`, shape (k, p + 1, p + 1), whose square is the covariance; the first
            input is 1.
    """

    means: tuple[float, ...]
    gaps: tuple[bool, ...]
    levels: tuple[int, ...]
    tensors: bytes


class TreePosterior(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Ensembles of resampled rows, for each arm as many.

    Attributes:
        samples: Ensembles of each arm, b of them, shape (k, b).
        least: Least uncertainty of each arm, in value, shape (k,).
        columns: Number of inputs.
    """

    samples: tuple[tuple[tuple[Tree, ...], ...], ...]
    least: tuple[float, ...]
    columns: int


class BanditSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A bandit's model as plain data: one of the two."""

    linear: LinearPosterior | None = None
    trees: TreePosterior | None = None


class BanditModel:
    """Predicts each arm's effect against control and the uncertainty of its value.

    Args:
        spec: The model as data.
        arms: Number of arms.
        columns: Number of inputs.

    Raises:
        ArtefactError: The data do not fit together.
    """

    def __init__(self, spec: BanditSpec, arms: int, columns: int) -> None:
        """Check the data."""
        self._reader: _Lines | _Samples
        if spec.linear is not None and spec.trees is None:
            self._reader = _Lines(spec.linear, arms, columns)
        elif spec.trees is not None and spec.linear is None:
            self._reader = _Samples(spec.trees, arms, columns)
        else:
            raise ArtefactError("bandit model is of no kind, or of two; allowed: linear or trees")

    def row(self, values: Sequence[float]) -> tuple[float, ...]:
        """Return effects, then uncertainties, of one row of inputs, shape (d,) to (2 k,)."""
        import numpy as np

        found: list[float] = self.frame(np.asarray(values, dtype=np.float64)[None, :])[0].tolist()
        return tuple(found)

    def frame(self, values: Array) -> Array:
        """Return what `row` gives of each of many rows, shape (n, d) to (n, 2 k)."""
        import numpy as np

        with np.errstate(over="ignore", invalid="ignore"):  # whatever is fed in, an answer comes out
            means, deviations = self._reader.frame(values)
            return np.concatenate([means - means[:, :1], deviations], axis=1)


class _Lines:
    """Reads linear posteriors."""

    def __init__(self, spec: LinearPosterior, arms: int, columns: int) -> None:
        arrays = read_tensors(spec.tensors)
        width = sum(count or 1 + gap for count, gap in zip(spec.levels, spec.gaps, strict=False))
        shapes = {"centre": (width,), "scale": (width,), "mean": (arms, width + 1)}
        shapes["root"] = (arms, width + 1, width + 1)
        lengths = {len(spec.means), len(spec.gaps), len(spec.levels)}
        fits = lengths == {columns} and min((0, *spec.levels)) == 0 and all(map(math.isfinite, spec.means))
        if not fits or {name: array.shape for name, array in arrays.items()} != shapes:
            raise ArtefactError(f"bandit model of {width} inputs and {arms} arms does not fit its tensors")
        self.spec, self.arrays = spec, arrays

    def frame(self, values: Array) -> tuple[Array, Array]:
        """Return means and deviations, shapes (n, k)."""
        import numpy as np

        spec, scale = self.spec, self.arrays["scale"]
        inputs = (design_inputs(spec.means, spec.gaps, spec.levels, values) - self.arrays["centre"]) * scale
        inputs = np.column_stack([np.ones(len(values)), inputs])
        arms = len(self.arrays["mean"])
        means = np.zeros((len(values), arms))
        roots = np.zeros((len(values), arms, inputs.shape[1]))
        for at, column in enumerate(inputs.T):
            means += column[:, None] * self.arrays["mean"][:, at]
            roots += column[:, None, None] * self.arrays["root"][:, at, :]
        squares = np.zeros((len(values), arms))
        for column in np.moveaxis(roots, 2, 0):
            squares += column * column
        return means, np.sqrt(squares)


def design_inputs(means: Sequence[float], gaps: Sequence[bool], levels: Sequence[int], values: Array) -> Array:
    """Return numbers with their mean where missing, whether they are, and levels as zeros and ones.

    Args:
        means: What a missing number is taken for, length d.
        gaps: Whether a number has an input that says it is missing, length d.
        levels: Levels of a category that have an input of their own, 0 for numbers, length d.
        values: Shape (n, d).
    """
    import numpy as np

    columns: list[Array] = []
    for column, mean, has_gaps, count in zip(values.T, means, gaps, levels, strict=True):
        if count:
            columns += [(column == code).astype(np.float64) for code in range(count)]
        else:
            missing = np.isnan(column)
            columns.append(np.where(missing, mean, column))
            columns += [missing.astype(np.float64)] if has_gaps else []
    return np.column_stack(columns) if columns else np.empty((len(values), 0))


class _Samples:
    """Reads ensembles of resampled rows."""

    def __init__(self, spec: TreePosterior, arms: int, columns: int) -> None:
        counts = {len(each) for each in spec.samples}
        fits = len(spec.samples) == len(spec.least) == arms and len(counts) == 1 and min(counts) > 1
        if not fits or spec.columns != columns or not all(0 <= least < math.inf for least in spec.least):
            raise ArtefactError(f"bandit model of {len(spec.samples)} arms; allowed: {arms}, each of as many samples")
        every = [trees for each in spec.samples for trees in each]
        self._forest = Forest(every, columns, [(at, None) for at in range(len(every))])
        self._shape, self._least = (arms, counts.pop()), spec.least

    def frame(self, values: Array) -> tuple[Array, Array]:
        """Return means and deviations, shapes (n, k)."""
        import numpy as np

        found = self._forest.frame(values).reshape(len(values), *self._shape)
        count, means, squares = self._shape[1], np.zeros(found.shape[:2]), np.zeros(found.shape[:2])
        for sample in np.moveaxis(found, 2, 0):
            means += sample
        means /= count
        for sample in np.moveaxis(found, 2, 0):
            squares += (sample - means) ** 2
        return means, np.maximum(np.sqrt(squares / (count - 1)), np.asarray(self._least))
