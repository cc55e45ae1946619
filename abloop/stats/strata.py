"""Differences within strata, weighed by the strata's shares (post-stratification). Knows no test."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec

from abloop.errors import DataError
from abloop.stats.contrast import Contrast, Reason, contrast
from abloop.stats.cuped import solve
from abloop.stats.estimand import Estimand
from abloop.stats.moments import Products

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[tuple[int, ...], np.dtype[np.float64]]


class Stratum(msgspec.Struct, frozen=True):
    """Units that shared a value before their first decision.

    Attributes:
        treatment: Moments of one arm.
        control: Moments of the other.
    """

    treatment: Products
    control: Products

    @property
    def units(self) -> int:
        """Units of both arms."""
        return self.treatment.units + self.control.units

    def merge(self, other: Stratum) -> Stratum:
        """Return both strata as one."""
        return Stratum(self.treatment.merge(other.treatment), self.control.merge(other.control))


def stratified(strata: Sequence[Stratum], estimand: Estimand, *, equal_variance: bool = False) -> Contrast:
    """Return the difference of two arms as the mean of the differences within strata.

    With a_k the vector of the control's mean and the difference in stratum k (for numerator and denominator
    of a ratio), V_k its covariance and p_k = n_k / n, the mean is sum p_k a_k and its covariance
    sum p_k**2 V_k + (sum p_k a_k a_k' - a a') / n. The second term is there because the shares are a sample
    of the population's; a ratio is then taken of the means (delta method). So GrowthBook does; source: Xie,
    Aurisset, "Improving the Sensitivity of Online Controlled Experiments: Case Studies at Netflix", KDD 2016,
    section 3, and Miratrix, Sekhon, Yu, JRSS B 75 (2013). A stratum in which an arm has no variance or no
    units joins the largest one.

    Covariates are columns here (the two of a ratio each on its own). In every stratum a regression on them
    and the arm gives a_k: with each arm's own variances, or with one variance for both as in GrowthBook and
    ordinary least squares, which is right only if spreads or sizes of the arms are equal.

    Args:
        strata: At least one.
        estimand: What is compared.
        equal_variance: Whether residuals are taken to vary alike in both arms.

    Returns:
        The contrast; degrees of freedom are those without strata.

    Raises:
        DataError: No strata.
    """
    if not strata:
        raise DataError("no strata; allowed: one or more")
    whole = strata[0]
    for stratum in strata[1:]:
        whole = whole.merge(stratum)
    total = contrast(whole.treatment, whole.control, estimand)
    if total.reason:
        return total
    cells = _cells(strata, estimand)
    if len(cells) == 1:
        return total
    difference, baseline, joint = _of_means(*_weighed(cells, estimand, equal_variance), estimand)
    variance, covariance, spread = float(joint[0, 0]), float(joint[0, 1]), float(joint[1, 1])
    found = Contrast(total.n, difference, baseline, variance, covariance, spread, total.freedom)
    if math.isnan(difference) or not variance > 0.0:
        reason: Reason = "zero_denominator" if math.isnan(difference) else "negative_variance"
        return msgspec.structs.replace(found, reason=reason, detail=f"{total.n} units in {len(cells)} strata")
    return found


def _cells(strata: Sequence[Stratum], estimand: Estimand) -> list[Stratum]:
    """Return strata, the largest first, with those that cannot stand alone merged into it."""
    first, *others = sorted(strata, key=lambda stratum: stratum.units, reverse=True)
    parameters = 2 * len(estimand.outcomes) + len(_regressors(estimand))
    bare = msgspec.structs.replace(estimand, covariates=())
    cells = []
    for stratum in others:
        if contrast(stratum.treatment, stratum.control, bare).reason or stratum.units <= parameters:
            first = first.merge(stratum)
        else:
            cells.append(stratum)
    return [first, *cells]


def _regressors(estimand: Estimand) -> list[str]:
    """Return the columns adjusted for."""
    return [name for name in estimand.names if name not in estimand.outcomes]


def _weighed(cells: Sequence[Stratum], estimand: Estimand, equal_variance: bool) -> tuple[Array, Array]:
    """Return the mean of the cells' vectors by their shares, shape (2 m,), and its covariance."""
    import numpy as np  # here, so that `import abloop` stays light

    units = np.array([float(cell.units) for cell in cells])
    shares = units / units.sum()
    found = [_cell(cell, estimand, equal_variance) for cell in cells]
    means = np.array([mean for mean, _ in found])
    mean = shares @ means
    apart = means - mean
    covariance = apart.T @ (apart * shares[:, None]) / units.sum()
    for share, (_, within) in zip(shares, found, strict=True):
        covariance = covariance + share * share * within
    return mean, covariance


def _cell(cell: Stratum, estimand: Estimand, equal_variance: bool) -> tuple[Array, Array]:
    """Return control means and differences of one cell, adjusted for the regressors, and their covariance.

    The value of an arm is taken at the regressors' mean over both arms, which varies too.
    """
    import numpy as np

    arms = (cell.control, cell.treatment)
    outcomes, regressors = estimand.outcomes, _regressors(estimand)
    if any(not arm.products[i][i] > 0 for arm in arms for i in map(arm.index, regressors)):
        regressors = []  # one that does not vary in an arm says nothing of it
    rows = [[arm.index(name) for name in (*outcomes, *regressors)] for arm in arms]
    m, k = len(outcomes), len(regressors)
    means = [np.array(arm.means)[row] for arm, row in zip(arms, rows, strict=True)]
    within = [np.array(arm.products)[np.ix_(row, row)] for arm, row in zip(arms, rows, strict=True)]
    sums = within[0] + within[1]
    slopes = np.array([solve(sums[m:, m:].tolist(), sums[m:, j].tolist()) for j in range(m)]).reshape(m, k)
    control, treated = (mean[:m] - slopes @ mean[m:] for mean in means)
    share = cell.treatment.units / cell.units
    moved = share * slopes @ (means[1][m:] - means[0][m:])  # from the control's regressors to those of both
    base = means[0][:m] + moved
    vector = np.concatenate([base, treated - control])
    if k and equal_variance:
        return vector, _ordinary(cell, means, sums, slopes)
    eye, none = np.eye(m), np.zeros((m, m))
    maps = (
        np.block([[eye, -share * slopes], [-eye, slopes]]),
        np.block([[none, share * slopes], [eye, -slopes]]),
    )
    covariance = np.zeros((2 * m, 2 * m))
    for arm, matrix, products in zip(arms, maps, within, strict=True):
        freedom = arm.units if estimand.proportion else arm.units - 1
        covariance = covariance + matrix @ products @ matrix.T / freedom / arm.units
    spent = cell.units - 2
    return vector, covariance * (spent / max(1, spent - k))


def _ordinary(cell: Stratum, means: Sequence[Array], sums: Array, slopes: Array) -> Array:
    """Return the covariance of a cell's vector by ordinary least squares, with one variance for both arms."""
    import numpy as np

    m, k = slopes.shape
    n, n0, n1 = cell.units, cell.control.units, cell.treatment.units
    residual = (sums[:m, :m] - slopes @ sums[m:, :m]) / (n - 2 * m - k)
    inverse = np.linalg.pinv(sums[m:, m:], hermitian=True)
    gap = means[1][m:] - means[0][m:]
    reach = gap @ inverse @ gap
    share = n1 / n
    among = np.array(
        [[1 / n0 + share * share * reach, -1 / n0 - share * reach], [-1 / n0 - share * reach, 1 / n0 + 1 / n1 + reach]]
    )
    covariance = np.kron(among, residual)
    spread = (sums[m:, m:] + np.outer(gap, gap) * n0 * n1 / n) / (n - 1) / n
    covariance[:m, :m] += slopes @ spread @ slopes.T + residual * np.trace(inverse @ spread)
    return covariance


def _of_means(mean: Array, covariance: Array, estimand: Estimand) -> tuple[float, float, Array]:
    """Return difference, baseline and their covariance, from the means' vector."""
    import numpy as np

    if not estimand.over:
        return float(mean[1]), float(mean[0]), covariance[::-1, ::-1]
    base, treated = mean[:2], mean[:2] + mean[2:]
    if not base[1] or not treated[1]:
        return math.nan, math.nan, covariance[:2, :2]
    ratio, lifted = base[0] / base[1], treated[0] / treated[1]
    one = np.array([1.0, -lifted, 1.0, -lifted]) / treated[1]
    two = np.array([1.0, -ratio, 0.0, 0.0]) / base[1]
    slopes = np.array([one - two, two])
    return float(lifted - ratio), float(ratio), slopes @ covariance @ slopes.T
