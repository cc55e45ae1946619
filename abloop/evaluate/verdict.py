"""What the gate says, as a record. Knows no arithmetic."""

from __future__ import annotations

import math
from typing import Literal

import msgspec

from abloop.stats.compare import Estimate

FEWEST_UNITS = 100  # in each arm, before anything is estimated
FEWEST_DAYS, MONTH_DAYS = 2.0, 30.0
Answer = Literal["personalise", "ship", "not enough evidence"]


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What the gate says.

    Attributes:
        verdict: `personalise`, `ship` or `not enough evidence`.
        arm: The best single arm: the one to ship, or the one that personalising has to beat.
        gain: Value of personalising minus value of that arm, per decision, net of costs; NaN if not estimated.
        low: Lower one-sided bound of the gain against every single arm, at the gate's level.
        high: Upper one-sided bound of the gain.
        learner: The learner behind the policy; `constant` if one effect for everybody is as close as any, empty if
            none was fitted.
        closest: The learner whose effects come closest to the measured ones, trusted or not.
        reason: The verdict in words, with the numbers.
        arms: Net value of each single arm, per decision, with 95 % intervals.
        heterogeneity: Best linear predictor of each treatment's effect: the slope of the measured on the predicted
            effect, with its 95 % interval. An interval above zero shows that units differ; 1 is perfect calibration.
            Without a treatment for which one effect for everybody is as close.
        n: Units behind it.
        rows: Complete rows when the gate was asked.
        alpha: Error rate of each bound.
        always_valid: Whether the bounds hold at every look.
        needed: Units at which the lower bound would be above zero if gain and spread stay as they are; `n` or fewer
            where it is; None where nobody can say, e.g. since the gain is not above zero.
        figures: How well each label is predicted on rows later than all that its model saw, by the names of
            `abloop.evaluate.tasks.figures`, e.g. `auc` and `calibration`.
        monthly: Decisions a month, at the pace of the rows; None where they span too few days.
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
    needed: int | None = None
    monthly: float | None = None
    closest: str = ""
    figures: dict[str, dict[str, float]] = {}


def paced(verdict: Verdict, rows: int, days: float) -> Verdict:
    """Return a verdict that says what its gain comes to in a month, where the rows tell how many decisions that is.

    Args:
        verdict: What the gate says of the rows.
        rows: Complete rows.
        days: Days that they span; fewer than two say nothing about a month.

    Example:
        >>> verdict = Verdict(verdict="ship", arm="b", gain=0.5, low=-0.1, high=1.1, learner="t", reason="Ship 'b'.")
        >>> paced(verdict, 2_000, 10.0).reason
        "Ship 'b'. At 6,000 decisions a month that is +3,000 a month (lower bound -600)."
    """
    if days < FEWEST_DAYS or not math.isfinite(verdict.gain):
        return msgspec.structs.replace(verdict, rows=rows)
    monthly = rows / days * MONTH_DAYS
    said = f"{verdict.gain * monthly:+,.4g} a month (lower bound {verdict.low * monthly:+,.4g})"
    reason = f"{verdict.reason} At {monthly:,.0f} decisions a month that is {said}."
    return msgspec.structs.replace(verdict, rows=rows, monthly=monthly, reason=reason)


def refuse(reason: str, *, arm: str = "", n: int = 0) -> Verdict:
    """Return the verdict for data that could not be judged at all, with the sentence that says why."""
    nan = math.nan
    return Verdict(verdict="not enough evidence", arm=arm, gain=nan, low=nan, high=nan, learner="", reason=reason, n=n)
