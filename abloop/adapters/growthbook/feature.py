"""Features and their rules, as a payload has them. A rule that cannot be read is kept as one that gives the default."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from abloop.errors import DataError

KEPT = ("variations", "weights", "condition", "namespace", "force")
RANGES = ("range", "ranges", "meta", "filters", "seed", "name", "phase")


class FeatureRule:
    """One rule of a feature: it forces a value, or it is an experiment. The first that applies decides.

    Args:
        id: Names it.
        key: Key of the experiment; the feature's where empty.
        variations: Makes the rule an experiment, with these values.
        force: Makes the rule give this value.
        range: Part of [0, 1) that gets the forced value; instead of `coverage`.
        tracks: Kept, not used: it is for features that a server evaluated.
        contextualBanditRef: The bandit that sets the weights.
        contextualVariations: Instead of `variations`, where a bandit sets the weights.
        unreadable: Why the rule cannot be read; empty where it can.

    The others are those of `Experiment`.
    """

    def __init__(
        self,
        id: str | None = None,  # noqa: A002 - GrowthBook's name
        key: str = "",
        variations: list[Any] | None = None,
        weights: list[float] | None = None,
        coverage: float | None = None,
        condition: dict[str, Any] | None = None,
        namespace: tuple[str, float, float] | None = None,
        force: Any = None,
        hashAttribute: str = "id",
        fallbackAttribute: str | None = None,
        hashVersion: int | None = None,
        range: tuple[float, float] | None = None,  # noqa: A002 - GrowthBook's name
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
        tracks: list[dict[str, Any]] | None = None,
        contextualBanditRef: str | None = None,
        contextualVariations: list[Any] | None = None,
        **_ignored: Any,
    ) -> None:
        """Keep it all; keys of later versions are ignored."""
        self.unreadable = ""
        self.id, self.key, self.variations, self.weights = id, key, variations, weights
        self.coverage, self.condition, self.namespace, self.force = coverage, condition, namespace, force
        self.hashAttribute, self.hashVersion = hashAttribute, hashVersion or 1
        self.fallbackAttribute = None if disableStickyBucketing else fallbackAttribute
        self.range, self.ranges, self.meta, self.filters = range, ranges, meta, filters
        self.seed, self.name, self.phase = seed, name, phase
        self.disableStickyBucketing = disableStickyBucketing
        self.bucketVersion, self.minBucketVersion = bucketVersion or 0, minBucketVersion or 0
        self.parentConditions, self.tracks = parentConditions, tracks
        self.contextualBanditRef, self.contextualVariations = contextualBanditRef, contextualVariations

    def to_dict(self) -> dict[str, Any]:
        """Return it as a payload has it."""
        raw = {name: getattr(self, name) for name in ("id", "key") if getattr(self, name)}
        raw |= {name: getattr(self, name) for name in KEPT if getattr(self, name) is not None}
        if self.coverage is not None and self.coverage != 1:
            raw["coverage"] = self.coverage
        if self.hashAttribute != "id":
            raw["hashAttribute"] = self.hashAttribute
        raw["hashVersion"] = self.hashVersion
        raw |= {name: getattr(self, name) for name in RANGES if getattr(self, name) is not None}
        if self.disableStickyBucketing:
            raw["disableStickyBucketing"] = True
        others = ("fallbackAttribute", "bucketVersion", "minBucketVersion", "parentConditions", "tracks")
        raw |= {name: getattr(self, name) for name in (*others, "contextualBanditRef") if getattr(self, name)}
        if self.contextualVariations is not None:
            raw["contextualVariations"] = self.contextualVariations
        return raw

    def __repr__(self) -> str:
        return f"FeatureRule(id={self.id!r}, key={self.key!r})"


class Feature:
    """A feature: the value that its first rule that applies gives, else its default.

    Args:
        defaultValue: The default.
        rules: Rules, as objects or as a payload has them. It never raises: one that is neither is unreadable.
    """

    def __init__(self, defaultValue: Any = None, rules: Any = None) -> None:
        """Read the rules."""
        self.defaultValue = defaultValue
        if rules is not None and not isinstance(rules, list | tuple):
            rules = [rules if isinstance(rules, FeatureRule) else unreadable("its rules are no list")]
        self.rules: list[FeatureRule] = [read_rule(rule) for rule in rules or ()]

    def to_dict(self) -> dict[str, Any]:
        """Return it as a payload has it."""
        return {"defaultValue": self.defaultValue, "rules": [rule.to_dict() for rule in self.rules]}


def unreadable(why: str) -> FeatureRule:
    """Return a rule that gives the feature's default."""
    rule = FeatureRule()
    rule.unreadable = why
    return rule


def read_rule(raw: Any) -> FeatureRule:
    """Return a rule from what a payload has; it never raises."""
    if isinstance(raw, FeatureRule):
        return raw
    if not isinstance(raw, Mapping):
        return unreadable(f"a rule is an object, got {type(raw).__name__}")
    try:
        return FeatureRule(**raw)
    except Exception as error:  # law 1: product code never sees an exception
        return unreadable(f"{type(error).__name__} in a rule")


def read_feature(raw: Any) -> Feature:
    """Return a feature from what a payload has.

    Raises:
        DataError: It is no object.
    """
    if isinstance(raw, Feature):
        return raw
    if not isinstance(raw, Mapping):
        raise DataError(f"a feature is an object, got {type(raw).__name__}")
    return Feature(raw.get("defaultValue"), raw.get("rules", []))
