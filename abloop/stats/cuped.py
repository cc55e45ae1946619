"""How much of a covariate to take off a metric, so that its difference varies less (CUPED). Knows no test."""

from __future__ import annotations

import math
from collections.abc import Sequence

from abloop.stats.estimand import Estimand, Linear, linear
from abloop.stats.moments import Products


def coefficients(estimand: Estimand, *samples: Products) -> tuple[float, ...]:
    """Return the coefficient of each covariate that leaves the adjusted value the least variance.

    With c the covariances of value and covariates and S those among covariates, each a sum over the samples,
    it is the solution of S t = c; for ratios, of their linear parts. Given one sample, the merge of both
    arms, this is what tea-tasting and GrowthBook (means) use; given one sample an arm, what GrowthBook uses
    for ratios. Covariates that say the same, or nothing, share the least coefficients. Source: Deng, Xu,
    Kohavi, Walker, "Improving the Sensitivity of Online Controlled Experiments by Utilizing Pre-Experiment
    Data", WSDM 2013, eq. 4 and appendix B.

    Args:
        estimand: What is adjusted.
        samples: Units whose covariances are summed; a sample of fewer than two units adds nothing.

    Returns:
        Coefficients, shape (k,); zero where a covariate or value has no variance.

    Example:
        >>> from abloop.stats.moments import products
        >>> y = Estimand("y", covariates=(Estimand("x"),))
        >>> coefficients(y, products({"y": [1.0, 2.0, 4.0], "x": [0.0, 1.0, 2.0]}))
        (1.5,)
    """
    size = len(estimand.covariates)
    among = [[0.0] * size for _ in range(size)]
    across = [0.0] * size
    for sample in samples:
        if sample.units < 2:
            continue
        value = linear(estimand, sample)
        parts = [linear(covariate, sample) for covariate in estimand.covariates]
        for i, part in enumerate(parts):
            across[i] += sample.covary(value.slopes, part.slopes) / (sample.units - 1)
            for j, other in enumerate(parts):
                among[i][j] += sample.covary(part.slopes, other.slopes) / (sample.units - 1)
    return solve(among, across)


def adjusted(estimand: Estimand, sample: Products, coefficients: Sequence[float]) -> Linear:
    """Return the value of an arm less its covariates, each times its coefficient.

    The mean of a covariate over both arms is left out: it would cancel in the difference.
    """
    whole = linear(estimand, sample)
    value, slopes = whole.value, list(whole.slopes)
    for covariate, times in zip(estimand.covariates, coefficients, strict=True):
        part = linear(covariate, sample)
        value -= times * part.value if times else 0.0
        slopes = [slope - times * other for slope, other in zip(slopes, part.slopes, strict=True)]
    return Linear(value, tuple(slopes))


def solve(among: Sequence[Sequence[float]], across: Sequence[float]) -> tuple[float, ...]:
    """Return the least solution of the normal equations, whatever the units of the covariates; 0 without one.

    Args:
        among: Cross-products of the covariates, shape (k, k).
        across: Their cross-products with the value, shape (k,).
    """
    if not all(map(math.isfinite, (*across, *(cell for row in among for cell in row)))):
        return (0.0,) * len(across)
    scales = [row[i] ** 0.5 if row[i] > 0 else 0.0 for i, row in enumerate(among)]
    if len(scales) == 1:  # as a quotient: to the last digit, and without NumPy
        return (across[0] / among[0][0],) if scales[0] else (0.0,)
    if not scales:
        return ()
    import numpy as np  # here, so that `import abloop` stays light

    size = np.array([scale or 1.0 for scale in scales])
    inverse = np.linalg.pinv(np.array(among) / np.outer(size, size), rcond=1e-10, hermitian=True)
    return tuple(float(x) for x in inverse @ (np.array(across) / size) / size * (np.array(scales) > 0))
