"""Measured effects by segment, drawn towards their mean: for each feature, each treatment, each of its parts."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np

from abloop.evaluate.gate import Evidence
from abloop.evaluate.ope import Frame, Index, clustered_mean, count_units
from abloop.learners.base import Sample
from abloop.records import Column
from abloop.stats.segments import Heterogeneity, SegmentEffect, heterogeneity

PARTS = 4  # of a number: so many parts of about equal size
MOST_PARTS = 8  # of a category: its most frequent levels, the others together
FEWEST_UNITS = 50  # in a segment, for an effect of its own


def segment_effects(
    sample: Sample, columns: tuple[Column, ...], evidence: Evidence
) -> dict[str, dict[str, Heterogeneity]]:
    """Return each treatment's effect by the parts of each feature.

    Args:
        sample: The rows, encoded.
        columns: How the features were encoded.
        evidence: Measured value of each arm.

    Returns:
        Feature to treatment to its shrunk effects by segment, in value net of costs; without features that have
        fewer than two segments.
    """
    measured = evidence.arm_scores - evidence.arm_scores[:, :1]
    found: dict[str, dict[str, Heterogeneity]] = {}
    at = 0
    for column in columns:
        if column.width == 1:
            parts = segments_of(sample.features[:, at], column)
            by_arm = {
                name: _compare(measured[:, arm], evidence, parts) for arm, name in enumerate(evidence.names) if arm
            }
            found[column.name] = {name: each for name, each in by_arm.items() if each is not None}
        at += column.width
    return {name: each for name, each in found.items() if each}


def chosen_shares(
    sample: Sample, columns: tuple[Column, ...], chosen: Index, names: Sequence[str]
) -> dict[str, dict[str, dict[str, float]]]:
    """Return the share of each segment's rows that each arm would get.

    Args:
        sample: The rows, encoded.
        columns: How the features were encoded.
        chosen: Each row's arm, shape (n,).
        names: Arms, length k.

    Returns:
        Feature to segment to arm to share.
    """
    found: dict[str, dict[str, dict[str, float]]] = {}
    at = 0
    for column in columns:
        if column.width == 1:
            found[column.name] = {
                segment: dict(
                    zip(names, (np.bincount(chosen[rows], minlength=len(names)) / rows.sum()).tolist(), strict=True)
                )
                for segment, rows in segments_of(sample.features[:, at], column).items()
            }
        at += column.width
    return found


def segments_of(values: Frame, column: Column) -> dict[str, np.ndarray]:
    """Return the segments of one input, each as a mask of shape (n,), in order.

    Args:
        values: Shape (n,), NaN where missing.
        column: How the feature was encoded.
    """
    known = ~np.isnan(values)
    parts: dict[str, np.ndarray] = {}
    if column.type == "categorical":
        for code, level in enumerate(column.levels[:MOST_PARTS]):
            parts[level] = values == code
        if len(column.levels) > MOST_PARTS:
            parts["(others)"] = known & (values >= MOST_PARTS)
    elif known.any():
        distinct = np.unique(values[known])
        if len(distinct) <= PARTS + 1:
            parts = {f"{value:.4g}": values == value for value in distinct}
        else:
            cuts = np.unique(np.quantile(values[known], np.arange(1, PARTS) / PARTS))
            edges = [-math.inf, *cuts.tolist(), math.inf]
            for low, high in itertools.pairwise(edges):
                parts[_named(low, high)] = (values > low) & (values <= high)
    if not known.all():
        parts["(missing)"] = ~known
    return {name: rows for name, rows in parts.items() if rows.any()}


def _named(low: float, high: float) -> str:
    if math.isinf(low):
        return f"<= {high:.4g}"
    return f"> {low:.4g}" if math.isinf(high) else f"{low:.4g} to {high:.4g}"


def _compare(measured: Frame, evidence: Evidence, parts: dict[str, np.ndarray]) -> Heterogeneity | None:
    """Return the shrunk effects of the segments that have units enough; None below two."""
    effects = []
    for name, rows in parts.items():
        units = count_units(evidence.groups[rows])
        if units < FEWEST_UNITS:
            continue
        mean, error = clustered_mean(measured[rows], evidence.groups[rows])
        if error > 0:
            effects.append(SegmentEffect(name, units, mean, error))
    return heterogeneity(effects) if len(effects) > 1 else None
