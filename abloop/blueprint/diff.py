"""What changed between two blueprints, field by field, and whether one may train on the other's rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from abloop.blueprint.spec import Blueprint
from abloop.blueprint.text import to_plain
from abloop.features.spec import Feature, Group


class Change(msgspec.Struct, frozen=True):
    """One field that differs.

    Attributes:
        path: Where it stands; arms, metrics and features are named, e.g. `arms[green].weight`.
        before: Its value in the older blueprint; None if it was not there.
        after: Its value in the newer one; None if it is not there any more.
    """

    path: str
    before: Any
    after: Any


def diff(before: Blueprint, after: Blueprint) -> tuple[Change, ...]:
    """Return every field that differs, in the order of the blueprint.

    Example:
        >>> from abloop.blueprint import from_mapping
        >>> old = {"strategy": "s", "arms": [{"name": "a"}, {"name": "b"}], "metrics": [{"name": "m"}]}
        >>> new = {**old, "arms": [{"name": "a"}, {"name": "b", "cost": 0.5}]}
        >>> [(change.path, change.before, change.after) for change in diff(from_mapping(old), from_mapping(new))]
        [('arms[b].cost', 0.0, 0.5)]
    """
    return tuple(_changes("", to_plain(before, defaults=True), to_plain(after, defaults=True)))


def _changes(path: str, before: Any, after: Any) -> Iterator[Change]:
    if before == after and type(before) is type(after):
        return
    if isinstance(before, dict) and isinstance(after, dict):
        for key in dict.fromkeys([*before, *after]):
            yield from _changes(f"{path}.{key}" if path else key, before.get(key), after.get(key))
        return
    if _named(before) and _named(after):
        old = {item["name"]: item for item in before}
        new = {item["name"]: item for item in after}
        for name in dict.fromkeys([*old, *new]):
            yield from _changes(f"{path}[{name}]", old.get(name), new.get(name))
        if list(old) != list(new) and set(old) == set(new):
            yield Change(f"{path} (order)", list(old), list(new))
        return
    yield Change(path, before, after)


def _named(items: Any) -> bool:
    return isinstance(items, list | tuple) and all(isinstance(item, dict) and "name" in item for item in items)


def cannot_train_on(blueprint: Blueprint, rows: Blueprint) -> str:
    """Return why a blueprint may not train on another's rows, or an empty text when it may.

    It may when its features and labels are among the other's and are made the same way, for the same arms and
    unit. Weights, costs, values, explore share and model may differ: propensities are logged with each row.

    Args:
        blueprint: What is to be trained.
        rows: Blueprint of the version that logged the rows.

    Example:
        >>> from abloop.blueprint import from_mapping
        >>> old = {"strategy": "s", "arms": [{"name": "a"}, {"name": "b"}], "metrics": [{"name": "m"}]}
        >>> new = {**old, "features": [{"name": "age"}]}
        >>> cannot_train_on(from_mapping(new), from_mapping(old))
        "feature 'age' was not logged then"
    """
    if blueprint.space.type != rows.space.type:
        return f"the decision was a {rows.space.type}"
    if blueprint.unit != rows.unit:
        return f"the unit was {rows.unit!r}"
    arms = {arm.name for arm in blueprint.arms}
    if arms != {arm.name for arm in rows.arms}:
        return f"the arms were {', '.join(repr(arm.name) for arm in rows.arms)}"
    if blueprint.lifecycle.ttl != rows.lifecycle.ttl:
        return f"the TTL was {rows.lifecycle.ttl:g} s"
    reason = _other_features(blueprint, rows)
    if reason:
        return reason
    labels = {metric.name: (metric.default, metric.combine, metric.measured) for metric in rows.metrics}
    for metric in blueprint.metrics:
        if metric.name not in labels:
            return f"metric {metric.name!r} was not logged then"
        if labels[metric.name] != (metric.default, metric.combine, metric.measured):
            return f"metric {metric.name!r} was joined otherwise"
    return ""


def _other_features(blueprint: Blueprint, rows: Blueprint) -> str:
    """Return which feature was not logged alike; what is made of logged features is made anew."""
    groups = {group.name: group for group in rows.groups}
    mine = {group.name: group for group in blueprint.groups}
    logged = {feature.name: feature for feature in rows.features if not feature.transform}
    for feature in blueprint.features:
        if feature.transform:
            continue
        if feature.name not in logged:
            return f"feature {feature.name!r} was not logged then"
        other = logged[feature.name]
        if other.type != feature.type:
            return f"feature {feature.name!r} was {other.type}"
        if _source(feature, mine) != _source(other, groups):
            return f"feature {feature.name!r} came from elsewhere"
    return ""


def _source(feature: Feature, groups: Mapping[str, Group]) -> tuple[object, ...]:
    """Return all that tells how a feature's value came about."""
    size = feature.size if feature.type == "embedding" else 0
    own = (feature.source, feature.metric, feature.metric and (feature.tally, feature.window), size)
    if not feature.group:
        return own
    group = groups[feature.group]
    return (*own, group.key, group.table, group.column or group.key, group.query, group.source, group.events)
