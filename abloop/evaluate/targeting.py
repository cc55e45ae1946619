"""What it brings to reach the first of a ranking, step by step, with intervals; and whether predictions are right.

Predictions must come from models that did not see the rows. Knows no learner and no storage.
"""

from __future__ import annotations

import math

import msgspec
import numpy as np

from abloop.evaluate.ope import Frame, Index, clustered_mean, count_units, weighted_value
from abloop.stats.compare import Estimate

STEPS = 20
Z = 1.96  # 95 %


class Reached(msgspec.Struct, frozen=True):
    """What reaching the first of a ranking brings.

    Attributes:
        share: Share of the rows that are reached, in (0, 1].
        gain: Measured effect a row of all rows where these are reached and the others are not (a Qini curve's height).
        more: How much more these gain than everybody, each (the TOC).
    """

    share: float
    gain: Estimate
    more: Estimate


class Calibrated(msgspec.Struct, frozen=True):
    """What was predicted of some rows, and what was measured.

    Attributes:
        predicted: Their mean predicted effect.
        measured: Their measured effect, with its interval.
    """

    predicted: float
    measured: Estimate


class Histogram(msgspec.Struct, frozen=True):
    """How many rows have which prediction.

    Attributes:
        edges: Rising, one more than there are counts.
        counts: Rows from an edge to the next.
    """

    edges: tuple[float, ...]
    counts: tuple[int, ...]


def targeting_curve(predicted: Frame, measured: Frame, groups: Index, steps: int = STEPS) -> tuple[Reached, ...]:
    """Return what reaching the first 1/m, 2/m, ..., all of a ranking brings, with 95 % intervals by unit.

    The intervals take the ranking as given. Source of the TOC: Yadlowsky, Fleming, Shah, Brunskill, Wager,
    "Evaluating treatment prioritization rules", JASA 2024; of the curve: Radcliffe, "Using control groups to target on
    predicted lift", 2007.

    Args:
        predicted: Predicted effect of each row, shape (n,).
        measured: Doubly-robust score of the effect of each row, shape (n,).
        groups: Unit of each row, 0 to g - 1, shape (n,).
        steps: Points of the curve, m.

    Example:
        >>> effect = np.array([4.0, 3.0, 2.0, 1.0])
        >>> [(each.share, each.gain.mean, each.more.mean) for each in targeting_curve(effect, effect, np.arange(4), 2)]
        [(0.5, 1.75, 1.0), (1.0, 2.5, 0.0)]
    """
    rows, order = len(predicted), np.argsort(-predicted, kind="stable")
    place = np.empty(rows)
    place[order] = np.arange(rows)
    mean, units = float(measured.mean()), count_units(groups)
    found = []
    for step in range(1, steps + 1):
        first = place < round(rows * step / steps)
        share = float(first.mean())
        if not share:
            continue
        ahead = float(measured[first].mean())
        error = clustered_mean(first * (measured - ahead) / share - (measured - mean), groups)[1]
        more = Estimate(units, ahead - mean, ahead - mean - Z * error, ahead - mean + Z * error)
        found.append(Reached(share, weighted_value(first * measured, groups), more))
    return tuple(found)


def calibrate(predicted: Frame, measured: Frame, groups: Index, parts: int) -> tuple[Calibrated, ...]:
    """Return predicted beside measured effects by parts of about equal size, from the greatest prediction down.

    Args:
        predicted: Predicted effect of each row, shape (n,).
        measured: Doubly-robust score of the effect of each row, shape (n,).
        groups: Unit of each row, 0 to g - 1, shape (n,).
        parts: How many, from 2.
    """
    return tuple(
        Calibrated(float(predicted[rows].mean()), weighted_value(measured[rows], groups[rows]))
        for rows in np.array_split(np.argsort(-predicted, kind="stable"), parts)
    )


def histogram(values: Frame, bins: int = 30) -> Histogram:
    """Return how values are spread; the outermost hundredth of each side goes into the outermost bins.

    Args:
        values: Shape (n,), finite, one or more.
        bins: How many.

    Example:
        >>> histogram(np.array([0.0, 1.0, 1.0]), 2)
        Histogram(edges=(0.0, 0.5, 1.0), counts=(1, 2))
    """
    low, high = (float(each) for each in np.quantile(values, [0.01, 0.99]))
    if len(values) < 100 or not high > low:
        low, high = float(values.min()), float(values.max())
    if not (high > low and math.isfinite(high - low)):
        return Histogram((low, low), (len(values),))
    counts, edges = np.histogram(np.clip(values, low, high), bins=bins, range=(low, high))
    return Histogram(tuple(edges.tolist()), tuple(counts.tolist()))
