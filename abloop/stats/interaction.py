"""Do two experiments that run on the same units change each other's effect? Knows no table."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist

import msgspec

from abloop.errors import DataError
from abloop.stats.compare import Estimate
from abloop.stats.moments import Moments
from abloop.validate import in_range


class Interaction(msgspec.Struct, frozen=True):
    """How the arms of one experiment change the effects of another.

    Attributes:
        differences: Difference in differences for each treatment of the first and of the second experiment,
            shape (a - 1, b - 1).
        statistic: Wald's chi-square of all of them.
        freedom: Its degrees of freedom, (a - 1) (b - 1).
        p: The chance of such differences where no effects interact.
    """

    differences: tuple[tuple[Estimate, ...], ...]
    statistic: float
    freedom: int
    p: float


def interaction(cells: Sequence[Sequence[Moments]], confidence: float = 0.95) -> Interaction:
    """Return whether the effects of two overlapping experiments add up.

    For treatment i of the first and j of the second experiment, (m_ij - m_i0) - (m_0j - m_00), with normal
    intervals; together d' V**-1 d, with V from the variances of the cells' means, against chi-square. Source:
    Wald, Transactions AMS 54 (1943); with two arms each it is the z-test of the product term of a regression
    with robust variances.

    Args:
        cells: Moments of the units in arm i of the first and j of the second experiment, controls first,
            shape (a, b); cells share no units.
        confidence: Coverage of each interval, in (0, 1).

    Returns:
        The record.

    Raises:
        DataError: Fewer than two arms, a cell below two units, or no variance in all cells of a comparison.

    Example:
        >>> cell = Moments(100, 50.0, 100.0, 25.0, 0.0, 0.0)
        >>> interaction([[cell, cell], [cell, cell]]).p
        1.0
    """
    import numpy as np  # here, so that `import abloop` stays light
    from scipy.special import chdtrc

    _check(cells, confidence)
    means = np.array([[cell.mean for cell in row] for row in cells])
    variances = np.diag([cell.variance_of_mean for row in cells for cell in row])
    a, b = means.shape
    first = np.hstack([-np.ones((a - 1, 1)), np.eye(a - 1)])
    second = np.hstack([-np.ones((b - 1, 1)), np.eye(b - 1)])
    contrast = np.kron(first, second)
    gaps, spread = contrast @ means.ravel(), contrast @ variances @ contrast.T
    if np.linalg.matrix_rank(spread, hermitian=True) < len(gaps):
        raise DataError("interaction: no variance in the cells of a comparison; allowed: a metric that varies")
    statistic = float(gaps @ np.linalg.solve(spread, gaps))
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    halves = z * np.sqrt(np.diag(spread))
    differences = tuple(
        tuple(
            Estimate(
                sum(cells[row][column].units for row, column in ((0, 0), (0, j), (i, 0), (i, j))),
                float(gaps[at]),
                float(gaps[at] - halves[at]),
                float(gaps[at] + halves[at]),
            )
            for j, at in ((j, (i - 1) * (b - 1) + j - 1) for j in range(1, b))
        )
        for i in range(1, a)
    )
    return Interaction(differences, statistic, len(gaps), float(chdtrc(len(gaps), max(0.0, statistic))))


def _check(cells: Sequence[Sequence[Moments]], confidence: float) -> None:
    """Refuse cells that cannot be compared."""
    in_range("confidence", confidence, 0, 1, open_low=True, open_high=True, error=DataError)
    widths = {len(row) for row in cells}
    if len(cells) < 2 or len(widths) != 1 or min(widths) < 2:
        raise DataError(
            f"interaction: {len(cells)} rows of {sorted(widths)} cells; allowed: two rows or more, of two cells or more"
        )
    for i, row in enumerate(cells):
        for j, cell in enumerate(row):
            if cell.units < 2 or not math.isfinite(cell.mean) or not math.isfinite(cell.variance_of_mean):
                raise DataError(
                    f"interaction: cell ({i}, {j}) has {cell.units} units, sum {cell.s!r}; "
                    "allowed: two units or more, with finite values"
                )
