"""A formula with the values of one decision put in, for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
    Unary,
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

    def part(inner: Node, strength: int = 0) -> str:
        return show(inner, values, arms, strength)

    strength = 9
    if isinstance(node, Name):
        return _value(values.get(node.name), arms)
    if isinstance(node, Binary):
        strength = _STRENGTH[node.sign]
        text = f"{part(node.left, strength)} {node.sign} {part(node.right, strength + 1)}"
    elif isinstance(node, Unary):
        strength = 2 if node.sign == "not" else 7
        text = f"{'not ' if node.sign == 'not' else '-'}{part(node.value, strength)}"
    elif isinstance(node, Compare):
        strength = 3
        text = part(node.values[0], 4)
        text += "".join(f" {sign} {part(value, 4)}" for sign, value in zip(node.signs, node.values[1:], strict=True))
    elif isinstance(node, Member):
        strength, listed = 3, ", ".join(part(item) for item in node.among)
        text = f"{part(node.value, 4)} {'not in' if node.negated else 'in'} ({listed})"
    elif isinstance(node, Logic):
        strength = 1 if node.sign == "or" else 2
        text = f" {node.sign} ".join(part(value, strength + 1) for value in node.values)
    elif isinstance(node, Choose):
        strength = 0
        text = f"{part(node.then, 1)} if {part(node.test, 1)} else {part(node.otherwise)}"
    elif isinstance(node, Call):
        text = f"{node.name}({', '.join(part(value) for value in node.values)})"
    elif isinstance(node, Record):
        fields = [f"{name!r}: {part(value)}" for name, value in zip(node.names, node.values, strict=True)]
        text = "{" + ", ".join(fields) + "}"
    elif isinstance(node, Arm):
        text = f"arm({node.name!r})"
    else:
        text = (
            _value(node.value, arms)
            if isinstance(node, Number)
            else repr(node.value)
            if isinstance(node, Text)
            else str(node.value)
        )  # type: ignore[attr-defined]
    return f"({text})" if strength < least else text


def _value(value: Any, arms: Sequence[str]) -> str:
    if value is None or value != value:
        return "missing"
    if isinstance(value, tuple):
        return "(" + ", ".join(f"{arm}: {number:.6g}" for arm, number in zip(arms, value, strict=False)) + ")"
    return f"{value:.6g}" if isinstance(value, float | int) and not isinstance(value, bool) else repr(value)
