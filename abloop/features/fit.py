"""What an encoding learns from training rows: levels, means, deviations, mean outcomes. Never at decision time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from abloop.features.column import Categories, FrameColumn, rows_of
from abloop.features.encode import Encoder
from abloop.features.graph import type_of
from abloop.features.spec import Feature
from abloop.records import Column

MOST_LEVELS = 255
MOST_KEYS = 64
LARGEST = 1e30  # of numbers that are standardised: its square is still a number
PRIOR_ROWS = 20.0  # a category's mean outcome counts as if so many rows of the overall mean came first
INNER_FOLDS = 5


def fit_encoder(
    features: Sequence[Feature], columns: Sequence[FrameColumn], outcome: NDArray[np.float64] | None = None
) -> Encoder:
    """Learn the encoding of features.

    Args:
        features: Features that models read, length d.
        columns: One column of n values for each, length d; for fitted features, what they are made of.
        outcome: What target encodings take the mean of, shape (n,), finite.

    Returns:
        The encoder; levels by falling frequency, ties in alphabetical order.

    Example:
        >>> from abloop.features.column import to_column
        >>> column = to_column(["web", "phone", "web", None], "categorical")
        >>> fit_encoder([Feature("channel", "categorical")], [column]).columns[0].levels
        ('web', 'phone')
    """
    return Encoder([_fit(feature, column, outcome) for feature, column in zip(features, columns, strict=True)])


def training_inputs(
    features: Sequence[Feature],
    columns: Sequence[FrameColumn],
    outcome: NDArray[np.float64],
    groups: NDArray[np.intp],
    train: NDArray[np.bool_],
) -> NDArray[np.float64]:
    """Return the model inputs of all rows where only some may be learned from.

    A target encoding of a row that it learned from would tell the model the row's own outcome. Training rows
    therefore get it from the other inner folds of training rows, all other rows from all training rows.

    Args:
        features: Features that models read, length d.
        columns: One column of n values for each, length d.
        outcome: What target encodings take the mean of, shape (n,), finite.
        groups: Unit of each row, from 0, shape (n,); no unit teaches itself.
        train: Rows that may be learned from, shape (n,).

    Returns:
        Inputs, shape (n, width).
    """
    known = [rows_of(column, train) for column in columns]
    encoder = fit_encoder(features, known, outcome[train])
    inputs = encoder.frame(columns)
    targets = [index for index, feature in enumerate(features) if feature.transform == "target"]
    starts = np.cumsum([0, *(column.width for column in encoder.columns)])
    inner = groups % INNER_FOLDS
    for fold in range(INNER_FOLDS):
        held_out = train & (inner == fold)
        others = train & (inner != fold)
        for index in targets:
            teacher = _fit(features[index], rows_of(columns[index], others), outcome[others])
            inputs[held_out, starts[index]] = Encoder([teacher]).frame([rows_of(columns[index], held_out)])[:, 0]
    return inputs


def _fit(feature: Feature, column: Any, outcome: NDArray[np.float64] | None) -> Column:
    """Return what is learned of one feature."""
    if feature.transform == "standardise":
        there = np.clip(column[~np.isnan(column)], -LARGEST, LARGEST)
        mean, deviation = (float(there.mean()), float(there.std())) if len(there) else (0.0, 1.0)
        return Column(feature.name, "standardise", (), (mean, deviation or 1.0))
    if feature.transform == "target":
        return _fit_target(feature, column, np.zeros(len(column)) if outcome is None else outcome)
    kind = type_of(feature)
    if kind == "categorical":
        counts = np.bincount(column.codes[column.codes >= 0], minlength=len(column.levels))
        return Column(feature.name, kind, _most(dict(zip(column.levels, counts.tolist(), strict=True)), MOST_LEVELS))
    if kind == "sparse":
        found: dict[str, int] = {}
        for value in column:
            for key in value or ():
                found[key] = found.get(key, 0) + 1
        levels = _most(found, MOST_KEYS)
        return Column(feature.name, kind, levels, width=max(len(levels), 1))
    if kind == "embedding":
        return Column(feature.name, kind, width=feature.size)
    return Column(feature.name, "numeric")


def _fit_target(feature: Feature, column: Categories, outcome: NDArray[np.float64]) -> Column:
    """Return the mean outcome of each level, drawn towards the mean of all rows.

    Micci-Barreca (2001), https://doi.org/10.1145/507533.507538
    """
    there = column.codes >= 0
    counts = np.bincount(column.codes[there], minlength=len(column.levels))
    sums = np.bincount(column.codes[there], outcome[there], minlength=len(column.levels))
    prior = float(outcome.mean()) if len(outcome) else 0.0
    means = (sums + PRIOR_ROWS * prior) / (counts + PRIOR_ROWS)
    kept = _most(dict(zip(column.levels, counts.tolist(), strict=True)), MOST_LEVELS)
    place = {level: index for index, level in enumerate(column.levels)}
    return Column(feature.name, "target", kept, (*(float(means[place[level]]) for level in kept), prior))


def _most(counts: dict[str, int], most: int) -> tuple[str, ...]:
    """Return the most frequent levels, at most so many, ties in alphabetical order."""
    there = [level for level in counts if counts[level]]
    return tuple(sorted(there, key=lambda level: (-counts[level], level))[:most])
