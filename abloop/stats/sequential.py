"""Bounds that stay valid however often one looks. Knows no table."""

from __future__ import annotations

import math
from statistics import NormalDist


def one_sided_z(alpha: float) -> float:
    """Return the multiple of the standard error that a fixed one-sided bound subtracts.

    Args:
        alpha: False-alarm rate, in (0, 1).

    Example:
        >>> round(one_sided_z(0.05), 3)
        1.645
    """
    return NormalDist().inv_cdf(1.0 - alpha)


def always_valid_z(n: int, alpha: float, planned: int = 5_000) -> float:
    """Return the multiple of the standard error that a one-sided bound subtracts at every look.

    Asymptotic confidence sequence with a normal mixture, width smallest near `planned` units:
    z(n)**2 = 2 (n r + 1) / (n r) * log(1 + sqrt(n r + 1) / (2 alpha)), with r = rho**2 set so that it is
    narrowest at `planned`. Source: Waudby-Smith, Arbour, Sinha, Kennedy, Ramdas, "Time-uniform central
    limit theory and asymptotic confidence sequences", Annals of Statistics 2024, appendix B.1 (one-sided).

    Args:
        n: Units seen, above 0.
        alpha: False-alarm rate over all looks, in (0, 1).
        planned: Units at which the bound is to be narrowest.

    Example:
        >>> always_valid_z(5_000, 0.05) > one_sided_z(0.05)
        True
    """
    rate = (-2.0 * math.log(2.0 * alpha) + math.log(1.0 - 2.0 * math.log(2.0 * alpha))) / planned
    scale = n * rate
    return math.sqrt(2.0 * (scale + 1.0) / scale * math.log(1.0 + math.sqrt(scale + 1.0) / (2.0 * alpha)))
