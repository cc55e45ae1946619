"""Differences where rows come in clusters that may span arms. Knows no table.

Where units were randomised and rows are finer (events of users), each arm's `Moments` already hold the sums of its
clusters, and `compare.difference` is robust. Here clusters may be coarser than what was randomised (households of
users, users of sessions), so that both arms lie in one cluster and their means are correlated.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import msgspec

from abloop.errors import DataError
from abloop.stats.compare import Estimate, t_quantile
from abloop.validate import in_range, one_of

if TYPE_CHECKING:
    import numpy as np

Correction = Literal["CR0", "CR1"]


class ClusterSums(msgspec.Struct, frozen=True):
    """Sums over clusters of (treatment's sum, treatment's rows, control's sum, control's rows).

    Attributes:
        clusters: Number of clusters.
        sums: Sum of each of the four.
        products: Sum over clusters of products of gaps to the mean, shape (4, 4).
    """

    clusters: int
    sums: tuple[float, ...]
    products: tuple[tuple[float, ...], ...]

    def merge(self, other: ClusterSums) -> ClusterSums:
        """Return the sums of both sets of clusters; they must be disjoint.

        Source: Chan, Golub, LeVeque, "Updating formulae and a pairwise algorithm for computing sample
        variances", 1979.
        """
        if not self.clusters or not other.clusters:
            return other if not self.clusters else self
        clusters = self.clusters + other.clusters
        weight = self.clusters * other.clusters / clusters
        gaps = [b / other.clusters - a / self.clusters for a, b in zip(self.sums, other.sums, strict=True)]
        products = tuple(
            tuple(a + b + weight * gap * right for a, b, right in zip(ours, theirs, gaps, strict=True))
            for ours, theirs, gap in zip(self.products, other.products, gaps, strict=True)
        )
        return ClusterSums(clusters, tuple(a + b for a, b in zip(self.sums, other.sums, strict=True)), products)


class ClusteredDifference(msgspec.Struct, frozen=True):
    """A difference of means over rows, robust to clusters.

    Attributes:
        estimate: Treatment minus control; n is the number of clusters. Without ends where there is a reason.
        error: Standard error; infinite where there is a reason.
        p: The chance of a difference this great where there is none; 1 where there is a reason.
        reason: Why nothing can be said; empty where it can.
    """

    estimate: Estimate
    error: float
    p: float
    reason: str = ""


def cluster_sums(
    values: Sequence[float] | np.ndarray,
    treated: Sequence[bool] | np.ndarray,
    clusters: Sequence[object] | np.ndarray,
) -> ClusterSums:
    """Return the sums of rows that are at hand.

    Args:
        values: Finite, shape (n,).
        treated: Whether each row is the treatment's, shape (n,).
        clusters: What each row belongs to, shape (n,).

    Raises:
        DataError: Shapes that differ, or values that are not finite.

    Example:
        >>> cluster_sums([1.0, 2.0, 4.0], [True, False, False], ["a", "a", "b"]).sums
        (1.0, 1.0, 6.0, 2.0)
    """
    import numpy as np  # here, so that `import abloop` stays light

    y, arm = np.asarray(values, dtype=float), np.asarray(treated, dtype=bool)
    if not len(y) == len(arm) == len(clusters):
        raise DataError(f"{len(y)} values, {len(arm)} arms, {len(clusters)} clusters; allowed: one of each a row")
    if not np.isfinite(y).all():
        raise DataError(f"{int((~np.isfinite(y)).sum())} of {len(y)} values are not finite; allowed: finite ones")
    if not len(y):
        return ClusterSums(0, (0.0,) * 4, ((0.0,) * 4,) * 4)
    code = np.unique(np.asarray(clusters), return_inverse=True)[1]
    size = int(code.max()) + 1
    four = np.stack([np.bincount(code, part, size) for part in (y * arm, arm * 1.0, y * ~arm, ~arm * 1.0)])
    gaps = four - four.mean(axis=1, keepdims=True)
    return ClusterSums(size, tuple(four.sum(axis=1).tolist()), tuple(tuple(row) for row in (gaps @ gaps.T).tolist()))


def clustered_difference(
    found: ClusterSums, confidence: float = 0.95, correction: Correction = "CR1"
) -> ClusteredDifference:
    """Return treatment's mean over rows less control's, with an error that allows for clusters.

    The variance is the sum over G clusters of the square of (s_t - mean_t m_t) / N_t - (s_c - mean_c m_c) / N_c,
    the delta method on the clusters' sums, and the same as that of a regression on the arm (CR0). CR1 multiplies
    by G / (G - 1) * (N - 1) / (N - 2). Student's t with G - 1 degrees of freedom. Source: Liang, Zeger, Biometrika
    73 (1986); Cameron, Miller, "A Practitioner's Guide to Cluster-Robust Inference", JHR 50 (2015), eq. 11 to 12;
    Deng, Lu, Litz, "Trustworthy Analysis of Online A/B Tests", WSDM 2017.

    Args:
        found: Sums over clusters.
        confidence: Coverage, in (0, 1).
        correction: For few clusters; CR1 is the usual one.

    Returns:
        The difference, with a reason where an arm has no rows, clusters are too few or nothing varies.

    Raises:
        DataError: Sums that no rows have.

    Example:
        >>> rows = cluster_sums([1.0, 2.0, 4.0, 5.0], [True, False, True, False], ["a", "a", "b", "b"])
        >>> clustered_difference(rows).estimate.mean
        -1.0
    """
    one_of("correction", correction, ("CR0", "CR1"), error=DataError)
    in_range("confidence", confidence, 0, 1, open_low=True, open_high=True, error=DataError)
    for name, value in zip(("treatment's sum", "its rows", "control's sum", "its rows"), found.sums, strict=True):
        in_range(name, value, 0 if "rows" in name else -math.inf, error=DataError)
    s_t, n_t, s_c, n_c = found.sums
    g, rows = found.clusters, n_t + n_c
    if not n_t or not n_c:
        arm = "control" if n_t else "treatment"
        return _nothing(g, 0.0, f"{arm} has no rows")
    gap = s_t / n_t - s_c / n_c
    if g < 2 or rows < 3:
        return _nothing(g, gap, f"{g} clusters of {rows:g} rows in all; two clusters and three rows are needed")
    slopes = (1.0 / n_t, -s_t / n_t / n_t, -1.0 / n_c, s_c / n_c / n_c)
    variance = math.fsum(a * b * found.products[i][j] for i, a in enumerate(slopes) for j, b in enumerate(slopes))
    scale = math.fsum(a * a * found.products[i][i] for i, a in enumerate(slopes))
    if not variance > 1e-14 * scale:  # what is left of sums that cancel
        return _nothing(g, gap, "the difference is the same in all clusters: no variance to judge it by")
    error = math.sqrt(variance * (g / (g - 1) * (rows - 1) / (rows - 2) if correction == "CR1" else 1.0))
    half = t_quantile(0.5 + confidence / 2, g - 1) * error
    from scipy.special import stdtr  # here, so that `import abloop` stays light

    p = 2.0 * float(stdtr(g - 1, -abs(gap) / error))
    return ClusteredDifference(Estimate(g, gap, gap - half, gap + half), error, p)


def _nothing(clusters: int, gap: float, reason: str) -> ClusteredDifference:
    """Return the record of a difference that has no error."""
    return ClusteredDifference(Estimate(clusters, gap, -math.inf, math.inf), math.inf, 1.0, reason)
