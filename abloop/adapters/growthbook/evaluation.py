"""One evaluation: what is known of the user, what is served, and what it may still cost."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from abloop.adapters.growthbook.condition import Reader
from abloop.adapters.growthbook.faults import Faults, shown
from abloop.adapters.growthbook.feature import Feature
from abloop.adapters.growthbook.hashing import in_range, point
from abloop.adapters.growthbook.limits import Budget
from abloop.adapters.growthbook.model import Experiment, Result, UserContext
from abloop.adapters.growthbook.reports import Reports
from abloop.adapters.growthbook.sticky import AbstractStickyBucketService
from abloop.adapters.growthbook.values import number_text


class Payload(NamedTuple):
    """What is served, swapped whole."""

    features: dict[str, Feature]
    saved_groups: Any
    bandits: Any


class State:
    """What a client knows when it evaluates.

    Attributes:
        enabled: Whether anybody is drawn.
        qa_mode: Whether only forced arms are given.
        user: The user; its attributes are those that were given, not a copy.
        sticky: Where sticky buckets are kept; None for nowhere.
        payload: What is served.
        reports: Who is told of evaluations.
        faults: What went wrong.
    """

    def __init__(self) -> None:
        """Know nothing yet."""
        self.enabled = True
        self.qa_mode = False
        self.user = UserContext()
        self.sticky: AbstractStickyBucketService | None = None
        self.payload = Payload({}, {}, {})
        self.faults = Faults()
        self.reports = Reports(self.faults)


def identifies(value: Any) -> bool:
    """Return whether a value can name a unit: a text that is not empty, a finite number other than zero."""
    if isinstance(value, str):
        return value != ""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    try:
        return value != 0 and math.isfinite(value)
    except OverflowError:  # an integer beyond any float
        return False


class Evaluation:
    """One evaluation.

    Args:
        state: What the client knows.

    Attributes:
        where: Feature and number of its rule that is being looked at.
        told: Features whose usage was reported in this evaluation.
    """

    __slots__ = ("budget", "faults", "payload", "reader", "reports", "state", "told", "user", "where")

    def __init__(self, state: State) -> None:
        """Take what is served now."""
        self.state = state
        self.payload = state.payload
        self.user = state.user
        self.reports = state.reports
        self.faults = state.faults
        self.budget = Budget()
        self.reader = Reader(self.payload.saved_groups, self.budget, self._odd)
        self.told: set[str] = set()
        self.where: tuple[Any, int] = ("", 0)

    def place(self) -> str:
        """Return where the evaluation stands, in words."""
        key, rule = self.where
        return f"feature {shown(key)}, rule {rule + 1}" if rule >= 0 else f"experiment {shown(key)}"

    def _odd(self, error: Exception) -> None:
        """Count what was not understood in a condition."""
        self.faults.complain(self.place(), error, "the condition is not met")

    def meets(self, attributes: Any, condition: Any) -> bool:
        """Return whether attributes meet a condition; one that is malformed is not met, and counted."""
        try:
            return self.reader.met(attributes, condition) is True
        except Exception as error:  # law 1: product code never sees an exception
            self._odd(error)
            return False

    def raw_unit(self, attribute: str | None, fallback: str | None = None) -> tuple[str, Any]:
        """Return the attribute that names the unit, and its value; an empty text where there is none."""
        attribute = "id" if attribute is None else attribute
        value = self.user.attributes.get(attribute)
        if identifies(value):
            return attribute, value
        other = self.user.attributes.get(fallback) if fallback else None
        return (fallback, other) if fallback and identifies(other) else (attribute, "")

    def unit(self, attribute: str | None, fallback: str | None = None) -> tuple[str, str]:
        """Return the attribute that names the unit, and its value as text; empty where there is none."""
        attribute, value = self.raw_unit(attribute, fallback)
        return attribute, value if isinstance(value, str) else number_text(value)

    def fallback(self, experiment: Experiment[Any]) -> str | None:
        """Return the attribute to fall back on, which takes sticky buckets."""
        if self.state.sticky is None or experiment.disableStickyBucketing:
            return None
        return experiment.fallbackAttribute

    def filtered_out(self, filters: Sequence[Mapping[str, Any]]) -> bool:
        """Return whether a unit is outside of any of the filters' ranges."""
        for part in filters:
            self.budget.spend()
            unit = self.unit(part.get("attribute", "id"))[1]
            place = point(part.get("seed", ""), unit, part.get("hashVersion", 2)) if unit else None
            if place is None or not any(in_range(place, one) for one in part["ranges"]):
                return True
        return False

    def result(
        self,
        experiment: Experiment[Any],
        feature: str | None,
        arm: int = -1,
        *,
        drawn: bool = False,
        bucket: float | None = None,
        sticky: bool = False,
    ) -> Result[Any]:
        """Return the result of an experiment; an arm that does not exist means control, and not in the experiment."""
        inside = 0 <= arm < len(experiment.variations)
        arm = arm if inside else 0
        meta = experiment.meta[arm] if experiment.meta and arm < len(experiment.meta) else None
        attribute, value = self.raw_unit(experiment.hashAttribute, self.fallback(experiment))
        given = experiment.variations[arm] if experiment.variations else None
        result = Result(arm, inside, given, drawn, attribute, value, feature, meta, bucket, sticky)
        if experiment.contextualBandit and drawn and inside:
            result.leafId = experiment.contextualBandit["leafId"]
            result.variationWeights = experiment.contextualBandit["variationWeights"]
            result.banditVersion = experiment.contextualBandit.get("banditVersion")
        return result
