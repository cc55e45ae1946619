"""What kind of value each part of a formula has, and what does not fit together. Knows no evaluation."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from abloop.errors import BlueprintError, unknown
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
    mistake,
    spine,
)

_SIGNATURES: dict[str, tuple[tuple[tuple[Kind, ...], ...], Kind | None, int]] = {
    # name: kinds allowed at each place, kind of the result (None: as the values), places that must be filled
    "abs": ((("number", "arms"),), None, 1),
    "exp": ((("number", "arms"),), None, 1),
    "log": ((("number", "arms"),), None, 1),
    "sqrt": ((("number", "arms"),), None, 1),
    "clip": ((("number", "arms"), ("number", "arms"), ("number", "arms")), None, 3),
    "missing": ((("number", "text"),), "truth", 1),
    "at_least": ((("text",), ("text",)), "truth", 2),
    "argmax": ((("arms",),), "choice", 1),
    "best_arm": ((("arms",), ("arms",)), "choice", 1),
    "softmax": ((("arms",), ("number",)), "shares", 2),
    "epsilon": ((("choice",), ("number",)), "shares", 2),
    "inverse_gap": ((("arms",), ("number",)), "shares", 2),
    "thompson": ((("arms",), ("arms",)), "shares", 2),
    "uniform": ((), "shares", 0),
}
SAID = 40  # characters of a formula that a sentence repeats
_WORDS: dict[Kind, str] = {
    "number": "a number",
    "truth": "true or false",
    "text": "a text",
    "arms": "one number for each arm",
    "choice": "an arm",
    "shares": "shares of the arms",
    "record": "a structured value",
}


class Checker:
    """Finds the kind of every node.

    Args:
        text: The formula, for messages.
        names: What may be read, and as what.
        arms: Arm names.
    """

    def __init__(self, text: str, names: Mapping[str, Kind], arms: Sequence[str]) -> None:
        self._text = text
        self._names = names
        self._arms = arms
        self._known: dict[int, tuple[Node, Kind]] = {}

    def kind(self, node: Node) -> Kind:
        """Return the kind of a node's value.

        Raises:
            BlueprintError: With a caret under what does not fit.
        """
        if id(node) not in self._known:
            self._known[id(node)] = node, self._find(node)
        return self._known[id(node)][1]

    def _find(self, node: Node) -> Kind:
        plain: dict[type[Node], Kind] = {Number: "number", Text: "text", Truth: "truth"}
        if type(node) in plain:
            return plain[type(node)]
        finders: dict[type[Node], Callable[[Any], Kind]] = {
            Name: self._name,
            Arm: self._arm,
            Unary: self._unary,
            Binary: self._binary,
            Compare: self._compare,
            Member: self._member,
            Logic: self._logic,
            Choose: self._choose,
            Record: self._record,
            Call: self._call,
        }
        return finders[type(node)](node)

    def _unary(self, node: Unary) -> Kind:
        allowed: tuple[Kind, ...] = ("truth",) if node.sign == "not" else ("number", "arms")
        return self._expect(node.value, allowed, f"after {node.sign}")

    def _binary(self, node: Binary) -> Kind:
        for step in spine(node)[:-1]:
            self.kind(step)  # innermost first, so that what is to the left is always known
        kinds = [self._expect(side, ("number", "arms"), f"beside {node.sign}") for side in (node.left, node.right)]
        return "arms" if "arms" in kinds else "number"

    def _logic(self, node: Logic) -> Kind:
        for value in node.values:
            self._expect(value, ("truth",), f"beside {node.sign}")
        return "truth"

    def _record(self, node: Record) -> Kind:
        for value in node.values:
            self._expect(value, ("number", "truth", "text"), "in a field")
        return "record"

    def _name(self, node: Name) -> Kind:
        if node.name not in self._names:
            raise mistake(self._text, node.at, unknown("name", node.name, self._names))
        return self._names[node.name]

    def _arm(self, node: Arm) -> Kind:
        if node.name not in self._arms:
            raise mistake(self._text, node.at, unknown("arm", node.name, self._arms))
        return "choice"

    def _expect(self, node: Node, allowed: Sequence[Kind], where: str) -> Kind:
        kind = self.kind(node)
        if kind in allowed:
            return kind
        wanted = " or ".join(_WORDS[option] for option in allowed)
        said = " ".join(self._text[node.at.start : node.at.end].split())
        hint = ""
        if kind == "arms":
            hint = f"; use argmax({said if len(said) < SAID else '...'})"
        elif kind == "number" and allowed == ("truth",):
            hint = "; write a comparison, e.g. x > 0"
        elif kind == "text" and "choice" in allowed:
            hint = "; an arm is named by arm('NAME')"
        subject = f"{said} is" if len(said) < SAID else "this is"
        raise mistake(self._text, node.at, f"{subject} {_WORDS[kind]}; allowed {where}: {wanted}{hint}")

    def _compare(self, node: Compare) -> Kind:
        first = self._expect(node.values[0], ("number", "text"), "in a comparison")
        for sign, value in zip(node.signs, node.values[1:], strict=True):
            self._expect(value, (first,), f"beside {_WORDS[first]}")
            if first == "text" and sign not in ("==", "!="):
                raise mistake(self._text, node.at, f"texts are compared by == and !=, not by {sign}")
        return "truth"

    def _member(self, node: Member) -> Kind:
        kind: Kind = "number" if isinstance(node.among[0], Number) else "text"
        self._expect(node.value, (kind,), "before this list")
        return "truth"

    def _choose(self, node: Choose) -> Kind:
        self._expect(node.test, ("truth",), "after if")
        kinds = {self.kind(node.then), self.kind(node.otherwise)}
        if kinds == {"record"}:
            raise mistake(self._text, node.at, "a structured value is not chosen as a whole; choose within its fields")
        if len(kinds) == 1:
            return kinds.pop()
        for mixed, result in (({"number", "arms"}, "arms"), ({"choice", "shares"}, "shares")):
            if kinds == mixed:
                return result  # type: ignore[return-value]
        then, otherwise = (_WORDS[self.kind(side)] for side in (node.then, node.otherwise))
        raise mistake(self._text, node.at, f"gives {then} or else {otherwise}; both sides must be of one kind")

    def _call(self, node: Call) -> Kind:
        name, count = node.name, len(node.values)
        if name in ("min", "max"):
            if count < 2:
                raise self._count(node, "two values or more")
            kinds = [self._expect(value, ("number", "arms"), f"in {name}()") for value in node.values]
            return "arms" if "arms" in kinds else "number"
        places, result, least = _SIGNATURES[name]
        if not least <= count <= len(places):
            wanted = str(least) if least == len(places) else f"{least} to {len(places)}"
            raise self._count(node, f"{wanted} value{'' if wanted == '1' else 's'}")
        if not self._arms and (result in ("choice", "shares")):
            raise mistake(self._text, node.at, f"{name}() needs arms, and this decision space has none")
        kinds = [
            self._expect(value, allowed, f"in {name}()") for value, allowed in zip(node.values, places, strict=False)
        ]
        return result or ("arms" if "arms" in kinds else "number")

    def _count(self, node: Call, wanted: str) -> BlueprintError:
        count = len(node.values)
        return mistake(
            self._text, node.at, f"{node.name}() has {count} value{'' if count == 1 else 's'}; allowed: {wanted}"
        )
