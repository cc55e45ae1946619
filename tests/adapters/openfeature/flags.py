"""The flags of the specification's tests as blueprints.

A flag without rules is a strategy that nobody is in (`traffic: 0`): control, its default variant, for everybody. A
flag with a rule has the rule as `target` and all weight on the variant that the rule gives. A disabled flag is paused.
A flag whose default is missing has numbers as its space: until a model predicts them, the caller's default is given.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from openfeature.flag_evaluation import FlagMetadata

from abloop.details import Details
from abloop.loop import Loop
from abloop.rollout.pause import pause

LEAST = 1e-10  # the least weight that a blueprint takes beside a full one
RULE = re.compile(r"(.*) \? '(.*)' : ''")
INEXPRESSIBLE = ("null-default-flag",)  # booleans without a default; no scenario asks for it


def described(name: str, flag: Mapping[str, Any]) -> dict[str, Any]:
    """Return the blueprint of a flag."""
    metrics = [{"name": "seen"}]
    default = flag.get("defaultVariant")
    if default is None:
        labels = [{"name": "seen"}]
        return {"strategy": name, "space": {"type": "number"}, "metrics": metrics, "labels": labels}
    arms: list[dict[str, Any]] = [{"name": arm, "value": value} for arm, value in flag["variants"].items()]
    found = {"strategy": name, "arms": arms, "control": default, "metrics": metrics}
    if "contextEvaluator" not in flag:
        return {**found, "experiment": {"traffic": 0}}
    rule = RULE.fullmatch(flag["contextEvaluator"])
    assert rule is not None
    condition, variant = rule.groups()
    for arm in arms:
        arm["weight"] = 1.0 if arm["name"] == variant else LEAST
    texts = set(re.findall(r"(\w+) == '", condition))
    names = set(re.findall(r"[a-z]+", re.sub(r"'[^']*'", "", condition)))
    features = [{"name": word, "type": "categorical" if word in texts else "numeric"} for word in sorted(names)]
    target = re.sub(r"!(\w+)", r"(missing(\1) or \1 == 0)", condition.replace("&&", "and"))
    return {**found, "features": features, "experiment": {"target": target}}


def register(loop: Loop, flags: Mapping[str, Mapping[str, Any]]) -> None:
    """Register every flag, and pause those that are disabled."""
    for name, flag in flags.items():
        if name in INEXPRESSIBLE:
            continue
        loop.register(described(name, flag))
        if flag.get("disabled"):
            pause(loop, name, who="test", why="The flag is disabled.")


class OwnMetadata:
    """The metadata that the flags have of their own, in place of what abloop tells of a decision."""

    def __init__(self, flags: Mapping[str, Mapping[str, Any]]) -> None:
        """Keep the flags."""
        self._flags = flags

    def __call__(self, flag_key: str, details: Details) -> FlagMetadata:
        """Return the metadata of a flag."""
        return self._flags[flag_key].get("flagMetadata") or {}
