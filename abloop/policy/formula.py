"""A policy's formula: read once, checked against what it may name, and compiled for one decision and for a frame."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from abloop.policy.kinds import Checker
from abloop.policy.nodes import Kind, Name, Node, Record, inner
from abloop.policy.parse import parse
from abloop.policy.scalar import compile_scalar
from abloop.policy.show import show

__all__ = ["Formula", "Kind"]
NOTHING: Mapping[str, float | tuple[float, ...]] = {}


class Formula:
    """A checked formula.

    Args:
        text: At most 4,096 characters.
        names: What it may read, and as what.
        arms: Arm names; none where the decision is no choice.

    Raises:
        BlueprintError: With a caret under what is not allowed.

    Attributes:
        text: As given.
        kind: Kind of its value.
        reads: The names it reads, in order of first appearance.
        random: Whether it gives shares, from which the arm is drawn.
        fields: Of a structured value: kind of each field.

    Example:
        >>> formula = Formula("opened > limit", {"opened": "number", "limit": "number"})
        >>> names, function = formula.scalar({"limit": 0.3})
        >>> formula.kind, names, function(0.5), function(None)
        ('truth', ('opened',), True, False)
    """

    def __init__(self, text: str, names: Mapping[str, Kind], arms: Sequence[str] = ()) -> None:
        """Parse and check."""
        self.text = text
        self._node = parse(text)
        self._names = dict(names)
        self._arms = tuple(arms)
        checker = Checker(text, names, arms)
        self.kind = checker.kind(self._node)
        self._checker = checker
        self.reads = _reads(self._node)
        self.random = self.kind == "shares"
        self.fields: dict[str, Kind] = {}
        if isinstance(self._node, Record):
            kinds = [checker.kind(value) for value in self._node.values]
            self.fields = dict(zip(self._node.names, kinds, strict=True))

    def scalar(
        self, constants: Mapping[str, float | tuple[float, ...]] = NOTHING
    ) -> tuple[tuple[str, ...], Callable[..., Any]]:
        """Return the formula as a function of one decision's values.

        Args:
            constants: Names whose values are always the same.

        Returns:
            The names that remain, and a function of their values by position. Numbers may be None, where missing.
            It gives a float, NaN or infinite where undefined; a bool; a text or None; a tuple of a number for each
            arm; the index of an arm, -1 where undefined; shares, None where undefined; or field to value.
        """
        fixed = [name for name in self.reads if name in constants]
        rest = tuple(name for name in self.reads if name not in constants)
        function = compile_scalar(self._node, self._names, self._checker.kind, self._arms, (*rest, *fixed))
        if fixed:
            function.__defaults__ = tuple(constants[name] for name in fixed)
        return rest, function

    def frame(self, values: Mapping[str, Any], rows: int) -> Any:
        """Return the formula's values over many rows, equal to the function of one decision to the last bit.

        Args:
            values: Name to column: numbers of shape (n,), NaN where missing, or one for all; texts of shape (n,),
                None where missing; by arm of shape (n, k), or k numbers for all.
            rows: n.

        Returns:
            Shape (n,), or (n, k) by arm and for shares; of a structured value, field to array.
        """
        from abloop.policy.vector import evaluate

        kinds = {name: self._names[name] for name in self.reads}
        return evaluate(self._node, self._checker.kind, self._arms, kinds, values, rows)

    def show(self, values: Mapping[str, Any]) -> str:
        """Return the formula with the values of one decision put in.

        Example:
            >>> Formula("2 * x > 1", {"x": "number"}).show({"x": 0.75})
            '2 * 0.75 > 1'
        """
        return show(self._node, values, self._arms)


def _reads(node: Node) -> tuple[str, ...]:
    """Return the names in a formula, in order of first appearance."""
    found: dict[str, int] = {}
    todo = [node]
    while todo:
        here = todo.pop()
        if isinstance(here, Name):
            found[here.name] = min(here.at.start, found.get(here.name, here.at.start))
        todo.extend(inner(here))
    return tuple(sorted(found, key=found.__getitem__))
