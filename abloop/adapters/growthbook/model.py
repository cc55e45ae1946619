"""What goes in and out of an evaluation: experiments, results, and the user that callbacks are told of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from abloop.adapters.growthbook.values import truthy

T = TypeVar("T")

OVERRIDABLE = ("weights", "status", "coverage", "url", "groups", "force")


class Experiment(Generic[T]):
    """An experiment in code, or the one that a rule of a feature is.

    Args:
        key: Names it; also the seed of the draw where `seed` is None.
        variations: What each arm gives, k of them, control first.
        weights: Share of each arm, shape (k,); equal ones where None or not summing to one.
        active: Whether anybody is drawn.
        status: `draft`, `running` or `stopped`.
        coverage: Share of each arm's users that are in, in [0, 1]; all where None.
        condition: Who is in.
        namespace: Name, low and high: users whose point in the namespace is in [low, high) are in.
        url: Regular expression that the address must have.
        include: Called without arguments; who is in where it returns true.
        groups: Groups of which the user must be in one.
        force: Index of the arm that all who are in get, unmeasured.
        hashAttribute: Attribute that names the unit.
        fallbackAttribute: Attribute that names it where the first is missing; with sticky buckets only.
        hashVersion: 1 or 2; 1 where None.
        ranges: Part of [0, 1) of each arm, shape (k, 2); instead of weights and coverage.
        meta: Key, name and passthrough of each arm.
        filters: Parts of [0, 1) by other seeds, all of which the user must be in; instead of `namespace`.
        seed: Seed of the draw.
        name: For people.
        phase: For people.
        disableStickyBucketing: Whether users are drawn anew each time.
        bucketVersion: Sticky buckets of other versions do not count.
        minBucketVersion: Who has a sticky bucket of an older version is out.
        parentConditions: Features that must have certain values.
        customFields: For people.
        contextualBandit: Leaf, weights and version of the bandit that set the weights.
    """

    def __init__(
        self,
        key: str,
        variations: list[T],
        weights: list[float] | None = None,
        active: bool = True,
        status: str = "running",
        coverage: float | None = None,
        condition: dict[str, Any] | None = None,
        namespace: tuple[str, float, float] | None = None,
        url: str = "",
        include: Any = None,
        groups: list[Any] | None = None,
        force: int | None = None,
        hashAttribute: str = "id",
        fallbackAttribute: str | None = None,
        hashVersion: int | None = None,
        ranges: list[tuple[float, float]] | None = None,
        meta: list[dict[str, Any]] | None = None,
        filters: list[dict[str, Any]] | None = None,
        seed: str | None = None,
        name: str | None = None,
        phase: str | None = None,
        disableStickyBucketing: bool = False,
        bucketVersion: int | None = None,
        minBucketVersion: int | None = None,
        parentConditions: list[dict[str, Any]] | None = None,
        customFields: dict[str, Any] | None = None,
        contextualBandit: dict[str, Any] | None = None,
        **_ignored: Any,
    ) -> None:
        """Keep it all; keys of later versions are ignored."""
        self.key, self.variations, self.weights = key, variations, weights
        self.active, self.status, self.coverage = active, status, coverage
        self.condition, self.namespace, self.url = condition, namespace, url
        self.include, self.groups, self.force = include, groups, force
        self.hashAttribute, self.hashVersion = hashAttribute, hashVersion or 1
        self.fallbackAttribute = None if disableStickyBucketing else fallbackAttribute
        self.ranges, self.meta, self.filters, self.seed = ranges, meta, filters, seed
        self.name, self.phase = name, phase
        self.disableStickyBucketing = disableStickyBucketing
        self.bucketVersion, self.minBucketVersion = bucketVersion or 0, minBucketVersion or 0
        self.parentConditions, self.customFields = parentConditions, customFields or {}
        self.contextualBandit = contextualBandit

    def to_dict(self) -> dict[str, Any]:
        """Return it as a payload has it."""
        first = ("key", "variations", "weights", "active", "coverage", "condition", "namespace", "force")
        then = ("hashAttribute", "hashVersion", "ranges", "meta", "filters", "seed", "name", "phase")
        raw = {name: getattr(self, name) for name in (*first, *then)}
        if self.coverage is None:
            raw["coverage"] = 1
        for name in ("fallbackAttribute", "disableStickyBucketing", "bucketVersion", "minBucketVersion"):
            if getattr(self, name):
                raw[name] = getattr(self, name)
        raw |= {name: getattr(self, name) for name in ("parentConditions", "customFields") if getattr(self, name)}
        if self.contextualBandit is not None:
            raw["contextualBandit"] = self.contextualBandit
        return raw

    def update(self, data: Mapping[str, Any]) -> None:
        """Take over weights, status, coverage, url, groups and force where they are given."""
        for name in OVERRIDABLE:
            if data.get(name) is not None:
                setattr(self, name, data[name])


class Result(Generic[T]):
    """Which arm a user has in an experiment, and how that came.

    Attributes:
        variationId: Index of the arm; 0 for who is not in.
        inExperiment: Whether the user is in, drawn or forced.
        value: What the arm gives.
        hashUsed: Whether the arm was drawn, so that it counts.
        hashAttribute: Attribute that named the unit.
        hashValue: The unit, as the attribute has it; empty where it is missing.
        featureId: Feature whose rule it was; None for an experiment in code.
        bucket: Point of the unit in [0, 1).
        stickyBucketUsed: Whether a stored bucket decided.
        key: Key of the arm, its index where it has none.
        name: Name of the arm for people.
        passthrough: Whether the feature goes on to its next rule.
        leafId: Leaf of the contextual bandit.
        variationWeights: Weights of that leaf.
        banditVersion: Version of the bandit.
    """

    def __init__(
        self,
        variationId: int,
        inExperiment: bool,
        value: T,
        hashUsed: bool,
        hashAttribute: str,
        hashValue: str,
        featureId: str | None,
        meta: Any = None,
        bucket: float | None = None,
        stickyBucketUsed: bool = False,
        leafId: int | None = None,
        variationWeights: list[float] | None = None,
        banditVersion: int | None = None,
    ) -> None:
        """Keep it all."""
        self.variationId = variationId
        self.inExperiment = inExperiment
        self.value = value
        self.hashUsed = hashUsed
        self.hashAttribute = hashAttribute
        self.hashValue = hashValue
        self.featureId = featureId or None
        self.bucket = bucket
        self.stickyBucketUsed = stickyBucketUsed
        self.leafId, self.variationWeights, self.banditVersion = leafId, variationWeights, banditVersion
        self.key: str = str(variationId)
        self.name: str = ""
        self.passthrough: bool = False
        if meta and not isinstance(meta, str):
            self.name = meta.get("name", "")
            self.key = meta.get("key", self.key)
            self.passthrough = meta.get("passthrough", False)

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        always = ("featureId", "variationId", "inExperiment", "value", "hashUsed", "hashAttribute", "hashValue")
        raw = {name: getattr(self, name) for name in (*always, "key", "stickyBucketUsed")}
        if self.bucket is not None:
            raw["bucket"] = self.bucket
        if self.name:
            raw["name"] = self.name
        if self.passthrough:
            raw["passthrough"] = True
        for name in ("leafId", "variationWeights", "banditVersion"):
            if getattr(self, name) is not None:
                raw[name] = getattr(self, name)
        return raw


class FeatureResult(Generic[T]):
    """The value of a feature, and where it is from.

    Attributes:
        value: The value.
        source: `defaultValue`, `force`, `experiment`, `unknownFeature`, `prerequisite` or `cyclicPrerequisite`.
        experiment: The experiment that decided.
        experimentResult: Its result.
        ruleId: The rule that decided.
        on: Whether JavaScript takes the value for true.
        off: The opposite.
    """

    def __init__(
        self,
        value: T | None,
        source: str,
        experiment: Experiment[T] | None = None,
        experimentResult: Result[T] | None = None,
        ruleId: str | None = None,
    ) -> None:
        """Keep it all."""
        self.value = value
        self.source = source
        self.ruleId = ruleId
        self.experiment = experiment
        self.experimentResult = experimentResult
        self.on = truthy(value)
        self.off = not self.on

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        raw: dict[str, Any] = {"value": self.value, "source": self.source, "on": self.on, "off": self.off}
        raw["ruleId"] = self.ruleId or ""
        if self.experiment:
            raw["experiment"] = self.experiment.to_dict()
        if self.experimentResult:
            raw["experimentResult"] = self.experimentResult.to_dict()
        return raw


@dataclass
class UserContext:
    """The user as callbacks see it; attributes are a copy."""

    url: str = ""
    attributes: dict[str, Any] = field(default_factory=dict)
    groups: dict[str, Any] = field(default_factory=dict)
    forced_variations: dict[str, Any] = field(default_factory=dict)
    forced_features: dict[str, Any] = field(default_factory=dict)
    overrides: dict[str, Any] = field(default_factory=dict)
    sticky_bucket_assignment_docs: dict[str, Any] = field(default_factory=dict)
    skip_all_experiments: bool = False
