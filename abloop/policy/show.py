"""A formula with the values of one decision put in, for people."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from abloop.policy.nodes import (
    Arm,
    Binary,
    Call,
    Choose,
    Compare,
    Logic,
    Member,
    Name,
    Node,
    Number,
    Record,
    Text,
    Truth,
    Unary,
    spine,
)

_STRENGTH = {"+": 5, "-": 5, "*": 6, "/": 6}


def show(node: Node, values: Mapping[str, Any], arms: Sequence[str], least: int = 0) -> str:
    """Return a formula as text, its names replaced by their values, in as few brackets as it takes.

    Args:
        node: The formula.
        values: Name to value.
        arms: Arm names.
        least: How strongly the surroundings bind; weaker text is put in brackets.
    """
    if isinstance(node, Name):
        return _value(values.get(node.name), arms)
    if isinstance(node, Number):
        return _value(node.value, arms)
    if isinstance(node, Text | Truth):
        return repr(node.value)

    def part(inner: Node, strength: int = 0) -> str:
        return show(inner, values, arms, strength)

    strength, text = _joined(node, part)
    return f"({text})" if strength < least else text


def _joined(node: Node, part: Callable[..., str]) -> tuple[int, str]:
    """Return how strongly a node binds, and its text."""
    if isinstance(node, Binary):
        return _chain(node, part)
    if isinstance(node, Unary):
        strength = 3 if node.sign == "not" else 7
        return strength, f"{'not ' if node.sign == 'not' else '-'}{part(node.value, strength)}"
    if isinstance(node, Compare):
        rest = [f" {sign} {part(value, 4)}" for sign, value in zip(node.signs, node.values[1:], strict=True)]
        return 3, part(node.values[0], 4) + "".join(rest)
    if isinstance(node, Member):
        listed = ", ".join(part(item) for item in node.among)
        return 3, f"{part(node.value, 4)} {'not in' if node.negated else 'in'} ({listed})"
    if isinstance(node, Logic):
        strength = 1 if node.sign == "or" else 2
        return strength, f" {node.sign} ".join(part(value, strength + 1) for value in node.values)
    if isinstance(node, Choose):
        return 0, f"{part(node.then, 1)} if {part(node.test, 1)} else {part(node.otherwise)}"
    return 9, _enclosed(node, part)


def _chain(node: Binary, part: Callable[..., str]) -> tuple[int, str]:
    """Return a sum or product of any length."""
    steps = spine(node)
    before = _STRENGTH[steps[0].sign]
    text = part(steps[0].left, before)
    for step in steps:
        strength = _STRENGTH[step.sign]
        text = f"({text})" if before < strength else text
        text = f"{text} {step.sign} {part(step.right, strength + 1)}"
        before = strength
    return before, text


def _enclosed(node: Node, part: Callable[..., str]) -> str:
    if isinstance(node, Call):
        return f"{node.name}({', '.join(part(value) for value in node.values)})"
    if isinstance(node, Record):
        fields = [f"{name!r}: {part(value)}" for name, value in zip(node.names, node.values, strict=True)]
        return "{" + ", ".join(fields) + "}"
    return f"arm({node.name!r})" if isinstance(node, Arm) else ""


def _value(value: Any, arms: Sequence[str]) -> str:
    if value is None or value != value:
        return "missing"
    if isinstance(value, tuple):
        return "(" + ", ".join(f"{arm}: {number:.6g}" for arm, number in zip(arms, value, strict=False)) + ")"
    return f"{value:.6g}" if isinstance(value, float | int) and not isinstance(value, bool) else repr(value)
