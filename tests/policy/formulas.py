"""Random well-typed formulas and values for them, from a seed: hypothesis draws the seed, which is quick."""

from __future__ import annotations

import math
import random
from typing import Any

from abloop.policy.nodes import Kind

ARMS = ("off", "on", "both")
NAMES: dict[str, Kind] = {
    "x": "number",
    "y": "number",
    "w": "number",
    "page views": "number",
    "flag": "truth",
    "country": "text",
    "device": "text",
    "effect": "arms",
    "cost": "arms",
}
ODD = [0.0, -0.0, 1e308, -1e308, 5e-324, 710.0, -750.0, 1.0, 3.0, math.inf, -math.inf, math.nan]


def number(rng: random.Random) -> float:
    """Draw a number, one in three an odd one."""
    return rng.choice(ODD) if rng.random() < 0.33 else rng.uniform(-4.0, 4.0)


def row(rng: random.Random) -> dict[str, Any]:
    """Draw a value for every name; numbers and texts may be missing."""
    drawn: dict[str, Any] = {}
    for name, kind in NAMES.items():
        if kind == "number":
            drawn[name] = None if rng.random() < 0.15 and name != "w" else number(rng)
        elif kind == "truth":
            drawn[name] = rng.random() < 0.5
        elif kind == "text":
            drawn[name] = rng.choice([None, "FI", "SE", "it's", "", "2.3", "2.10.0-rc.1"])
        else:
            drawn[name] = tuple(number(rng) for _ in ARMS)
    return drawn


def grown(rng: random.Random, kind: str, depth: int) -> str:
    """Draw a formula of a kind."""

    class Parts(dict[str, str]):
        def __missing__(self, key: str) -> str:
            return grown(rng, key.rstrip("0123456789"), depth - 1)

    choices: list[str] = (LEAVES if depth <= 0 else GROWN)[kind]  # type: ignore[index]
    return rng.choice(choices).format_map(Parts())


LEAVES: dict[Kind, list[str]] = {
    "number": ["x", "y", "w", "0", "1", "2.5", "1e-3", "-4", "feature('page views')"],
    "truth": ["x > 0", "country == 'FI'", "True", "missing(x)", "x != y", "flag"],
    "text": ["country", "device", "'FI'"],
    "arms": ["effect", "cost"],
    "choice": ["arm('on')", "argmax(effect)", "best_arm(effect, cost)", "best_arm(cost)"],
    "shares": [
        "uniform()",
        "softmax(effect, 1)",
        "inverse_gap(effect, 4)",
        "thompson(effect, cost)",
        "epsilon(arm('off'), 0.3)",
    ],
    "record": ["{{'a': x, 'b': True}}"],
}
GROWN: dict[Kind, list[str]] = {
    "number": [
        "({number} + {number2})",
        "({number} - {number2}) * {number3}",
        "({number} / {number2})",
        "-({number})",
        "min({number}, {number2}, {number3})",
        "max({number}, {number2})",
        "clip({number}, {number2}, {number3})",
        "exp({number})",
        "log({number})",
        "sqrt({number})",
        "abs({number})",
        "({number} if {truth} else {number2})",
        "{number} + {number2} * {number3} - {number4} / {number5}",
    ],
    "truth": [
        "({number} < {number2} <= {number3})",
        "({number} == {number2})",
        "({number} != {number2})",
        "({number} == {number2} < {number3} != {number4})",
        "({text} == {text2})",
        "({text} != {text2})",
        "({text} in ('FI', 'SE'))",
        "({text} not in ['FI'])",
        "({number} in (0, -4, 2.5))",
        "({number} not in (1, 3))",
        "({truth} and {truth2} and {truth3})",
        "({truth} or {truth2})",
        "(not {truth})",
        "missing({number})",
        "missing({text})",
        "at_least({text}, {text2})",
        "at_least({text}, '2.3.1')",
        "({truth} if {truth2} else {truth3})",
    ],
    "text": ["({text} if {truth} else {text2})"],
    "arms": [
        "({arms} + {arms2})",
        "({arms} * {number})",
        "({number} - {arms})",
        "({arms} / {number})",
        "({number} / {arms})",
        "min({arms}, {number})",
        "max({number}, {arms}, {arms2})",
        "clip({arms}, {number}, {arms2})",
        "exp({arms})",
        "log({arms})",
        "sqrt({arms})",
        "abs(-{arms})",
        "({arms} if {truth} else {arms2})",
        "({arms} if {truth} else {number})",
    ],
    "choice": ["argmax({arms})", "best_arm({arms}, {arms2})", "({choice} if {truth} else {choice2})"],
    "shares": [
        "softmax({arms}, {number})",
        "epsilon({choice}, {number})",
        "thompson({arms}, abs({arms2}))",
        "({shares} if {truth} else {shares2})",
        "({shares} if {truth} else {choice})",
    ],
    "record": ["{{'a': {number}, 'b': {truth}, 'c d': {text}}}"],
}
