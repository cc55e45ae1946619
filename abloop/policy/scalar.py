"""A checked formula as a Python function of one decision's values.

Source text is written from our own nodes alone: numbers by `repr`, texts by `repr`, names as `v0`, `v1` and so on.
Nothing a user wrote is evaluated as it stands.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from abloop.libm import exp, log
from abloop.policy.draws import argmax, epsilon, softmax, thompson
from abloop.policy.gaps import inverse_gap
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
    inner,
    spine,
)
from abloop.policy.versions import at_least

DEEPEST = 12  # nested brackets in a line of the source; what is deeper becomes a line of its own
_GLOBALS: dict[str, Any] = {
    "__builtins__": {},
    "nan": math.nan,
    "sqrt": math.sqrt,
    "exp": exp,
    "log": log,
    "argmax": argmax,
    "inverse_gap": inverse_gap,
    "softmax": softmax,
    "epsilon": epsilon,
    "thompson": thompson,
    "abs": abs,
    "at_least": at_least,
    "zip": zip,
    "tuple": tuple,
}


def compile_scalar(
    node: Node, kinds: Mapping[str, Kind], kind_of: Callable[[Node], Kind], arms: Sequence[str], reads: Sequence[str]
) -> Callable[..., Any]:
    """Return a checked formula as a function of the values it reads, by position.

    Args:
        node: The formula.
        kinds: Kind of each name.
        kind_of: Kind of each node.
        arms: Arm names.
        reads: Names in the order of the function's arguments.
    """
    writer = _Writer(kinds, kind_of, arms, reads)
    result = writer.write(node)
    arguments = ", ".join(f"v{index}" for index in range(len(reads)))
    entry = [f"    if v{index} is None: v{index} = nan" for index, name in enumerate(reads) if kinds[name] == "number"]
    lines = [f"def formula({arguments}):", *entry, *writer.lines, f"    return {result}"]
    found: dict[str, Any] = {}
    code = compile("\n".join(lines), "<formula>", "exec")
    exec(code, {**_GLOBALS, "even": (1.0 / len(arms),) * len(arms) if arms else None}, found)  # noqa: S102  # our own words around checked numbers and quoted texts
    function: Callable[..., Any] = found["formula"]
    return function


class _Writer:
    """Writes the source of each node.

    Numbers for each arm are written as a loop over the arms: its own lines are indented, and what is the same for
    every arm is kept on a line before it.

    Attributes:
        lines: Lines that come before the result.
    """

    def __init__(
        self, kinds: Mapping[str, Kind], kind_of: Callable[[Node], Kind], arms: Sequence[str], reads: Sequence[str]
    ) -> None:
        self._kinds = kinds
        self._kind_of = kind_of
        self._arms = tuple(arms)
        self._places = {name: f"v{index}" for index, name in enumerate(reads)}
        self._count = 0
        self._loop: list[str] = []
        self.lines: list[str] = []

    def write(self, node: Node) -> str:
        """Return the source of a node's value; of one number for each arm, a tuple."""
        if self._kind_of(node) != "arms":
            return self._value(node, {})
        return self._places[node.name] if isinstance(node, Name) else f"tuple({self._by_arm(node)})"

    def _new(self) -> str:
        self._count += 1
        return f"t{self._count}"

    def _keep(self, source: str, each: Mapping[str, str]) -> str:
        """Return a name for a value, on a line of its own; within a loop over arms, a line of the loop."""
        name = self._new()
        if each:
            self._loop.append(f"        {name} = {source}")
        else:
            self.lines.append(f"    {name} = {source}")
        return name

    def _by_arm(self, *nodes: Node) -> str:
        """Return the name of a list of one number for each arm; of two nodes, of their difference."""
        if len(nodes) == 1 and isinstance(nodes[0], Name):
            return self._places[nodes[0].name]
        read = dict.fromkeys(name for node in nodes for name in self._read_by_arm(node))
        each = {name: f"e{self._places[name][1:]}" for name in read}
        value = " - ".join(self._value(node, each) for node in nodes)
        sources = [self._places[name] for name in read]
        over = sources[0] if len(sources) == 1 else f"zip({', '.join(sources)})"
        arms = ", ".join(each.values())
        if not self._loop:
            return self._keep(f"[{value} for {arms} in {over}]", {})
        name = self._keep("[]", {})
        self.lines += [f"    for {arms} in {over}:", *self._loop, f"        {name} += [{value}]"]
        self._loop = []
        return name

    def _read_by_arm(self, node: Node) -> list[str]:
        found, todo = [], [node]
        while todo:
            here = todo.pop()
            if isinstance(here, Name) and self._kinds[here.name] == "arms":
                found.append(here.name)
            todo.extend(reversed(inner(here)))
        return found

    def _value(self, node: Node, each: dict[str, str]) -> str:
        """Return the source of a value; within a loop over arms, of one arm's."""
        if each and self._kind_of(node) != "arms":
            if isinstance(node, Number | Text | Truth | Name):
                return self._source(node, {})
            return self._keep(self._value(node, {}), {})  # the same for every arm
        return self._flat(self._source(node, each), each)

    def _flat(self, source: str, each: dict[str, str]) -> str:
        """Return a source, on a line of its own where its brackets are deep: Python's parser takes 200 of them."""
        deep = deepest = 0
        for letter in source:
            deep += (letter == "(") - (letter == ")")
            deepest = max(deepest, deep)
        return self._keep(source, each) if deepest > DEEPEST else source

    def _source(self, node: Node, each: dict[str, str]) -> str:
        if isinstance(node, Number):
            return repr(node.value) if node.value >= 0 else f"({node.value!r})"
        if isinstance(node, Text | Truth):
            return repr(node.value)
        if isinstance(node, Name):
            return each.get(node.name, self._places[node.name])
        writers: dict[type[Node], Callable[[Any, dict[str, str]], str]] = {
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
        return writers[type(node)](node, each)

    def _arm(self, node: Arm, _: dict[str, str]) -> str:
        return str(self._arms.index(node.name))

    def _unary(self, node: Unary, each: dict[str, str]) -> str:
        return f"({'not ' if node.sign == 'not' else '-'}{self._value(node.value, each)})"

    def _member(self, node: Member, _: dict[str, str]) -> str:
        listed = "".join(f"{item.value!r}, " for item in node.among)
        name = self._keep(self._value(node.value, {}), {})
        there = f"{name} is not None" if isinstance(node.among[0], Text) else f"{name} == {name}"
        return f"({there} and {name} {'not in' if node.negated else 'in'} ({listed}))"

    def _logic(self, node: Logic, _: dict[str, str]) -> str:
        return "(" + f" {node.sign} ".join(self._value(value, {}) for value in node.values) + ")"

    def _record(self, node: Record, _: dict[str, str]) -> str:
        fields = [f"{name!r}: {self._value(value, {})}" for name, value in zip(node.names, node.values, strict=True)]
        return "{" + ", ".join(fields) + "}"

    def _binary(self, node: Binary, each: dict[str, str]) -> str:
        steps = spine(node)
        left = self._value(steps[0].left, each)
        for place, step in enumerate(steps):
            alike = bool(each) and self._kind_of(step) != "arms"  # so far the same for every arm
            scope = {} if alike else each
            left = self._flat(self._step(step, left, self._value(step.right, scope)), scope)
            if alike and self._kind_of(steps[place + 1]) == "arms":
                left = self._keep(left, {})
        return left

    def _step(self, step: Binary, left: str, right: str) -> str:
        if step.sign != "/":
            return f"({left} {step.sign} {right})"
        if isinstance(step.right, Number) and step.right.value:
            return f"({left} / {right})"
        name = self._new()
        return f"({left} / {name} if ({name} := {right}) else nan)"

    def _compare(self, node: Compare, _: dict[str, str]) -> str:
        values = [self._value(value, {}) for value in node.values]
        constant = [isinstance(value, Number | Text) for value in node.values]
        plain = all(sign not in ("==", "!=") for sign in node.signs)
        if plain:
            return "(" + values[0] + "".join(f" {s} {v}" for s, v in zip(node.signs, values[1:], strict=True)) + ")"
        names = [v if fixed else self._keep(v, {}) for v, fixed in zip(values, constant, strict=True)]
        parts = []
        text = self._kind_of(node.values[0]) == "text"
        for index, sign in enumerate(node.signs):
            parts.append(f"{names[index]} {sign} {names[index + 1]}")
        for name, fixed in zip(names, constant, strict=True):
            if not fixed:  # nothing is equal or unequal to what is missing
                parts.append(f"{name} is not None" if text else f"{name} == {name}")
        return "(" + " and ".join(parts) + ")"

    def _choose(self, node: Choose, each: dict[str, str]) -> str:
        test = self._value(node.test, {})
        if each:
            test = test if test.isidentifier() else self._keep(test, {})
        sides = []
        mixed = self._kind_of(node) == "shares"
        for side in (node.then, node.otherwise):
            if mixed and self._kind_of(side) == "choice":
                sides.append(f"epsilon({self._value(side, {})}, 0.0, {len(self._arms)})")
            else:
                sides.append(self._value(side, each))
        return f"({sides[0]} if {test} else {sides[1]})"

    def _call(self, node: Call, each: dict[str, str]) -> str:
        name = node.name
        if name in ("argmax", "best_arm", "softmax", "inverse_gap", "thompson"):
            return self._of_arms(node)
        if name == "uniform":
            return "even"
        values = [self._value(value, each) for value in node.values]
        if name in ("min", "max"):
            source = values[0]
            for value in values[1:]:
                source = self._extreme(source, "<=" if name == "min" else ">=", value, each)
            return source
        if name == "clip":
            low = self._extreme(values[0], ">=", values[1], each)
            return self._extreme(low, "<=", values[2], each)
        if name == "missing":
            (value,) = values
            if isinstance(node.values[0], Text):
                return "False"
            return f"({value} is None)" if self._kind_of(node.values[0]) == "text" else self._is_nan(value)
        if name == "sqrt":
            here = self._new()
            return f"(sqrt({here}) if ({here} := {values[0]}) >= 0.0 else nan)"
        if name == "epsilon":
            return f"epsilon({values[0]}, {values[1]}, {len(self._arms)})"
        return f"{name}({', '.join(values)})"

    def _is_nan(self, value: str) -> str:
        name = self._new()
        return f"(({name} := {value}) != {name})"

    def _extreme(self, left: str, sign: str, right: str, each: dict[str, str]) -> str:
        """Return the lesser or greater of two values: the first of equals, NaN where either is."""
        left, one, two = self._flat(left, each), self._new(), self._new()
        return f"({one} if ({one} := {left}) {sign} ({two} := {right}) or {one} != {one} else {two})"

    def _of_arms(self, node: Call) -> str:
        if node.name in ("argmax", "best_arm"):
            return f"argmax({self._by_arm(*node.values)})"
        sources = [self._by_arm(v) if self._kind_of(v) == "arms" else self._value(v, {}) for v in node.values]
        return f"{node.name}({', '.join(sources)})"
