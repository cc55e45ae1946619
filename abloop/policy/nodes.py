"""The formula language as data: its nodes, and how a mistake is shown. Knows no Python syntax."""

from __future__ import annotations

from typing import Literal

import msgspec

from abloop.errors import BlueprintError

Kind = Literal["number", "truth", "text", "arms", "choice", "shares", "record"]
PLACE = "policy.formula"
SHOWN = 100  # characters of a long line around the spot


class Spot(msgspec.Struct, frozen=True):
    """Where in the text a node stands: characters from `start` to before `end`."""

    start: int
    end: int


class Node(msgspec.Struct, frozen=True, kw_only=True):
    """Base of all nodes."""

    at: Spot


class Number(Node, frozen=True):
    """A number."""

    value: float


class Text(Node, frozen=True):
    """A text."""

    value: str


class Truth(Node, frozen=True):
    """True or False."""

    value: bool


class Name(Node, frozen=True):
    """Something that is read."""

    name: str


class Arm(Node, frozen=True):
    """One arm, by name."""

    name: str


class Unary(Node, frozen=True):
    """`-x` or `not x`."""

    sign: Literal["-", "not"]
    value: Node


class Binary(Node, frozen=True):
    """Arithmetic."""

    sign: Literal["+", "-", "*", "/"]
    left: Node
    right: Node


class Compare(Node, frozen=True):
    """`a < b <= c`: values and the signs between them."""

    values: tuple[Node, ...]
    signs: tuple[str, ...]


class Member(Node, frozen=True):
    """`x in (...)` or `x not in (...)`."""

    value: Node
    among: tuple[Number | Text, ...]
    negated: bool


class Logic(Node, frozen=True):
    """`a and b and c`, or `or`."""

    sign: Literal["and", "or"]
    values: tuple[Node, ...]


class Choose(Node, frozen=True):
    """`then if test else otherwise`."""

    test: Node
    then: Node
    otherwise: Node


class Call(Node, frozen=True):
    """A function of the language."""

    name: str
    values: tuple[Node, ...]


class Record(Node, frozen=True):
    """`{'field': value, ...}`."""

    names: tuple[str, ...]
    values: tuple[Node, ...]


def inner(node: Node) -> tuple[Node, ...]:
    """Return the nodes directly inside a node, in the order of the text."""
    if isinstance(node, Unary):
        return (node.value,)
    if isinstance(node, Binary):
        return (node.left, node.right)
    if isinstance(node, Compare | Logic | Call | Record):
        return node.values
    if isinstance(node, Member):
        return (node.value,)
    return (node.then, node.test, node.otherwise) if isinstance(node, Choose) else ()


def spine(node: Binary) -> list[Binary]:
    """Return a sum or product of any length as its steps, innermost first: it is walked, not descended into."""
    steps = [node]
    while isinstance(steps[-1].left, Binary):
        steps.append(steps[-1].left)
    return steps[::-1]


def mistake(text: str, at: Spot | None, said: str) -> BlueprintError:
    """Return the error for a spot of a formula, with a caret under it.

    Example:
        >>> print(mistake("a + b", Spot(start=4, end=5), "unknown name 'b'"))
        policy.formula, column 5: unknown name 'b'
          a + b
              ^
    """
    if at is None:
        return BlueprintError(f"{PLACE}: {said}", place=PLACE)
    begin = text.rfind("\n", 0, at.start) + 1
    end = text.find("\n", at.start)
    line, column = text[begin : end if end >= 0 else len(text)], at.start - begin
    row = text.count("\n", 0, at.start)
    where = f"line {row + 1}, column {column + 1}" if "\n" in text.strip("\n") else f"column {column + 1}"
    cut = max(0, min(column - SHOWN // 2, len(line) - SHOWN))
    shown = line[cut : cut + SHOWN]
    carets = "^" * max(1, min(at.end - at.start, len(shown) - (column - cut)))
    return BlueprintError(f"{PLACE}, {where}: {said}\n  {shown}\n  {' ' * (column - cut)}{carets}", place=PLACE)
