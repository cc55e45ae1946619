"""What a readout says: frozen records, which show themselves as text, frames, HTML and figures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import msgspec

from abloop.blueprint.reading import Better, Inference, MeasureKind
from abloop.stats.compare import Effect, Estimate
from abloop.stats.power import Outlook
from abloop.stats.segments import Heterogeneity

if TYPE_CHECKING:
    import pandas as pd
    import plotly.graph_objects as go

Advice = Literal["ship", "roll back", "keep running", "unhealthy", "stop", "wait"]
Figure = Literal["forest", "time", "distribution"]


class Comparison(msgspec.Struct, frozen=True):
    """One arm against control on one measure.

    Attributes:
        difference: Treatment minus control, by the readout's inference.
        relative: The same as a share of control's value.
        adjusted: p-value, allowed for the number of measures and arms where the blueprint says so.
        significant: Whether the difference is clear of zero, adjusted, and enough units and days are there.
        chance: Chance that the arm is better than control; None but for Bayesian inference.
        risk: Expected loss in the measure if the arm is taken and is worse; None but for Bayesian inference.
        cut: Share of the variance that covariates and strata took away.
        outlook: Units and days until the wanted effect would be seen; None where nobody can say.
        guardrail: `pass`, `fail` or `unclear`; empty where the measure is none.
    """

    difference: Effect
    relative: Effect
    adjusted: float
    significant: bool = False
    chance: float | None = None
    risk: float | None = None
    cut: float = 0.0
    outlook: Outlook | None = None
    guardrail: str = ""


class ArmResult(msgspec.Struct, frozen=True):
    """One arm on one metric.

    Attributes:
        arm: Its name.
        mean: Mean per decision over units, or what the measure's kind says, with its interval.
        lift: Difference to control with its interval; None for control.
        relative: Lift as a share of control's mean; None for control or a mean of zero.
        comparison: All that is known of the lift; None for control.
    """

    arm: str
    mean: Estimate
    lift: Estimate | None = None
    relative: float | None = None
    comparison: Comparison | None = None


class DayPoint(msgspec.Struct, frozen=True):
    """The lift of an arm over all days up to one.

    Attributes:
        day: ISO date, UTC, on which units were first seen.
        arm: The arm.
        fixed: Relative lift with the interval of one look.
        always: The same with the interval that holds at every look.
    """

    day: str
    arm: str
    fixed: Estimate
    always: Estimate


class MetricResult(msgspec.Struct, frozen=True):
    """One measure over all arms; `net value` is the sum of the goals in value, less the arm's cost.

    Attributes:
        metric: Its name.
        role: `goal`, `secondary` or `guardrail`.
        arms: Control first.
        kind: What is shown of it.
        better: Whether higher or lower is better.
        segments: Feature to arm to its lifts by the values of the feature, drawn towards their mean.
        days: Relative lift over time.
    """

    metric: str
    role: str
    arms: tuple[ArmResult, ...]
    kind: MeasureKind = "mean"
    better: Better = "higher"
    segments: dict[str, dict[str, Heterogeneity]] = {}
    days: tuple[DayPoint, ...] = ()


class PolicyResult(msgspec.Struct, frozen=True):
    """The served policy against the arms, in net value, on traffic since this phase began.

    Attributes:
        phase: `personalise` or `ship`.
        policy: Units that got the release's choice.
        arms: Units of the explore share, by arm.
        gains: Policy minus arm, with an interval that holds at every look: of 95 % for two arms, and with more so
            much wider that the policy is wrongly found worse than any of them at most in 5 %.
    """

    phase: str
    policy: Estimate
    arms: dict[str, Estimate]
    gains: dict[str, Estimate]


class Recommendation(msgspec.Struct, frozen=True):
    """What to do, in plain words.

    Attributes:
        advice: `ship` an arm, `roll back` one that harms, `keep running`, `stop` where nothing is to be gained any
            more, `wait` before there is anything, or `unhealthy`: repair it first.
        arm: Which arm; empty where it is none.
        text: Why, in a sentence.
    """

    advice: Advice
    arm: str
    text: str


class Readout(msgspec.Struct, frozen=True):
    """What an experiment's complete rows say.

    Attributes:
        strategy: Its name.
        version: Blueprint version of all rows.
        phase: What is served now.
        rows: Complete rows.
        waiting: Decisions whose TTL has not ended.
        units: Units by arm, of randomised traffic.
        srm: p-value of these counts against the weights, read once.
        metrics: Net value first, unless it is the same as the only goal, then each metric, on randomised traffic; none
            while there is none.
        policy: The served policy against the arms; None while everything is randomised.
        notes: What a reader must know before believing a number.
        recommendation: What to do.
        inference: How lifts are tested.
        confidence: Of the intervals.
        days: Days from the first decision to the last; 0 where rows have no time.
        srm_always: p-value of the counts that holds at every look; below .001 the experiment is unhealthy.
    """

    strategy: str
    version: int
    phase: str
    rows: int
    waiting: int
    units: dict[str, int]
    srm: float
    metrics: tuple[MetricResult, ...]
    policy: PolicyResult | None
    notes: tuple[str, ...]
    recommendation: Recommendation = Recommendation("wait", "", "")
    inference: Inference = "fixed"
    confidence: float = 0.95
    days: float = 0.0
    srm_always: float = 1.0

    def to_dict(self) -> dict[str, Any]:
        """Return plain data; numbers that could not be estimated become null in JSON."""
        data: dict[str, Any] = msgspec.to_builtins(self)
        return data

    def summary(self) -> str:
        """Return the readout as text: what to do, then each measure arm by arm."""
        from abloop.readout.text import readout_text

        return readout_text(self)

    def to_frame(self) -> pd.DataFrame:
        """Return a row for each measure and arm: `metric`, `role`, `kind`, `arm`, `n`, `mean`, `low`, `high`."""
        from abloop.readout.frames import means_frame

        return means_frame(self)

    def summary_frame(self) -> pd.DataFrame:
        """Return a row for each measure and arm against control, with lifts, errors and p-values."""
        from abloop.readout.frames import lifts_frame

        return lifts_frame(self)

    def conf_int(self, *, relative: bool = False) -> pd.DataFrame:
        """Return the intervals of the lifts, indexed by metric and arm.

        Args:
            relative: Whether as shares of control's value.

        Returns:
            Columns `low` and `high`.
        """
        from abloop.readout.frames import intervals_frame

        return intervals_frame(self, relative=relative)

    def plot(self, kind: Figure = "forest", metric: str = "") -> go.Figure:
        """Return a figure: `forest` of all lifts, lift over `time` with its band, or the `distribution` of the lifts.

        Args:
            kind: Which.
            metric: For `time` and `distribution`: the measure; the first where empty.

        Raises:
            UnknownNameError: There is no such measure.
            DataError: The measure has no lift to draw.
        """
        from abloop.readout.figures import plot

        return plot(self, kind, metric)

    def _repr_html_(self) -> str:
        """Return the readout for a notebook."""
        from abloop.readout.frames import readout_html

        return readout_html(self)
