"""A checked formula over many decisions at once, by NumPy: the same bits as the function of one decision."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from abloop.libm import exp_all, log_all
from abloop.policy.draws import argmax_all, epsilon_all, softmax_all, thompson_all
from abloop.policy.gaps import inverse_gap_all
from abloop.policy.nodes import (
    Arm,
    Binary,
    Call,
    Choose,
    Compare,
    Kind,
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
from abloop.policy.versions import at_least

CHUNK = 32768  # rows; what a step leaves behind stays in the cache
_ARITHMETIC = {"+": np.add, "-": np.subtract, "*": np.multiply}
_COMPARISONS: dict[str, Any] = {
    "<": np.less,
    "<=": np.less_equal,
    ">": np.greater,
    ">=": np.greater_equal,
    "==": np.equal,
    "!=": np.not_equal,
}


def evaluate(
    node: Node,
    kind_of: Callable[[Node], Kind],
    arms: Sequence[str],
    kinds: Mapping[str, Kind],
    values: Mapping[str, Any],
    rows: int,
) -> Any:
    """Return a checked formula's values over n rows.

    Args:
        node: The formula.
        kind_of: Kind of each node.
        arms: Arm names, k of them.
        kinds: Kind of each name that is read.
        values: Name to column: numbers of shape (n,) or one for all, texts and truths of shape (n,), by arm of shape
            (n, k), or k numbers for all.
        rows: n.

    Returns:
        Shape (n,), or (n, k) by arm and for shares; of a structured value, field to array.
    """
    out = _room(node, kind_of, len(arms), rows)
    columns = {name: _array(kind, values[name]) for name, kind in kinds.items()}
    with np.errstate(all="ignore"):
        for start in range(0, rows, CHUNK):
            end = min(start + CHUNK, rows)
            here = {
                name: column[start:end] if np.ndim(column) > (kinds[name] in ("arms", "shares")) else column
                for name, column in columns.items()
            }
            evaluator = _Evaluator(kind_of, arms, here, end - start)
            if isinstance(node, Record):
                for name, value in zip(node.names, node.values, strict=True):
                    out[name][start:end] = evaluator.value(value)
            else:
                out[start:end] = evaluator.value(node)
    return out


def _room(node: Node, kind_of: Callable[[Node], Kind], arms: int, rows: int) -> Any:
    """Return empty arrays for a formula's values."""
    if isinstance(node, Record):
        return {name: _room(value, kind_of, arms, rows) for name, value in zip(node.names, node.values, strict=True)}
    kind = kind_of(node)
    types: dict[str, Any] = {"truth": np.bool_, "choice": np.intp, "text": object}
    return np.empty((rows, arms) if kind in ("arms", "shares") else rows, dtype=types.get(kind, np.float64))


def _array(kind: Kind, value: Any) -> Any:
    """Return a column as the array of its kind; one text for all rows as it is."""
    if isinstance(value, str):
        return value
    types: dict[Kind, Any] = {"text": object, "truth": np.bool_, "choice": np.intp}
    return np.asarray(value, dtype=types.get(kind, np.float64))


class _Evaluator:
    """Evaluates nodes over one chunk."""

    def __init__(
        self, kind_of: Callable[[Node], Kind], arms: Sequence[str], values: Mapping[str, Any], rows: int
    ) -> None:
        self.kind_of = kind_of
        self.arms = tuple(arms)
        self._values = values
        self._rows = rows

    def value(self, node: Node) -> Any:
        """Return a node's value."""
        if isinstance(node, Number | Text | Truth):
            return node.value
        if isinstance(node, Name):
            return self._values[node.name]
        evaluators: dict[type[Node], Callable[[Any], Any]] = {
            Arm: self._arm,
            Unary: self._unary,
            Binary: self._binary,
            Compare: self._compare,
            Member: self._member,
            Logic: self._logic,
            Choose: self._choose,
            Call: self._call,
        }
        return evaluators[type(node)](node)

    def _arm(self, node: Arm) -> Any:
        return np.intp(self.arms.index(node.name))

    def _unary(self, node: Unary) -> Any:
        value = self.value(node.value)
        return np.logical_not(value) if node.sign == "not" else np.negative(value)

    def _binary(self, node: Binary) -> Any:
        steps = spine(node)
        found, kind = self.value(steps[0].left), self.kind_of(steps[0].left)
        for step in steps:
            wide = self.kind_of(step)
            left = _column(found) if wide != kind else found
            (right,) = self._level(step, step.right)
            found, kind = _calculated(step.sign, left, right), wide
        return found

    def _logic(self, node: Logic) -> Any:
        join = np.logical_and if node.sign == "and" else np.logical_or
        found = self.value(node.values[0])
        for value in node.values[1:]:
            found = join(found, self.value(value))
        return found

    def _level(self, whole: Node, *nodes: Node) -> list[Any]:
        """Return the values of nodes; where the whole is by arm, numbers stand for every arm."""
        wide = self.kind_of(whole) == "arms"
        out = []
        for node in nodes:
            value = self.value(node)
            out.append(_column(value) if wide and self.kind_of(node) == "number" else value)
        return out

    def _compare(self, node: Compare) -> Any:
        values = [self.value(value) for value in node.values]
        text = self.kind_of(node.values[0]) == "text"
        found: Any = True
        for sign, left, right in zip(node.signs, values, values[1:], strict=False):
            found = np.logical_and(
                found, _COMPARISONS[sign](_texts(left), _texts(right)) if text else _COMPARISONS[sign](left, right)
            )
        if any(sign in ("==", "!=") for sign in node.signs):
            for value in values:
                found = np.logical_and(found, _there(value, text))
        return np.asarray(found, dtype=np.bool_)

    def _member(self, node: Member) -> Any:
        text = isinstance(node.among[0], Text)
        value = self.value(node.value)
        found: Any = False
        for item in node.among:
            found = np.logical_or(found, np.equal(_texts(value), item.value) if text else np.equal(value, item.value))
        found = np.asarray(found, dtype=np.bool_)
        return np.logical_and(_there(value, text), np.logical_not(found) if node.negated else found)

    def _choose(self, node: Choose) -> Any:
        test, kind = np.asarray(self.value(node.test), dtype=np.bool_), self.kind_of(node)
        sides = []
        for side in (node.then, node.otherwise):
            (value,) = self._level(node, side)
            if kind == "shares" and self.kind_of(side) == "choice":
                value = epsilon_all(np.broadcast_to(value, self._rows), 0.0, len(self.arms))
            sides.append(value)
        if kind in ("arms", "shares") and test.ndim:
            test = test[:, None]
        if kind == "text":
            sides = [np.asarray(side, dtype=object) for side in sides]
        return np.where(test, *sides)

    def _call(self, node: Call) -> Any:
        name = node.name
        if name in ("argmax", "best_arm", "uniform", "softmax", "inverse_gap", "thompson", "epsilon"):
            return self._of_arms(node)
        if name == "missing":
            text = self.kind_of(node.values[0]) == "text"
            return np.logical_not(_there(self.value(node.values[0]), text))
        if name == "at_least":
            return np.asarray(_all_at_least(*(_texts(self.value(value)) for value in node.values)), dtype=np.bool_)
        values = self._level(node, *node.values)
        if name in ("min", "max"):
            found = values[0]
            for value in values[1:]:
                found = _extreme(found, name, value)
            return found
        if name == "clip":
            return _extreme(_extreme(values[0], "max", values[1]), "min", values[2])
        return self._elementary(name, values[0])

    def _of_arms(self, node: Call) -> Any:
        name, arms = node.name, len(self.arms)
        if name in ("argmax", "best_arm"):
            value = self.value(node.values[0])
            net = np.subtract(value, self.value(node.values[1])) if len(node.values) > 1 else value
            return argmax_all(self._wide(net))
        if name == "uniform":
            return np.full((self._rows, arms), 1.0 / arms)
        first, second = (self.value(value) for value in node.values)
        if name in ("softmax", "inverse_gap"):
            return (softmax_all if name == "softmax" else inverse_gap_all)(self._wide(first), second)
        if name == "thompson":
            return thompson_all(self._wide(first), self._wide(second))
        return epsilon_all(np.broadcast_to(first, self._rows), second, arms)

    def _elementary(self, name: str, value: Any) -> Any:
        if name == "abs":
            return np.abs(value)
        array = np.asarray(value, dtype=np.float64)
        if name == "sqrt":
            return np.where(array >= 0.0, np.sqrt(array), np.nan)
        return (exp_all if name == "exp" else log_all)(array)

    def _wide(self, value: Any) -> Any:
        return np.broadcast_to(np.asarray(value, dtype=np.float64), (self._rows, len(self.arms)))


_all_at_least: Any = np.frompyfunc(at_least, 2, 1)


def _column(value: Any) -> Any:
    """Return one number for each row as one for each row and arm; what is the same for all rows as it is."""
    return value[:, None] if np.ndim(value) == 1 else value


def _calculated(sign: str, left: Any, right: Any) -> Any:
    if sign != "/":
        return _ARITHMETIC[sign](left, right)
    quotient = np.divide(left, right)
    return quotient if np.all(right) else np.where(np.equal(right, 0.0), np.nan, quotient)


def _texts(value: Any) -> Any:
    return value if isinstance(value, str) else np.asarray(value, dtype=object)


def _there(value: Any, text: bool) -> Any:
    """Return where a value is not missing."""
    if isinstance(value, str):
        return True
    nothing: Any = None
    return np.not_equal(np.asarray(value, dtype=object), nothing) if text else np.equal(value, value)


def _extreme(left: Any, name: str, right: Any) -> Any:
    """Return the lesser or greater of two values: the first of equals, NaN where either is."""
    quick: Any = (np.minimum if name == "min" else np.maximum)(left, right)
    if np.all(quick):
        return quick
    wins = (np.less_equal if name == "min" else np.greater_equal)(left, right)  # 0.0 and -0.0 are equal
    return np.where(np.logical_or(wins, np.not_equal(left, left)), left, right)
