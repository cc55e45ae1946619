"""Text to nodes. Limits are checked before anything is parsed, and only what is listed here gets through.

The grammar is the expressions of Python that the standard library's `ast` gives, less all but a few of them:
every node is rebuilt as one of our own, so that nothing that is not understood can be evaluated.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Callable
from typing import Any

from abloop.errors import BlueprintError, unknown
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
    Spot,
    Text,
    Truth,
    Unary,
    mistake,
)
from abloop.policy.scan import scan

MOST_CHARACTERS = 4_096
MOST_NODES = 500
MOST_DEPTH = 32
MOST_NAMES = 64
MOST_TEXT = 200
FUNCTIONS = (
    "abs",
    "argmax",
    "arm",
    "at_least",
    "best_arm",
    "clip",
    "epsilon",
    "exp",
    "feature",
    "inverse_gap",
    "log",
    "max",
    "min",
    "missing",
    "softmax",
    "sqrt",
    "thompson",
    "uniform",
)
_ARITHMETIC: dict[type, Any] = {ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/"}
_COMPARISONS: dict[type, str] = {
    ast.Lt: "<",
    ast.LtE: "<=",
    ast.Gt: ">",
    ast.GtE: ">=",
    ast.Eq: "==",
    ast.NotEq: "!=",
}
_ADVICE: dict[type, str] = {
    ast.Subscript: "brackets read nothing here; name a feature, a label or a weight",
    ast.Starred: "a star is not allowed here",
    ast.Set: "a set is not allowed here; use x in (1, 2)",
    ast.Tuple: "a list stands only after in: x in (1, 2)",
    ast.List: "a list stands only after in: x in (1, 2)",
}


def parse(text: str) -> Node:
    """Return a formula as nodes.

    Args:
        text: At most 4,096 characters.

    Raises:
        BlueprintError: With a caret under what is not allowed.

    Example:
        >>> type(parse("1 + 2")).__name__
        'Binary'
    """
    if type(text) is not str or not text.strip():
        raise mistake("", None, "is empty; allowed: an expression, e.g. best_arm(effect, cost)")
    if len(text) > MOST_CHARACTERS:
        raise mistake("", None, f"has {len(text):,} characters; allowed: {MOST_CHARACTERS:,}")
    scan(text)
    flat = text.replace("\n", " ")
    body = flat.lstrip()
    try:
        tree = ast.parse(body, mode="eval").body
    except SyntaxError as error:
        raise mistake(text, _spot(text, error.offset or 0, len(flat) - len(body)), _why(error)) from None
    except (ValueError, MemoryError, RecursionError, OverflowError):
        raise mistake("", None, "is too deep or holds a number that is too long; make it simpler") from None
    return _Builder(text, len(flat) - len(body)).build(tree)


def _spot(text: str, offset: int, shift: int) -> Spot:
    """Return where the parser stumbled; it says nothing where the text ends too early."""
    last = len(text.rstrip())
    start = min(offset - 1 + shift, last) if offset else last
    return Spot(start=start, end=start + 1)


def _why(error: SyntaxError) -> str:
    said = "" if error.msg.startswith("invalid syntax") else f": {error.msg}"
    return f"cannot be read from here{said}; a value, a sign or a bracket is missing or too many"


class _Builder:
    """Rebuilds a syntax tree from our own nodes, counting as it goes.

    Args:
        text: The formula.
        shift: Characters before the parsed part.
    """

    def __init__(self, text: str, shift: int) -> None:
        self._text = text
        self._shift = shift
        self._bytes = text.replace("\n", " ")[shift:].encode("utf-8", "surrogatepass")
        self._nodes = 0
        self._names: set[str] = set()

    def build(self, tree: ast.expr, depth: int = 1) -> Node:
        """Return a tree as a node."""
        at = self._at(tree)
        self._nodes += 1
        if self._nodes > MOST_NODES:
            raise mistake(self._text, at, f"the formula has more than {MOST_NODES} parts; make it simpler")
        if depth > MOST_DEPTH:
            raise mistake(self._text, at, f"the formula is more than {MOST_DEPTH} levels deep; make it simpler")
        if isinstance(tree, ast.BinOp):
            return self._chain(tree, depth)
        if isinstance(tree, ast.Constant):
            return self._constant(tree.value, at)
        if isinstance(tree, ast.Name):
            return self._name(tree.id, at)
        builders: dict[type[ast.expr], Callable[[Any, Spot, int], Node]] = {
            ast.UnaryOp: self._unary,
            ast.Compare: self._compare,
            ast.BoolOp: self._logic,
            ast.IfExp: self._choose,
            ast.Call: self._call,
            ast.Dict: self._record,
        }
        if type(tree) not in builders:
            raise mistake(self._text, at, _ADVICE.get(type(tree), f"{type(tree).__name__} is not allowed here"))
        return builders[type(tree)](tree, at, depth)

    def _logic(self, tree: ast.BoolOp, at: Spot, depth: int) -> Node:
        values = tuple(self.build(value, depth + 1) for value in tree.values)
        return Logic(at=at, sign="and" if isinstance(tree.op, ast.And) else "or", values=values)

    def _choose(self, tree: ast.IfExp, at: Spot, depth: int) -> Node:
        test, then, otherwise = (self.build(part, depth + 1) for part in (tree.test, tree.body, tree.orelse))
        return Choose(at=at, test=test, then=then, otherwise=otherwise)

    def _chain(self, tree: ast.BinOp, depth: int) -> Node:
        """Return a sum or product of any length; its terms are one level deep."""
        parts: list[ast.BinOp] = []
        left: ast.expr = tree
        while isinstance(left, ast.BinOp):
            parts.append(left)
            left = left.left
        self._nodes += len(parts) - 1
        node = self.build(left, depth + 1)
        for part in reversed(parts):
            sign = _ARITHMETIC[type(part.op)]  # the scan lets no other sign pass
            node = Binary(at=self._at(part), sign=sign, left=node, right=self.build(part.right, depth + 1))
        return node

    def _constant(self, value: object, at: Spot) -> Node:
        if isinstance(value, bool):
            return Truth(at=at, value=value)
        if isinstance(value, int | float):
            try:
                number = float(value)
            except OverflowError:
                number = math.inf
            if not math.isfinite(number):
                raise mistake(self._text, at, "is too large for a number")
            return Number(at=at, value=number)
        if isinstance(value, str):
            if len(value) > MOST_TEXT:
                raise mistake(self._text, at, f"a text of {len(value)} characters; allowed: {MOST_TEXT}")
            return Text(at=at, value=value)
        raise mistake(self._text, at, f"{value!r:.40} is not allowed; allowed: numbers, texts, True and False")

    def _name(self, name: str, at: Spot) -> Name:
        if len(name) > MOST_TEXT:
            raise mistake(self._text, at, f"a name of {len(name)} characters; allowed: {MOST_TEXT}")
        self._names.add(name)
        if len(self._names) > MOST_NAMES:
            raise mistake(self._text, at, f"the formula reads more than {MOST_NAMES} names")
        return Name(at=at, name=name)

    def _unary(self, tree: ast.UnaryOp, at: Spot, depth: int) -> Node:
        if isinstance(tree.op, ast.UAdd):
            raise mistake(self._text, at, "+ is not allowed before a value; leave it out")
        return Unary(
            at=at, sign="-" if isinstance(tree.op, ast.USub) else "not", value=self.build(tree.operand, depth + 1)
        )

    def _compare(self, tree: ast.Compare, at: Spot, depth: int) -> Node:
        if len(tree.ops) == 1 and isinstance(tree.ops[0], ast.In | ast.NotIn):
            return self._member(tree, at, depth)
        if any(type(sign) not in _COMPARISONS for sign in tree.ops):
            raise mistake(self._text, at, "in stands between one value and one list; join two of them by and")
        signs = [_COMPARISONS[type(sign)] for sign in tree.ops]
        values = tuple(self.build(value, depth + 1) for value in (tree.left, *tree.comparators))
        return Compare(at=at, values=values, signs=tuple(signs))

    def _member(self, tree: ast.Compare, at: Spot, depth: int) -> Node:
        listed = tree.comparators[0]
        if not isinstance(listed, ast.Tuple | ast.List):
            raise mistake(self._text, self._at(listed), "allowed after in: a list, e.g. country in ('FI', 'SE')")
        among: list[Number | Text] = []
        for item in listed.elts:
            value = self.build(item, depth + 1)
            if isinstance(value, Unary) and isinstance(value.value, Number) and value.sign == "-":
                value = Number(at=value.at, value=-value.value.value)
            if not isinstance(value, Number | Text) or type(value) is not type(among[0] if among else value):
                raise mistake(self._text, value.at, "allowed in a list: numbers, or texts in quotes")
            among.append(value)
        if not among:
            raise mistake(self._text, self._at(listed), "the list is empty")
        negated = isinstance(tree.ops[0], ast.NotIn)
        return Member(at=at, value=self.build(tree.left, depth + 1), among=tuple(among), negated=negated)

    def _call(self, tree: ast.Call, at: Spot, depth: int) -> Node:
        if not isinstance(tree.func, ast.Name):
            raise mistake(self._text, self._at(tree.func), _ADVICE.get(type(tree.func), "this cannot be called"))
        name = tree.func.id
        if name not in FUNCTIONS:
            raise self._unknown_function(name, self._at(tree.func))
        if tree.keywords:  # only two stars get past the scan
            raise mistake(self._text, at, f"{name}() takes its values by position, without names")
        if name in ("arm", "feature"):
            return self._quoted(name, tree, at)
        return Call(at=at, name=name, values=tuple(self.build(value, depth + 1) for value in tree.args))

    def _quoted(self, name: str, tree: ast.Call, at: Spot) -> Node:
        values = [value.value if isinstance(value, ast.Constant) else None for value in tree.args]
        if len(values) != 1 or not isinstance(values[0], str):
            raise mistake(self._text, at, f"{name}() takes one name in quotes, e.g. {name}('blue')")
        return Arm(at=at, name=values[0]) if name == "arm" else self._name(values[0], at)

    def _record(self, tree: ast.Dict, at: Spot, depth: int) -> Node:
        names: list[str] = []
        if not tree.keys:
            raise mistake(self._text, at, "a structured value without fields; allowed: {'bitrate': 800, 'hd': True}")
        for key in tree.keys:
            value = key.value if isinstance(key, ast.Constant) else None
            if not isinstance(value, str) or value in names or len(value) > MOST_TEXT:
                raise mistake(
                    self._text, at, "fields are named once each, by short texts: {'bitrate': 800, 'hd': True}"
                )
            names.append(value)
        values = tuple(self.build(value, depth + 1) for value in tree.values)
        return Record(at=at, names=tuple(names), values=values)

    def _at(self, tree: ast.expr) -> Spot:
        """Return where a tree stands, in characters of the text."""
        start = len(self._bytes[: tree.col_offset].decode("utf-8", "replace")) + self._shift
        end = len(self._bytes[: tree.end_col_offset or 0].decode("utf-8", "replace")) + self._shift
        return Spot(start=start, end=end)

    def _unknown_function(self, name: str, at: Spot) -> BlueprintError:
        return mistake(self._text, at, unknown("function", name, FUNCTIONS))
