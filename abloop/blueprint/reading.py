"""What a readout shows besides the mean of each metric, and how it tests."""

from __future__ import annotations

from typing import Literal

import msgspec

from abloop.features.spec import Seconds

MeasureKind = Literal["mean", "total", "share", "quantile"]
MeasureRole = Literal["goal", "secondary", "guardrail"]
Inference = Literal["fixed", "sequential", "group", "bayes"]
Correction = Literal["none", "holm", "bh"]
Better = Literal["higher", "lower"]


class Measure(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One number for each arm, made of a metric.

    Attributes:
        name: Its name.
        of: The metric; the one of its own name where empty.
        kind: `mean`: over decisions, whose number a unit decides itself; of a metric of 0 and 1 a proportion. `total`:
            the sum of each unit, over units; of a metric of ones a count. `share`: the share of units with a value
            above 0, such as conversion or, with `after`, retention. `quantile`: of the values of all decisions.
        per: Of a mean: a metric by whose sum it is divided instead of the number of decisions, as in value per order.
        given: Of a share: a metric; only units with a value of it above 0 count, as in a funnel's next step.
        after: Of a share: seconds after a decision before which an outcome does not count.
        level: Of a quantile: which, in (0, 1).
        cap: Values above it count as it: of a total those of units, of all others those of decisions.
        cap_level: The same, at this quantile of them over all arms, in (0, 1).
        where: Feature to values: only decisions with one of these count.
        role: `goal`, `secondary` or `guardrail`.
        better: Whether `higher` or `lower` is better.
        margin: Of a guardrail: share of control's value that an arm may be worse by, in [0, 1].
    """

    name: str
    of: str = ""
    kind: MeasureKind = "mean"
    per: str = ""
    given: str = ""
    after: Seconds = 0.0
    level: float = 0.5
    cap: float | None = None
    cap_level: float | None = None
    where: dict[str, tuple[str | float | bool, ...]] = {}
    role: MeasureRole = "secondary"
    better: Better = "higher"
    margin: float = 0.0

    @property
    def metric(self) -> str:
        """Name of the metric that it is made of."""
        return self.of or self.name


class Reading(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a strategy is read.

    Attributes:
        measures: What is shown besides the mean of each metric.
        covariates: Numeric features that were known before, by which estimates are made more precise (CUPED).
        stratum: A categorical feature after which units are weighed alike in all arms (post-stratification).
        segments: Categorical features by whose values lifts are shown apart.
        inference: `fixed` is read once, at the end; `sequential` holds at every look; `group` at the planned looks;
            `bayes` says chances.
        confidence: Of all intervals, in (0.5, 1).
        correction: Of p-values over measures and arms: `none`, `holm` (any false alarm), `bh` (the share of them).
        planned: Units of the whole experiment: where `sequential` is narrowest, and at which `group` ends.
        prior: Of `bayes`: standard deviation of true relative lifts, in [0, 100]; 0 knows nothing.
        least_units: Units of an arm, in [2, 1000000000], before which nothing is called significant.
        least_days: Days after the first decision, in [0, 3660], before which nothing is called significant.
        effect: Relative lift that the experiment should be able to see, in (0, 10]; days left are of this.
    """

    measures: tuple[Measure, ...] = ()
    covariates: tuple[str, ...] = ()
    stratum: str = ""
    segments: tuple[str, ...] = ()
    inference: Inference = "fixed"
    confidence: float = 0.95
    correction: Correction = "none"
    planned: int = 5_000
    prior: float = 0.0
    least_units: int = 100
    least_days: float = 0.0
    effect: float = 0.05
