"""What the gate says, as a record. Knows no arithmetic."""

from __future__ import annotations

import math
from typing import Literal

import msgspec

from abloop.stats.compare import Estimate

FEWEST_UNITS = 100  # in each arm, before anything is estimated
Answer = Literal["personalise", "ship", "not enough evidence"]


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What the gate says.

    Attributes:
        verdict: `personalise`, `ship` or `not enough evidence`.
        arm: The best single arm: the one to ship, or the one that personalising has to beat.
        gain: Value of personalising minus value of that arm, per decision, net of costs; NaN if not estimated.
        low: Lower one-sided bound of the gain against every single arm, at the gate's level.
        high: Upper one-sided bound of the gain.
        learner: The learner behind the policy; empty if none was fitted.
        reason: The verdict in words, with the numbers.
        arms: Net value of each single arm, per decision, with 95 % intervals.
        heterogeneity: Best linear predictor of each treatment's effect: the slope of the measured on the predicted
            effect, with its 95 % interval. An interval above zero shows that units differ; 1 is perfect calibration.
        n: Units behind it.
        rows: Complete rows when the gate was asked.
        alpha: Error rate of each bound.
        always_valid: Whether the bounds hold at every look.
    """

    verdict: Answer
    arm: str
    gain: float
    low: float
    high: float
    learner: str
    reason: str
    arms: dict[str, Estimate] = {}
    heterogeneity: dict[str, Estimate] = {}
    n: int = 0
    rows: int = 0
    alpha: float = 0.05
    always_valid: bool = False


def refuse(reason: str, *, arm: str = "", n: int = 0) -> Verdict:
    """Return the verdict for data that could not be judged at all, with the sentence that says why."""
    nan = math.nan
    return Verdict(verdict="not enough evidence", arm=arm, gain=nan, low=nan, high=nan, learner="", reason=reason, n=n)
