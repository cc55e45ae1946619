"""A GrowthBook payload as blueprints: each experiment that its rules hold, with the arms that users have now.

What cannot be said in a blueprint is left out with a sentence, never guessed: a wrong target would change who is in.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from abloop.adapters.growthbook.feature import Feature as FeatureFlag
from abloop.adapters.growthbook.feature import FeatureRule, read_feature
from abloop.adapters.growthbook.hashing import usable
from abloop.adapters.growthbook.model import Experiment
from abloop.adapters.growthbook.reports import arm_names
from abloop.adapters.growthbook.target import Translator, both, none_of
from abloop.adapters.growthbook.values import number_text
from abloop.blueprint import Blueprint, Metric, from_mapping
from abloop.errors import AbloopError, DataError
from abloop.features.spec import Feature

NEAR = 1e-9
HASHES = {1: "growthbook-1", 2: "growthbook-2"}


class Imported(msgspec.Struct, frozen=True):
    """What a payload gave.

    Attributes:
        blueprints: One for each experiment that could be turned, in the order of the payload.
        skipped: Sentences that say what could not be turned, and what of an experiment is not as it was.
    """

    blueprints: tuple[Blueprint, ...] = ()
    skipped: tuple[str, ...] = ()


def blueprints(
    payload: Mapping[str, Any],
    *,
    metrics: Sequence[Metric | Mapping[str, Any] | str],
    features: Sequence[Feature | Mapping[str, Any] | str] = (),
) -> Imported:
    """Return the experiments of a payload as blueprints, whose users keep their arms.

    Args:
        payload: What GrowthBook's API gives, or only its `features`.
        metrics: Metrics of each blueprint, as objects, mappings or names.
        features: Features of each blueprint besides those that its target reads.

    Raises:
        DataError: The payload is none.

    Example:
        >>> rule = {"key": "exp", "variations": ["blue", "green"], "coverage": 0.5, "condition": {"country": "FI"}}
        >>> found = blueprints({"b": {"defaultValue": "blue", "rules": [rule]}}, metrics=["purchase"])
        >>> found.blueprints[0].experiment.target, found.blueprints[0].experiment.traffic, found.skipped
        ("country == 'FI'", 0.5, ())
    """
    flags = payload.get("features", payload) if isinstance(payload, Mapping) else None
    if not isinstance(flags, Mapping):
        raise DataError(f"a payload is an object with `features`, got {type(payload).__name__}")
    importer = _Importer([_raw(metric) for metric in metrics], [_raw(feature) for feature in features])
    for key, raw in flags.items():
        try:
            importer.flag(str(key), read_feature(raw))
        except Exception as error:  # a payload may hold anything; the other features are turned all the same
            importer.skip(f"feature {key!r:.80}", error)
    return Imported(tuple(importer.found.values()), tuple(importer.skipped))


def _raw(spec: Any) -> dict[str, Any]:
    """Return a metric or feature as a mapping."""
    if isinstance(spec, str):
        return {"name": spec}
    return dict(spec) if isinstance(spec, Mapping) else dict(msgspec.to_builtins(spec))


class _Importer:
    """Turns features one by one.

    Attributes:
        found: Experiment key to its blueprint.
        skipped: Sentences.
    """

    def __init__(self, metrics: list[dict[str, Any]], features: list[dict[str, Any]]) -> None:
        """Keep what each blueprint has."""
        self._metrics = metrics
        self._features = features
        self.found: dict[str, Blueprint] = {}
        self.skipped: list[str] = []

    def skip(self, where: str, error: Exception | str) -> None:
        """Note what could not be turned."""
        said = str(error) if isinstance(error, str | AbloopError) else f"{type(error).__name__}: {error}"
        said = said.removeprefix(f"{where}: ").partition("\n")[0]
        self.skipped.append(f"{where}: {said:.300}")

    def flag(self, key: str, flag: FeatureFlag) -> None:
        """Turn the experiments of a feature."""
        for number, rule in enumerate(flag.rules):
            where = f"feature {key!r:.80}, rule {number + 1}"
            if rule.unreadable:
                self.skip(where, rule.unreadable)
            elif rule.contextualVariations is not None or rule.contextualBanditRef:
                self.skip(where, "a bandit, whose weights change, is no experiment; it stays in GrowthBook")
            elif rule.force is None and rule.variations is not None:
                self._rule(key, number, rule, flag.rules[:number])
                self._outside(where, str(rule.key or key), rule, flag.defaultValue)
        if flag.rules and all(rule.variations is None and not rule.unreadable for rule in flag.rules):
            self.skip(f"feature {key!r:.80}", "its rules give values without an experiment; they stay in GrowthBook")

    def _outside(self, where: str, name: str, rule: FeatureRule, default: Any) -> None:
        """Note where those who are not in an experiment got another value than control's."""
        blueprint = self.found.get(name)
        if blueprint is None or not rule.variations or rule.variations[0] == default:
            return
        trial = blueprint.experiment
        if trial.traffic < 1.0 or trial.target or trial.layer:
            control = blueprint.ordered_arms()[0].name
            self.skip(where, f"who is not in gets {control!r} now, not the feature's defaultValue {default!r:.80}")

    def _rule(self, key: str, number: int, rule: FeatureRule, before: Sequence[FeatureRule]) -> None:
        """Turn the experiment of a rule."""
        name = str(rule.key or key)
        where = f"experiment {name!r:.80} (feature {key!r:.80}, rule {number + 1})"
        if name in self.found:
            self.skip(where, "it stands in the payload before; its arms give the values that they have there")
            return
        try:
            self.found[name] = self._blueprint(where, key, name, rule, before)
        except Exception as error:  # a payload may hold anything; the other rules are turned all the same
            self.skip(where, error)

    def _blueprint(
        self, where: str, key: str, name: str, rule: FeatureRule, before: Sequence[FeatureRule]
    ) -> Blueprint:
        """Return the blueprint of a rule's experiment.

        Raises:
            AbloopError: It cannot be said in a blueprint.
        """
        _check(rule)
        experiment: Experiment[Any] = Experiment(name, list(rule.variations or ()), meta=rule.meta)
        names, traffic, weights = arm_names(experiment), rule.coverage, rule.weights
        if rule.ranges:
            traffic, weights = _from_ranges(rule.ranges, len(names))
        trial: dict[str, Any] = {"salt": str(rule.seed or name), "hash": HASHES[rule.hashVersion]}
        trial["traffic"] = 1.0 if traffic is None else min(max(float(traffic), 0.0), 1.0)
        if rule.namespace:
            layer, low, high = rule.namespace
            trial["layer"] = {"name": layer, "low": float(low), "high": float(high)}
        translator = Translator({raw["name"]: raw.get("type", "numeric") for raw in self._features})
        target = translator.formula(rule.condition) if rule.condition else "True"
        trial["force"], target = self._before(where, rule, before, names, (translator, target))
        if target == "False":
            raise DataError("nobody reaches it")
        trial["target"] = "" if target == "True" else target
        if rule.fallbackAttribute:
            self.skip(where, f"units without {rule.hashAttribute!r} are not in; {rule.fallbackAttribute!r} is not used")
        return from_mapping(
            {
                "strategy": name,
                "unit": rule.hashAttribute,
                "arms": self._arms(where, names, rule.variations or (), weights),
                "metrics": self._metrics,
                "features": self._declared(translator, rule.hashAttribute),
                "experiment": trial,
            },
            where,
        )

    def _before(
        self,
        where: str,
        rule: FeatureRule,
        before: Sequence[FeatureRule],
        names: Sequence[str],
        targeted: tuple[Translator, str],
    ) -> tuple[dict[str, str], str]:
        """Return units with forced arms, and the target less the users that earlier rules take."""
        force: dict[str, str] = {}
        translator, target = targeted
        for number, earlier in enumerate(before):
            part, named = f"{where}: rule {number + 1} before it", _named(earlier, rule)
            if named is not None:
                force = {unit: names[(rule.variations or []).index(earlier.force)] for unit in named} | force
            elif earlier.force is None and earlier.variations is None:
                continue
            elif earlier.parentConditions or earlier.filters or earlier.namespace or _partial(earlier):
                self.skip(part, "takes a share of the users, who are in the experiment here")
            else:
                taken = translator.formula(earlier.condition) if earlier.condition else "True"
                target = both(target, none_of(taken))
                if taken != "True":
                    self.skip(part, "takes the users that it is for; they get control here")
        return force, target

    def _arms(self, where: str, names: Sequence[str], values: Sequence[Any], weights: Any) -> list[dict[str, Any]]:
        """Return the arms, with weights that sum to one, less those that nobody gets."""
        given = list(weights) if usable(weights, len(names)) else [1 / len(names)] * len(names)
        total = sum(given)
        if abs(total - 1.0) > NEAR:
            self.skip(where, f"weights sum to {total:g}; they are made to sum to 1, so that some users change arms")
        arms: list[dict[str, Any]] = []
        for name, value, weight in zip(names, values, given, strict=True):
            if weight <= 0:
                self.skip(where, f"arm {name!r:.80} has no share and is left out")
                continue
            if value is None:
                self.skip(where, f"arm {name!r:.80} gives null, which no arm can; it gives its name")
            arms.append({"name": name, "value": value, "weight": weight / total})
        return arms

    def _declared(self, translator: Translator, unit: str) -> list[dict[str, Any]]:
        """Return the features of a blueprint: those that are wanted, and those that its target reads."""
        known = {raw["name"] for raw in self._features}
        read: list[dict[str, Any]] = [
            {"name": name, "type": translator.types.get(name, "categorical")}
            | ({"learn": False} if name == unit else {})
            for name in sorted(translator.read - known)
        ]
        return [*self._features, *read]


def _check(rule: FeatureRule) -> None:
    """Refuse a rule that no blueprint can say.

    Raises:
        DataError: It has prerequisites, filters, a passthrough, or a hash that does not exist.
    """
    if rule.parentConditions:
        raise DataError("it has prerequisites, and one strategy cannot wait for another")
    if rule.filters:
        raise DataError("it has filters; a layer has one part and GrowthBook's namespace hash")
    if any(isinstance(meta, Mapping) and meta.get("passthrough") for meta in rule.meta or ()):
        raise DataError("it is a holdout, whose users go on to the next rule; declare it under experiment.holdouts")
    if rule.hashVersion not in HASHES:
        raise DataError(f"hash version {rule.hashVersion!r:.20} does not exist")


def _partial(rule: FeatureRule) -> bool:
    """Return whether a rule takes only a share of the users that it is for."""
    if rule.force is not None:
        return rule.range is not None or (rule.coverage is not None and rule.coverage < 1)
    return bool(rule.ranges) or (rule.coverage is not None and rule.coverage < 1)


def _named(rule: FeatureRule, trial: FeatureRule) -> list[str] | None:
    """Return the units that a rule gives one of the arms' values by name; None for any other rule."""
    if rule.force is None or _partial(rule) or rule.parentConditions or rule.filters:
        return None
    if rule.force not in (trial.variations or []) or list(rule.condition or {}) != [trial.hashAttribute]:
        return None
    asked = (rule.condition or {})[trial.hashAttribute]
    if isinstance(asked, dict):
        asked = asked.get("$in", asked.get("$eq")) if len(asked) == 1 else None
    units = asked if isinstance(asked, list) else [asked]
    if not all(isinstance(unit, str | int | float) and not isinstance(unit, bool) for unit in units):
        return None
    return [unit if isinstance(unit, str) else number_text(unit) for unit in units]


def _from_ranges(ranges: Sequence[Sequence[float]], count: int) -> tuple[float, list[float]]:
    """Return coverage and weights of ranges, each of which is the first part of its arm's share.

    Raises:
        DataError: They are of another form.
    """
    starts = [float(part[0]) for part in ranges]
    weights = [end - start for start, end in zip(starts, [*starts[1:], 1.0], strict=True)]
    widths = [float(part[1]) - float(part[0]) for part in ranges]
    fine = len(ranges) == count and abs(starts[0]) < NEAR and all(weight > NEAR for weight in weights)
    coverage = widths[0] / weights[0] if fine else 0.0
    if not fine or any(abs(width - coverage * weight) > 1e-6 for width, weight in zip(widths, weights, strict=True)):
        raise DataError("its ranges are not the first part of each arm's share, which is all that traffic can say")
    return min(coverage, 1.0), weights
