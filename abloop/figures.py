"""Figures of what abloop finds, by plotly: the same in notebooks and on the dashboard.

Each result draws itself: `readout.plot("forest")`, `report.plot("gain")`; here are the functions behind, and those
of results that have no object of their own.
"""

from __future__ import annotations

from abloop.hte.figures import calibration, effects, gain, importance, more, parts, policies
from abloop.readout.figures import arrivals, balance, distribution, forest, over_time

__all__ = [
    "arrivals",
    "balance",
    "calibration",
    "distribution",
    "effects",
    "forest",
    "gain",
    "importance",
    "more",
    "over_time",
    "parts",
    "policies",
]
