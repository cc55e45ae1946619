"""Whether values come from where they came from before: the population stability index of two lists of counts."""

from __future__ import annotations

import math
from collections.abc import Sequence

SMOOTH = 0.5  # added to each count, so that an empty part makes no infinite index


def stability_index(before: Sequence[float], now: Sequence[float]) -> float:
    """Return the population stability index: the sum of (now - before) * log(now / before) over shares of parts.

    Half a row is added to each part. Usually read as: below 0.1 stable, from 0.25 on another population.
    Source: Siddiqi, Credit Risk Scorecards, Wiley 2006.

    Args:
        before: Rows of each part before, length k.
        now: Rows of each part now, length k.

    Example:
        >>> round(stability_index([100, 100], [50, 150]), 3), stability_index([10, 20], [10, 20])
        (0.272, 0.0)
    """
    old, new = (math.fsum(counts) + SMOOTH * len(counts) for counts in (before, now))
    shares = [((a + SMOOTH) / old, (b + SMOOTH) / new) for a, b in zip(before, now, strict=True)]
    return math.fsum((b - a) * math.log(b / a) for a, b in shares)


def stability_p_value(index: float, parts: int, before: int, now: int) -> float:
    """Return the p-value of an index, where nothing changed: it is then chi-squared over 1 / before + 1 / now.

    Source: Yurdakul, Statistical Properties of Population Stability Index, Western Michigan University 2018.

    Args:
        index: The index.
        parts: Parts that have a row.
        before: Independent observations before.
        now: Independent observations now.

    Returns:
        In [0, 1]; 1 where there is nothing to compare.

    Example:
        >>> stability_p_value(0.27, 2, 200, 200) < 1e-6, stability_p_value(0.27, 2, 20, 10) > 0.1
        (True, True)
    """
    from scipy.special import chdtrc  # here, so that `import abloop` stays light

    if parts < 2 or not before or not now:
        return 1.0
    return float(chdtrc(parts - 1, index / (1.0 / before + 1.0 / now)))
