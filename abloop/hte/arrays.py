"""Arrays and frames of an analyst as rows to learn from: checked, categories as codes, propensities estimated."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from abloop.errors import DataError
from abloop.evaluate.ope import effective_sample_size
from abloop.learners.base import Frame, Index, Sample
from abloop.learners.nuisance import split_folds
from abloop.learners.regress import Design

FEWEST_ROWS = 20  # in each arm
NARROWEST = 0.01  # estimated propensities are kept this far from 0 and 1
MOST_HOPELESS = 0.10  # share of all rows that may have had no more than that chance of an arm
LEAST_OVERLAP = 0.05  # share of an arm's rows that its weighted rows are worth
PROPENSITY_FOLDS = 5


@dataclass(frozen=True)
class Coding:
    """How the columns of a frame become numbers.

    Attributes:
        names: Column names; None for an array.
        categories: Levels of each column that holds texts; None for numbers, length d.
    """

    names: tuple[str, ...] | None
    categories: tuple[tuple[Any, ...] | None, ...]

    @property
    def levels(self) -> tuple[int, ...]:
        """How many levels each column has, 0 for numbers."""
        return tuple(0 if levels is None else len(levels) for levels in self.categories)

    @staticmethod
    def of(given: Any) -> Coding:
        """Return the coding of training rows.

        Raises:
            DataError: They are no table.
        """
        if hasattr(given, "columns"):
            columns = [given[name] for name in given.columns]
            levels = [None if _numeric(column) else tuple(column.value_counts().index) for column in columns]
            return Coding(tuple(map(str, given.columns)), tuple(levels))
        shape = np.shape(given)
        if len(shape) != 2:
            raise DataError(f"X has shape {shape}; allowed: (n, d), a row for each outcome")
        return Coding(None, (None,) * shape[1])

    def inputs(self, given: Any) -> Frame:
        """Return rows as numbers, shape (n, d), NaN where missing or unknown.

        Raises:
            DataError: They have other columns.
        """
        width = np.shape(given)[1] if len(np.shape(given)) == 2 else -1
        named = tuple(map(str, given.columns)) if hasattr(given, "columns") else None
        if width != len(self.categories) or (self.names and named and named != self.names):
            came = list(named) if named else f"shape {np.shape(given)}"
            raise DataError(
                f"X has {came}; allowed: the {len(self.categories)} columns that were fitted, in their order"
            )
        if named is None:
            return np.asarray(given, dtype=np.float64)
        out = np.empty((len(given), width))
        for index, (name, levels) in enumerate(zip(given.columns, self.categories, strict=True)):
            codes = None if levels is None else {level: code for code, level in enumerate(levels)}
            column = given[name] if codes is None else given[name].map(codes)
            out[:, index] = column.astype("float64").to_numpy(dtype=np.float64, na_value=np.nan)
        return out


def _numeric(column: Any) -> bool:
    from pandas.api.types import is_bool_dtype, is_numeric_dtype

    return bool(is_numeric_dtype(column) or is_bool_dtype(column))


def check_lengths(
    outcome: Frame, arm: Index, features: Frame, units: Index, weights: Frame | None, arms: int, folds: int
) -> None:
    """Refuse arrays that do not fit together, and arms too small to learn from.

    Raises:
        DataError: They are as the sentence says.
    """
    lengths = {"Y": len(outcome), "T": len(arm), "X": len(features), "groups": len(units)}
    if weights is not None:
        lengths["sample_weight"] = len(weights)
    if len(set(lengths.values())) > 1:
        told = ", ".join(f"{name} {rows:,}" for name, rows in lengths.items())
        raise DataError(f"rows are {told}; allowed: as many in each")
    if not np.isfinite(outcome).all():
        raise DataError(f"Y has {int((~np.isfinite(outcome)).sum()):,} values that are not finite; drop those rows")
    if np.isinf(features).any():
        raise DataError("X has infinite values; allowed: finite numbers, NaN where missing")
    if weights is not None and not (np.isfinite(weights) & (weights > 0)).all():
        raise DataError("sample_weight has values that are not above zero; allowed: finite numbers above 0")
    if folds < 2:
        raise DataError(f"folds is {folds}; allowed: 2 or more")
    counts = np.bincount(arm, minlength=arms)
    if counts.min() < FEWEST_ROWS:
        raise DataError(
            f"arms have {counts.tolist()} rows; allowed: {FEWEST_ROWS} or more in each. Wait, or merge arms"
        )


def logged_propensity(given: ArrayLike | None, rows: int) -> Frame:
    """Return given propensities, checked.

    Raises:
        DataError: They are no probabilities of the arms that rows had.
    """
    found = np.asarray(given, dtype=np.float64)
    if found.shape != (rows,) or not ((found > 0) & (found <= 1)).all():
        raise DataError(
            f"propensity has shape {found.shape}; allowed: ({rows},), the probability of the arm that each row had, "
            "in (0, 1]"
        )
    return found


class Chances:
    """The probability of each arm by features: a logistic regression."""

    def __init__(self, sample: Sample) -> None:
        """Fit it.

        Raises:
            DataError: An arm has no row.
        """
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        self._design = Design.of(sample)
        inputs = self._design.inputs(sample.features)
        self._model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1_000)).fit(inputs, sample.arm)
        if len(self._model.classes_) < sample.arms:
            raise DataError("an arm stands in one fold only; allowed: rows of each arm in several units")

    def of(self, features: Frame) -> Frame:
        """Return the probability of each arm, kept away from 0, shape (n, d) to (n, k)."""
        found: Frame = np.clip(self._model.predict_proba(self._design.inputs(features)), NARROWEST, 1.0)
        return found


def estimate_propensity(sample: Sample, seed: int) -> Frame:
    """Return the probability of each row's arm by a logistic regression on the features of other rows, shape (n,).

    Raises:
        DataError: Some arm was given so one-sidedly that its rows cannot speak for all.
    """
    chances = np.empty((len(sample.arm), sample.arms))
    folds = split_folds(sample.units, PROPENSITY_FOLDS, np.random.default_rng(seed))
    for fold in range(PROPENSITY_FOLDS):
        test = folds == fold
        chances[test] = Chances(sample.of(~test)).of(sample.features[test])
    found: Frame = chances[np.arange(len(chances)), sample.arm]
    for arm in range(sample.arms):
        rows = sample.arm == arm
        worth = effective_sample_size(1.0 / found[rows]) / rows.sum()
        hopeless = float((chances[:, arm] <= NARROWEST).mean())
        if worth < LEAST_OVERLAP or hopeless > MOST_HOPELESS:
            raise DataError(
                f"arm {arm} went to units that the others hardly have: {hopeless:.0%} of all rows had a chance of "
                f"{NARROWEST:.0%} or less to get it (allowed: {MOST_HOPELESS:.0%}), and its own rows, weighted, are "
                f"worth {worth:.1%} of their number (allowed: {LEAST_OVERLAP:.0%} or more). Randomise, or drop units "
                "that only some arms could have"
            )
    return found
