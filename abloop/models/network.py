"""The predict side of neural networks: embeddings and dense layers, one row or a frame, in the same bits.

Each layer adds its inputs one after the other, without the machine's matrix library, so that a decision can be computed
again anywhere from its record. Knows no fitting and no storage.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from abloop.errors import ArtefactError
from abloop.models.link import linked
from abloop.models.tensors import read_tensors

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]


UNIT = ("in", "state", "in_bias", "state_bias")  # parts of a recurrent unit


class NetworkSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A network as plain data.

    Each number becomes two inputs, itself standardised (0 where missing) and whether it is missing; each category the
    row of its level in a table, whose last row is for missing and unknown ones. Then dense layers with ReLU between.

    Attributes:
        levels: Levels of each input, 0 for numbers, length d.
        layers: Number of dense layers, from 1.
        outputs: Number of outputs, the scores of all labels.
        tensors: Safetensors: `centre` and `scale` of shape (d,), `table.I` of shape (levels + 1, width), `weight.J` of
            shape (inputs, outputs) and `bias.J`; of sequence S `in.S` of shape (width, 3 h), `state.S` of shape
            (h, 3 h), and their `in_bias.S` and `state_bias.S`.
        sequences: Inputs that are steps in time, the oldest first; all of one sequence have tables of one width. What
            a gated recurrent unit makes of the steps, h numbers, is further inputs.
        squash: Whether a standardised number z enters as z / (1 + |z|), so that no tail of it is heavy.
    """

    levels: tuple[int, ...]
    layers: int
    outputs: int
    tensors: bytes
    sequences: tuple[tuple[int, ...], ...] = ()
    squash: bool = False


class Network:
    """Predicts the scores of all labels.

    Args:
        spec: The model as data.

    Raises:
        ArtefactError: The data do not fit together.
    """

    def __init__(self, spec: NetworkSpec) -> None:
        """Check the data."""
        self.spec = spec
        arrays, width = read_tensors(spec.tensors), len(spec.levels)
        self._numbers = [at for at, count in enumerate(spec.levels) if not count]
        self._tables = [(at, arrays.get(f"table.{at}")) for at, count in enumerate(spec.levels) if count]
        tables = {at: table.shape for at, table in self._tables if table is not None}
        self._units = [tuple(arrays.get(f"{part}.{at}") for part in UNIT) for at in range(len(spec.sequences))]
        fits = all(_is_unit(unit, steps, tables) for unit, steps in zip(self._units, spec.sequences, strict=True))
        states = sum(unit[1].shape[0] for unit in self._units if unit[1] is not None)
        inputs = 2 * len(self._numbers) + sum(shape[-1] for shape in tables.values()) + states
        names = {"centre", "scale", *(f"table.{at}" for at, _ in self._tables)}
        names |= {f"{part}.{layer}" for part in ("weight", "bias") for layer in range(spec.layers)}
        names |= {f"{part}.{at}" for part in UNIT for at in range(len(spec.sequences))}
        fits = fits and set(arrays) == names and arrays["centre"].shape == arrays["scale"].shape == (width,)
        fits = fits and spec.layers > 0 and min((0, *spec.levels)) == 0
        fits = fits and all(len(shape) == 2 and shape[0] == spec.levels[at] + 1 for at, shape in tables.items())
        self._layers = [(arrays[f"weight.{i}"], arrays[f"bias.{i}"]) for i in range(spec.layers)] if fits else []
        sizes = [inputs, *(bias.shape[0] if bias.ndim == 1 else -1 for _, bias in self._layers)]
        fits = fits and sizes[-1] == spec.outputs
        fits = fits and all(
            w.shape == pair for (w, _), pair in zip(self._layers, itertools.pairwise(sizes), strict=True)
        )
        if not fits:
            raise ArtefactError(f"network of {width} inputs and {spec.layers} layers does not fit its tensors")
        self._centre, self._scale = arrays["centre"], arrays["scale"]

    def row(self, values: Sequence[float]) -> tuple[float, ...]:
        """Return the scores of one row of inputs, NaN where missing, shape (d,) to (outputs,)."""
        import numpy as np

        scores: list[float] = self.frame(np.asarray(values, dtype=np.float64)[None, :])[0].tolist()
        return tuple(scores)

    def frame(self, values: Array) -> Array:
        """Return the scores of many rows, equal to `row` of each, shape (n, d) to (n, outputs)."""
        import numpy as np

        with np.errstate(over="ignore", invalid="ignore"):  # whatever is fed in, an answer comes out
            hidden = self._inputs(values)
            for layer, (weight, bias) in enumerate(self._layers):
                hidden = _dense(hidden, weight, bias)
                if layer < len(self._layers) - 1:
                    hidden = np.maximum(hidden, 0.0)
        return hidden

    def _inputs(self, values: Array) -> Array:
        """Return the inputs of the first layer, shape (n, d) to (n, inputs)."""
        import numpy as np

        numbers = (values[:, self._numbers] - self._centre[self._numbers]) * self._scale[self._numbers]
        missing = np.isnan(numbers)
        if self.spec.squash:
            numbers = squashed(numbers)
        parts = [np.where(missing, 0.0, numbers), missing.astype(np.float64)]
        embedded: dict[int, Array] = {}
        for at, table in self._tables:
            column = values[:, at]
            known = (column >= 0) & (column < self.spec.levels[at]) & (column == np.floor(column))
            embedded[at] = table[np.where(known, column, self.spec.levels[at]).astype(np.intp)]  # type: ignore[index]
        parts += embedded.values()
        for unit, steps in zip(self._units, self.spec.sequences, strict=True):
            parts.append(_follow(unit, [embedded[at] for at in steps]))
        return np.concatenate(parts, axis=1)


def squashed(numbers: Array) -> Array:
    """Return z / (1 + |z|) of each number, -1 and 1 of what is infinite."""
    import numpy as np

    found: Array = np.copysign(1.0 - 1.0 / (1.0 + np.abs(numbers)), numbers)
    return found


def _is_unit(unit: Sequence[Any], steps: Sequence[int], tables: Mapping[int, tuple[int, ...]]) -> bool:
    """Return whether arrays are a recurrent unit that reads the tables of these steps."""
    if any(part is None for part in unit) or not steps or not all(len(tables.get(at, ())) == 2 for at in steps):
        return False
    weight, state, bias, state_bias = unit
    h = state.shape[0] if state.ndim == 2 else 0
    shapes = ((tables[steps[0]][1], 3 * h), (h, 3 * h), (3 * h,), (3 * h,))
    fits = tuple(part.shape for part in (weight, state, bias, state_bias)) == shapes
    return bool(fits) and h > 0 and len({tables[at][1] for at in steps}) == 1


def _dense(values: Array, weight: Array, bias: Array) -> Array:
    """Return values @ weight + bias, each sum in the order of the inputs, for one row and many alike."""
    import numpy as np

    if len(values) == 1:
        # NumPy adds the rows of a matrix in their order, but halves a single column.
        each: Array = values[0][:, None] * weight
        total: Array = (np.add.reduce(each, axis=0) if len(bias) > 1 else np.add.accumulate(each, axis=0)[-1])[None, :]
    else:
        total = np.zeros((len(values), len(bias)))
        for column, slopes in zip(values.T, weight, strict=True):
            total += column[:, None] * slopes
    return total + bias


def _follow(unit: Sequence[Any], steps: Sequence[Array]) -> Array:
    """Return the state of a gated recurrent unit after all steps, shape (n, h).

    Source: Cho et al., EMNLP 2014, with the gates in the order of torch: reset, update, new.
    """
    import numpy as np

    weight, recurrent, bias, state_bias = unit
    h = len(recurrent)
    state: Array = np.zeros((len(steps[0]), h))
    for step in steps:
        given, kept = _dense(step, weight, bias), _dense(state, recurrent, state_bias)
        reset = linked((given[:, :h] + kept[:, :h]).ravel(), "logistic").reshape(-1, h)
        update = linked((given[:, h : 2 * h] + kept[:, h : 2 * h]).ravel(), "logistic").reshape(-1, h)
        new = (
            2.0 * linked(2.0 * (given[:, 2 * h :] + reset * kept[:, 2 * h :]).ravel(), "logistic").reshape(-1, h) - 1.0
        )
        state = (1.0 - update) * new + update * state
    return state
