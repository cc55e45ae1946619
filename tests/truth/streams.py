"""The streams of the ASOS digital experiments, looked at again and again.

Their truth is not known, so this is no error rate: it shows how much of what peeking flags an always-valid test
would have flagged. Source: Liu, Cardoso, Couturier, McCoy, arXiv 2111.10198.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from abloop.stats.compare import effect
from abloop.stats.contrast import Arm, contrast_of
from abloop.stats.sequential import always_valid

ALPHA = 0.05


def flagged(folder: Path) -> dict[str, float]:
    """Return the share of streams that each reading flags at .05, and how many streams there are.

    A stream is one metric of one variant against its control. Looks without a variance are left out, and so are
    streams without any other.

    Args:
        folder: Of the trials; the file is read in place.

    Raises:
        ValueError: The file has other columns or rows.
    """
    frame = pd.read_parquet(folder / "asos" / "asos_even.parquet")
    if frame.shape != (13_928, 10) or "variance_t" not in frame.columns:
        raise ValueError(f"asos_even.parquet has shape {frame.shape}; allowed: the published (13928, 10)")
    frame = frame.dropna(subset=["variance_c", "variance_t"])
    frame = frame[(frame.variance_c > 0) & (frame.variance_t > 0)]
    found = []
    for _, looks in frame.sort_values("time_since_start").groupby(["experiment_id", "variant_id", "metric_id"]):
        read = []
        for row in looks.itertuples():
            both = contrast_of(
                Arm(int(row.count_t), float(row.mean_t), float(row.variance_t / row.count_t)),
                Arm(int(row.count_c), float(row.mean_c), float(row.variance_c / row.count_c)),
            )
            read.append((effect(both, 1 - ALPHA).p_value <= ALPHA, always_valid(both, 1 - ALPHA).p_value <= ALPHA))
        ever, last = np.any(read, axis=0), read[-1]
        found.append((ever[0], last[0], ever[1]))
    shares = np.mean(found, axis=0)
    names = ("fixed test at any look", "fixed test at the last look", "always valid at any look")
    return {**dict(zip(names, shares.tolist(), strict=True)), "streams": float(len(found))}
