"""Do predicted effects tell units apart, and by the right amount? Knows no learner and no storage."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from abloop.evaluate.ope import Frame, count_units
from abloop.stats.compare import Estimate, t_quantile


def effect_slope(predicted: Frame, measured: Frame, groups: NDArray[np.intp], confidence: float = 0.95) -> Estimate:
    """Return the slope of measured on predicted effects, with an interval by unit.

    It is the heterogeneity coefficient of the best linear predictor: zero when the predictions say nothing
    about who gains more, one when they are calibrated. Source: Chernozhukov, Demirer, Duflo, Fernandez-Val,
    "Generic machine learning inference on heterogeneous treatment effects", 2018, section 3.1.

    Args:
        predicted: Out-of-fold predicted effect of each row, shape (n,).
        measured: Doubly-robust score of the effect of each row, shape (n,).
        groups: Unit of each row, 0 to g - 1, shape (n,).
        confidence: Coverage, in (0, 1).

    Returns:
        The slope; NaN where the predictions do not vary.
    """
    units = count_units(groups)
    centred = predicted - predicted.mean()
    spread = float(centred @ centred)
    if units < 3 or spread <= 1e-20 * max(1.0, float(predicted @ predicted)):
        return Estimate(units, math.nan, math.nan, math.nan)
    slope = float(centred @ measured) / spread
    residual = measured - measured.mean() - slope * centred
    sums = np.bincount(groups, centred * residual)
    half = t_quantile(0.5 + confidence / 2, units - 2) * math.sqrt(float(sums @ sums)) / spread
    return Estimate(units, slope, slope - half, slope + half)
