"""What differs between two versions of a blueprint: field by field in words, and their texts side by side. Pure."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from functools import cache
from typing import Any

import msgspec

from abloop.blueprint import Blueprint
from abloop.blueprint.diff import Change, cannot_train_on, diff
from abloop.blueprint.schema import json_schema
from abloop.blueprint.yaml_write import readable, write
from server.numbers import DASH


class Row(msgspec.Struct, frozen=True):
    """One field that differs.

    Attributes:
        path: Where it stands.
        before: Its value before, as text.
        after: Its value after, as text.
        hint: What the field means.
        clash: Whether somebody else changed the same.
    """

    path: str
    before: str
    after: str
    hint: str
    clash: bool = False


class Pair(msgspec.Struct, frozen=True):
    """One line of two texts side by side; number 0 where a side has none.

    Attributes:
        kind: `same`, `changed`, `removed` or `added`.
        left: Number and text before.
        right: Number and text after.
    """

    kind: str
    left: tuple[int, str]
    right: tuple[int, str]


def rows(before: Blueprint, after: Blueprint, others: Sequence[Row] = ()) -> tuple[Row, ...]:
    """Return every field that differs, in words.

    Args:
        before: The older blueprint.
        after: The newer one.
        others: What somebody else changed of the older one meanwhile.
    """
    found = []
    for change in diff(before, after):
        old, new = _sides(change)
        clash = any(_meet(change.path, row.path) and (row.path, row.after) != (change.path, new) for row in others)
        found.append(Row(change.path, old, new, describe(change.path), clash))
    return tuple(found)


def _meet(path: str, other: str) -> bool:
    """Return whether two paths are one, or one of them is inside of the other."""
    short, long = sorted((path, other), key=len)
    return long == short or long.startswith((f"{short}.", f"{short}["))


def _sides(change: Change) -> tuple[str, str]:
    """Return a field before and after as text."""
    before, after = (DASH if value is None else flow(value) for value in (change.before, change.after))
    return before, after


def flow(value: Any) -> str:
    """Return a value as YAML in as few lines as it takes.

    Example:
        >>> flow({"name": "a", "cost": 0.5}), flow(3.0)
        ('{name: a, cost: 0.5}', '3')
    """
    text = write([value]).removesuffix("\n")
    return text[1:-1] if text.startswith("[") else text.removeprefix("- ")


def describe(path: str) -> str:
    """Return what a field means, as its docstring says it; empty for what has none.

    Example:
        >>> describe("experiment.holdout")[:14], describe("arms[green].cost")[:20]
        ('Share of units', 'Cost of one decision')
    """
    return _descriptions().get(
        re.sub(r"\[.*?\](?=[.\[]|$)", "[]", path.removesuffix(" (order)")).removesuffix("[]"), ""
    )


@cache
def _descriptions() -> dict[str, str]:
    """Return the description of every field by its path, each place in a list written as `[]`."""
    schema, found = json_schema(), {}

    def walk(node: dict[str, Any], path: str) -> None:
        for option in (node, *node.get("anyOf", ())):
            if "$ref" in option:
                inner = schema["$defs"][option["$ref"].rsplit("/", 1)[1]]
                for name, field in inner["properties"].items():
                    visit(name, field, path)
            if isinstance(option.get("items"), dict):
                walk(option["items"], f"{path}[]")

    def visit(name: str, field: dict[str, Any], path: str) -> None:
        place = f"{path}.{name}" if path else name
        found[place] = field.get("description", "")
        walk(field, place)

    for name, field in schema["properties"].items():
        visit(name, field, "")
    return found


def side_by_side(before: Blueprint, after: Blueprint) -> tuple[Pair, ...]:
    """Return the texts of two blueprints line by line."""
    old, new = (write(readable(blueprint)).splitlines() for blueprint in (before, after))
    found: list[Pair] = []
    for kind, low, high, start, stop in difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        for step in range(max(high - low, stop - start)):
            left = (low + step + 1, old[low + step]) if low + step < high else (0, "")
            right = (start + step + 1, new[start + step]) if start + step < stop else (0, "")
            word = (
                "same" if kind == "equal" else "changed" if left[0] and right[0] else "removed" if left[0] else "added"
            )
            found.append(Pair(word, left, right))
    return tuple(found)


def compatible(blueprint: Blueprint, rows_of: Blueprint, version: int) -> tuple[bool, str]:
    """Return whether a blueprint may learn from the rows of a version, and that in words."""
    reason = cannot_train_on(blueprint, rows_of)
    if reason:
        return False, f"starts without the rows of version {version}: {reason}"
    return True, f"may learn from the rows of version {version}"
