"""Does a feature depend on the arm? Then it was not known before the decision, and learning from it would be wrong.

The arms of a trial are drawn without a look at the features, or with the probabilities that were logged: weighted by
one over these, every feature has the same distribution in all arms. A feature that has not was changed by the arm, or
the arms were not drawn as logged. Either way every effect that is learned from it is one that no decision can use.
Features may rightly tell what the arm did at earlier decisions: so only the first row of each unit is looked at, and
no feature that is fetched, e.g. a live tally.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from scipy.stats import rankdata
from scipy.stats import t as student

from abloop.evaluate.ope import Frame, Index
from abloop.features.column import Categories, FrameColumn
from abloop.features.graph import Graph
from abloop.train.table import TrainingTable

ALARM = 1e-6  # over all features, arms and levels together: once in a million sound trials
ROUNDING = 1e-9  # of bounded numbers
MOST_LEVELS = 20  # of a categorical feature, its most frequent ones
FEWEST_TOLD = 50  # rows on which a label and a feature are known
EXACT = 1e-9


def leaking_feature(table: TrainingTable) -> str:
    """Return the name of the feature that depends most on the arm, beyond chance; empty where none does.

    Args:
        table: The rows, of a strategy with arms.

    Returns:
        Name of a feature that product code passes in; those fetched, or made of others, are not looked at.
    """
    found: list[tuple[float, str]] = []
    rows = table.firsts
    of = (table.sample.arm[rows], table.propensity[rows], table.groups[rows])
    for feature, column in zip(Graph(table.blueprint.features).sourced, table.features, strict=False):
        for shown in _numbers(column) if not feature.group else ():
            found += [(arm_dependence(shown[rows], *of, arm), feature.name) for arm in range(1, table.sample.arms)]
    if not found:
        return ""
    chance, name = min(found)
    return name if chance < ALARM / len(found) else ""


def arm_dependence(values: Frame, arm: Index, propensity: Frame, groups: Index, treatment: int) -> float:
    """Return the p-value of a difference of means between a treatment and control, weighted by propensity, by unit.

    Args:
        values: One for each row, shape (n,), finite and bounded, e.g. ranks.
        arm: Logged arm, 0 for control, shape (n,).
        propensity: Probability of the logged arm, in (0, 1], shape (n,).
        groups: Unit of each row, 0 to g - 1, shape (n,).
        treatment: The arm to compare.

    Returns:
        Two-sided p-value, from Student's t with the units of the smaller arm; 1 where nothing varies, 0 where only the
        arms do.
    """
    influence, gap, units = np.zeros(len(values)), 0.0, math.inf
    for index, sign in ((treatment, 1.0), (0, -1.0)):
        rows = arm == index
        weights = np.where(rows, 1.0 / propensity, 0.0)
        total = float(weights.sum())
        if not total:
            return 1.0
        mean = float(weights @ values) / total
        gap += sign * mean
        influence += sign * weights * (values - mean) / total
        units = min(units, len(np.unique(groups[rows])))
    sums = np.bincount(groups, influence)
    error = math.sqrt(float(sums @ sums))
    if units < 2:
        return 1.0
    if error <= ROUNDING:  # within each arm nothing varies: either all rows are alike, or the arm says it all
        return 1.0 if abs(gap) <= ROUNDING else 0.0
    return float(2.0 * student.sf(abs(gap) / error, units - 1))


def _numbers(column: FrameColumn) -> Iterator[Frame]:
    """Yield what a feature says as bounded numbers: whether it is missing, its ranks, its most frequent texts."""
    if isinstance(column, Categories):
        counts = np.bincount(column.codes[column.codes >= 0], minlength=len(column.levels))
        for level in np.argsort(-counts, kind="stable")[:MOST_LEVELS]:
            yield (column.codes == level).astype(np.float64)
        missing = column.codes < 0
    elif isinstance(column, np.ndarray) and column.ndim == 1:
        missing = np.isnan(column)
        if not missing.all():
            ranks = rankdata(np.where(missing, np.nan, column), nan_policy="omit")
            yield np.where(missing, 0.5, ranks / max(1, int((~missing).sum())))
    else:
        return
    if missing.any():
        yield missing.astype(np.float64)


def telling_feature(table: TrainingTable, label: str) -> str:
    """Return a feature that is the label in other words, so that it cannot have been known before it; empty for none.

    A number is, where the label is an exact line of it; a category, where each of its levels has one value of the
    label.

    Args:
        table: The rows.
        label: One of its metrics, which varies.
    """
    values = table.metrics[label]
    at = 0
    for column in table.encoder.columns:
        inputs = table.sample.features[:, at]
        at += column.width
        known = ~np.isnan(values) & ~np.isnan(inputs)
        if column.width > 1 or known.sum() < FEWEST_TOLD or np.ptp(values[known]) == 0.0:
            continue
        x, y = inputs[known], values[known]
        if column.type == "categorical":
            codes = x.astype(np.intp)
            told = all(np.ptp(y[codes == code]) == 0.0 for code in np.unique(codes))
            told = told and len(column.levels) <= MOST_LEVELS
        else:
            told = bool(np.ptp(x) > 0.0) and abs(float(np.corrcoef(x, y)[0, 1])) > 1.0 - EXACT
        if told:
            return column.name
    return ""
