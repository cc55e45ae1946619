"""A checked formula over many decisions at once, by NumPy: the same bits as the function of one decision."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from abloop.libm import exp_all, log_all
from abloop.policy.draws import argmax_all, epsilon_all, softmax_all, thompson_all
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
)

CHUNK = 16_384  # rows; what a step leaves behind stays in the cache
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
    node: Node, kind_of: Callable[[Node], Kind], arms: Sequence[str], values: Mapping[str, Any], rows: int
) -> Any:
    """Return a checked formula's values over n rows.

    Args:
        node: The formula.
        kind_of: Kind of each node.
        arms: Arm names, k of them.
        values: Name to column: numbers of shape (n,) or one for all, texts of shape (n,), by arm of shape (n, k) or
            (k,).
        rows: n.

    Returns:
        Shape (n,), or (n, k) by arm and for shares; of a structured value, field to array.
    """
    parts = []
    with np.errstate(all="ignore"):
        for start in range(0, max(rows, 1), CHUNK):
            count = min(CHUNK, rows - start)
            here = {name: _part(value, start, count, rows) for name, value in values.items()}
            parts.append(_settle(_Evaluator(kind_of, arms, here, count), node, kind_of(node), count))
    if isinstance(node, Record):
        return {name: np.concatenate([part[name] for part in parts]) for name in node.names}
    return np.concatenate(parts)


def _part(value: Any, start: int, count: int, rows: int) -> Any:
    """Return the rows of a chunk; what is the same for all rows as it is."""
    if isinstance(value, np.ndarray) and value.ndim and len(value) == rows and not isinstance(value, tuple):
        return value[start : start + count]
    return np.asarray(value, dtype=np.float64) if isinstance(value, tuple | list) else value


def _settle(evaluator: _Evaluator, node: Node, kind: Kind, count: int) -> Any:
    """Return a chunk's values in full, also where they are the same for all rows."""
    if isinstance(node, Record):
        return {
            name: _settle(evaluator, value, evaluator.kind_of(value), count)
            for name, value in zip(node.names, node.values, strict=True)
        }
    value = evaluator.value(node)
    types: dict[str, Any] = {"truth": np.bool_, "choice": np.intp, "text": object}
    shape = (count, len(evaluator.arms)) if kind in ("arms", "shares") else (count,)
    return np.broadcast_to(np.asarray(value, dtype=types.get(kind, np.float64)), shape)


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
        if isinstance(node, Arm):
            return np.intp(self.arms.index(node.name))
        if isinstance(node, Unary):
            value = self.value(node.value)
            return np.logical_not(value) if node.sign == "not" else np.negative(value)
        if isinstance(node, Binary):
            left, right = self._level(node, node.left, node.right)
            if node.sign == "/":
                quotient = np.divide(left, right)
                zero = np.equal(right, 0.0)
                return np.where(zero, np.nan, quotient) if np.any(zero) else quotient
            return _ARITHMETIC[node.sign](left, right)
        if isinstance(node, Compare):
            return self._compare(node)
        if isinstance(node, Member):
            return self._member(node)
        if isinstance(node, Logic):
            join = np.logical_and if node.sign == "and" else np.logical_or
            found = self.value(node.values[0])
            for value in node.values[1:]:
                found = join(found, self.value(value))
            return found
        if isinstance(node, Choose):
            return self._choose(node)
        assert isinstance(node, Call)  # noqa: S101  # all other nodes came before
        return self._call(node)

    def _level(self, whole: Node, *nodes: Node) -> list[Any]:
        """Return the values of nodes; where the whole is by arm, numbers stand for every arm."""
        wide = self.kind_of(whole) == "arms"
        out = []
        for node in nodes:
            value = self.value(node)
            column = wide and self.kind_of(node) == "number" and np.ndim(value) == 1
            out.append(value[:, None] if column else value)
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
        name, arms = node.name, len(self.arms)
        if name in ("argmax", "best_arm"):
            net = node.values[0]
            if len(node.values) > 1:
                net = Binary(at=node.at, sign="-", left=node.values[0], right=node.values[1])
            return argmax_all(self._wide(self.value(net)))
        if name == "uniform":
            return np.full((self._rows, arms), 1.0 / arms)
        if name in ("softmax", "thompson", "epsilon"):
            first, second = (self.value(value) for value in node.values)
            if name == "softmax":
                return softmax_all(self._wide(first), second)
            if name == "thompson":
                return thompson_all(self._wide(first), self._wide(second))
            return epsilon_all(np.broadcast_to(first, self._rows), second, arms)
        if name == "missing":
            text = self.kind_of(node.values[0]) == "text"
            return np.logical_not(_there(self.value(node.values[0]), text))
        values = self._level(node, *node.values)
        if name in ("min", "max"):
            found = values[0]
            for value in values[1:]:
                found = _extreme(found, np.less_equal if name == "min" else np.greater_equal, value)
            return found
        if name == "clip":
            return _extreme(_extreme(values[0], np.greater_equal, values[1]), np.less_equal, values[2])
        return self._elementary(name, values[0])

    def _elementary(self, name: str, value: Any) -> Any:
        if name == "abs":
            return np.abs(value)
        array = np.asarray(value, dtype=np.float64)
        if name == "sqrt":
            return np.where(array >= 0.0, np.sqrt(array), np.nan)
        return (exp_all if name == "exp" else log_all)(array)

    def _wide(self, value: Any) -> Any:
        return np.broadcast_to(np.asarray(value, dtype=np.float64), (self._rows, len(self.arms)))


def _texts(value: Any) -> Any:
    return value if isinstance(value, str) else np.asarray(value, dtype=object)


def _there(value: Any, text: bool) -> Any:
    """Return where a value is not missing."""
    if isinstance(value, str):
        return True
    return np.not_equal(np.asarray(value, dtype=object), None) if text else np.equal(value, value)


def _extreme(left: Any, wins: Any, right: Any) -> Any:
    """Return the lesser or greater of two values: the first of equals, NaN where either is."""
    return np.where(np.logical_or(wins(left, right), np.not_equal(left, left)), left, right)
