"""Random well-typed formulas and values for them."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from abloop.policy.nodes import Kind

ARMS = ("off", "on", "both")
NAMES: dict[str, Kind] = {
    "x": "number",
    "y": "number",
    "w": "number",
    "country": "text",
    "device": "text",
    "effect": "arms",
    "cost": "arms",
}
NUMBERS = st.none() | st.floats(-5, 5) | st.sampled_from([0.0, -0.0, 1e308, -1e308, 5e-324, 710.0, 1.0, 3.0, -750.0])
BY_ARM = st.tuples(*[st.floats(-3, 3) | st.sampled_from([0.0, -0.0, float("nan"), 1e308, -1e308, float("inf")])] * 3)
TEXTS = st.none() | st.sampled_from(["FI", "SE", "it's", ""])
VALUES = st.fixed_dictionaries(
    {
        "x": NUMBERS,
        "y": NUMBERS,
        "w": NUMBERS.filter(lambda value: value is not None),
        "country": TEXTS,
        "device": TEXTS,
        "effect": BY_ARM,
        "cost": BY_ARM,
    }
)


@st.composite
def expressions(draw: st.DrawFn, kind: Kind, depth: int = 4) -> str:
    """Draw a formula of a kind."""

    def part(inner: Kind) -> str:
        return draw(expressions(inner, depth - 1))

    if depth <= 0:
        return draw(st.sampled_from(LEAVES[kind]))
    return str(draw(st.sampled_from(GROWN[kind])).format_map(_Parts(part)))


class _Parts(dict[str, Any]):
    """Fills `{number}` in a template with a fresh expression of that kind."""

    def __init__(self, part: Any) -> None:
        super().__init__()
        self._part = part

    def __missing__(self, key: str) -> str:
        return str(self._part(key.rstrip("0123456789")))


LEAVES: dict[Kind, list[str]] = {
    "number": ["x", "y", "w", "0", "1", "2.5", "1e-3", "-4", "feature('x')"],
    "truth": ["x > 0", "country == 'FI'", "True", "missing(x)", "x != y"],
    "text": ["country", "device", "'FI'"],
    "arms": ["effect", "cost"],
    "choice": ["arm('on')", "argmax(effect)", "best_arm(effect, cost)", "best_arm(cost)"],
    "shares": ["uniform()", "softmax(effect, 1)", "thompson(effect, cost)", "epsilon(arm('off'), 0.3)"],
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
