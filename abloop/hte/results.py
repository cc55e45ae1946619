"""What a report of who gains what says: frozen records, which show themselves as figures. No learner is loaded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from abloop.evaluate.targeting import Calibrated, Histogram, Reached
from abloop.evaluate.verdict import Verdict
from abloop.stats.compare import Estimate
from abloop.stats.segments import Heterogeneity

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from abloop.hte.figures import Kind


class Branch(msgspec.Struct, frozen=True, kw_only=True):
    """A question with its two answers, or an arm.

    Attributes:
        arm: What those who end here get; empty where a question follows.
        question: A condition on one feature; empty at an end.
        n: Rows that come here.
        gain: Of an end: value of its arm less that of the best single arm for these rows, with its 95 % interval; on
            the rows that grew the tree, so that it looks better than it is. None where a question follows.
        yes: What follows where the condition holds.
        no: What follows where it does not.
    """

    arm: str = ""
    question: str = ""
    n: int
    gain: Estimate | None = None
    yes: Branch | None = None
    no: Branch | None = None


class EffectReport(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of for whom each arm works.

    Attributes:
        strategy: Its name.
        version: Blueprint version.
        verdict: What the gate would say now, of one planned look.
        shares: Arm to the share of units that the closest learner would give it, proven or not.
        metrics: Metric to what that choice changes a decision, against the best arm for all: guardrails and costs too.
        segments: Feature to treatment to its measured effects by segment, net of costs, drawn towards their mean.
        importance: Treatment to feature to its share of what moves the predicted effect, falling.
        rank: Treatment to its rank-weighted effect: how much more those gain who are ranked first than everybody, with
            its 95 % interval; above zero where the ranking finds them.
        fifths: Treatment to its measured effect by fifths of units, from the greatest predicted effect down.
        tree: A policy of few questions; no questions where one arm is best for all.
        tree_gain: What such a tree gains a decision over the best single arm, each row's by a tree that never saw it.
        words: All that in a paragraph.
        predicted: Treatment to how its predicted effects are spread, of rows that the models never saw.
        calibration: Treatment to its predicted beside its measured effect, by tenths or fifths of units.
        curves: Treatment to what reaching those first who gain most by prediction brings.
        personalised: Value a decision of choosing by predicted effects, each by models that never saw the row; None
            where nothing was fitted.
        against: Arm to the value of choosing less that of the arm for all, with its 95 % interval.
        randomised: Value a decision of drawing arms as planned.
        given: Feature to segment to the share of its decisions that each arm would get.
        rows: Rows behind it.
    """

    strategy: str
    version: int
    verdict: Verdict
    shares: dict[str, float]
    metrics: dict[str, Estimate]
    segments: dict[str, dict[str, Heterogeneity]]
    importance: dict[str, dict[str, float]]
    rank: dict[str, Estimate]
    fifths: dict[str, tuple[Estimate, ...]]
    tree: Branch
    tree_gain: Estimate
    words: str
    predicted: dict[str, Histogram] = {}
    calibration: dict[str, tuple[Calibrated, ...]] = {}
    curves: dict[str, tuple[Reached, ...]] = {}
    personalised: Estimate | None = None
    against: dict[str, Estimate] = {}
    randomised: Estimate | None = None
    given: dict[str, dict[str, dict[str, float]]] = {}
    rows: int = 0

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data."""
        found: dict[str, Any] = msgspec.to_builtins(self)
        return found

    def plot(self, kind: Kind = "parts", arm: str = "") -> go.Figure:
        """Return a figure, the same as the dashboard's.

        Args:
            kind: `effects` (how predictions are spread), `parts` (measured effect by parts of the predicted one),
                `calibration`, `gain` (Qini), `more` (TOC), `importance`; or `policies`, which is of all arms.
            arm: The treatment; the first where empty.

        Raises:
            UnknownNameError: There is no such figure or treatment.
            DataError: There is nothing to draw.
        """
        from abloop.hte.figures import plot

        return plot(self, kind, arm)
