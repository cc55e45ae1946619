"""Targeting conditions, in three values: true, false, and None for what depends on something that is not known.

An operator or a kind of saved group that is newer than this file, and a regular expression that cannot be run in
linear time, is None: `$not` of it is None as well, so that nobody is targeted by what was not understood. What is
malformed raises; callers take that for a condition that is not met.
"""

from __future__ import annotations

import operator as op
from collections.abc import Callable, Iterable
from typing import Any, Final

from abloop.adapters.growthbook.limits import SLOW, Budget, deeper
from abloop.adapters.growthbook.members import contains, group_values
from abloop.adapters.growthbook.regex import found
from abloop.adapters.growthbook.values import deeply_same, is_number, kind, order, padded_version, path, same
from abloop.errors import DataError

Truth = bool | None
ON_ATTRIBUTES: Final = ("$or", "$nor", "$and", "$savedGroup")
ORDERS: Final[dict[str, Callable[[int, int], bool]]] = {"$lt": op.lt, "$lte": op.le, "$gt": op.gt, "$gte": op.ge}
VERSIONS: Final[dict[str, Callable[[str, str], bool]]] = {
    "$veq": op.eq,
    "$vne": op.ne,
    "$vlt": op.lt,
    "$vlte": op.le,
    "$vgt": op.gt,
    "$vgte": op.ge,
}
LISTS: Final = {"$in": (False, True), "$nin": (False, False), "$ini": (True, True), "$nini": (True, False)}
PATTERNS: Final = {
    "$regex": (False, True),
    "$regexi": (True, True),
    "$notRegex": (False, False),
    "$notRegexi": (True, False),
}


def opposite(truth: Truth) -> Truth:
    """Return not, where what is not known stays so."""
    return None if truth is None else not truth


def every(truths: Iterable[Truth]) -> Truth:
    """Return and: one that is false decides it."""
    result: Truth = True
    for truth in truths:
        if truth is False:
            return False
        if truth is None:
            result = None
    return result


def some(truths: Iterable[Truth]) -> Truth:
    """Return or: one that is true decides it."""
    result: Truth = False
    for truth in truths:
        if truth is True:
            return True
        if truth is None:
            result = None
    return result


class Reader:
    """Reads conditions for one evaluation.

    Args:
        groups: Saved groups by id: a list of values, or an object with a type.
        budget: What the evaluation may cost.
        odd: Is told what could not be understood, though the condition was read on.
    """

    __slots__ = ("_budget", "_groups", "_odd")

    def __init__(self, groups: Any, budget: Budget, odd: Callable[[Exception], None]) -> None:
        """Keep what conditions are read with."""
        self._groups = groups
        self._budget = budget
        self._odd = odd

    def met(self, attributes: Any, condition: Any, depth: int = 0, seen: frozenset[str] = frozenset()) -> Truth:
        """Return whether attributes meet a condition.

        Args:
            attributes: The attributes, or an element of a list of them.
            condition: Attribute paths to what is asked of them, and `$or`, `$nor`, `$and`, `$not`, `$savedGroup`.
            depth: Levels above this condition.
            seen: Saved groups that led here.

        Raises:
            DataError: The condition is too deep or takes too long.
        """
        self._budget.spend(1 + len(condition))
        depth, unknown = deeper(depth), False
        for key, value in condition.items():
            truth: Truth
            if key[:1] != "$":
                truth = self.value(value, path(attributes, key), depth, seen)
            else:
                truth = self._clause(key, attributes, value, depth, seen)
            if truth is False:
                return False
            unknown = unknown or truth is None
        return None if unknown else True

    def _clause(self, key: str, attributes: Any, value: Any, depth: int, seen: frozenset[str]) -> Truth:
        """Return whether attributes meet one entry of a condition that begins with a dollar."""
        if key in ("$or", "$nor"):
            truth = some(self.met(attributes, part, depth, seen) for part in value) if len(value) else True
            return truth if key == "$or" else opposite(truth)
        if key == "$and":
            return every(self.met(attributes, part, depth, seen) for part in value)
        if key == "$not":
            return opposite(self.met(attributes, value, depth, seen))
        if key == "$savedGroup":
            return self._saved_group(attributes, value, depth, seen)
        if key == "$savedGroups":
            return False
        return self.value(value, path(attributes, key), depth, seen)

    def _saved_group(self, attributes: Any, reference: Any, depth: int, seen: frozenset[str]) -> Truth:
        """Return whether attributes belong to a saved group; never, in a circle of groups."""
        name = reference.get("id") if isinstance(reference, dict) else None
        if not isinstance(name, str) or name in seen:
            return False
        if not isinstance(reference.get("attributeKey", ""), str):
            return False
        group = self._groups.get(name) if self._groups is not None else None
        if not isinstance(group, dict):
            return False
        if group.get("type") == "list":
            key, values = reference.get("attributeKey", group.get("attributeKey")), group.get("values")
            if not isinstance(key, str) or not isinstance(values, list):
                return False
            return contains(values, path(attributes, key), self._budget)
        if group.get("type") == "condition":
            condition = group.get("condition")
            return isinstance(condition, dict) and self.met(attributes, condition, depth, seen | {name})
        return None

    def value(self, wanted: Any, value: Any, depth: int, seen: frozenset[str], *, fold: bool = False) -> Truth:
        """Return whether a value is what is asked of it: operators, or a value that it equals."""
        if not isinstance(wanted, dict | list):
            if not fold and type(wanted) is str:
                return isinstance(value, str) and wanted == value
        elif isinstance(wanted, dict) and self._operators(wanted):
            depth = deeper(depth)
            result: Truth = True
            for key, asked in wanted.items():
                truth = self._operator(key, value, asked, depth, seen)
                if truth is False:
                    return False
                result = truth if truth is None else result
            return result
        if fold and isinstance(wanted, str) and isinstance(value, str):
            return wanted.lower() == value.lower()
        return deeply_same(wanted, value, self._budget)

    def _operators(self, wanted: dict[str, Any]) -> bool:
        """Return whether an object has operators only; an empty one has none that fails."""
        self._budget.spend(1 + len(wanted))
        for key in wanted:  # noqa: SIM110 - three times as fast as all(), and run for every attribute
            if not key.startswith("$"):
                return False
        return True

    def _operator(self, key: str, value: Any, asked: Any, depth: int, seen: frozenset[str]) -> Truth:
        """Return whether a value meets one operator."""
        self._budget.read(value, asked)
        simple = SIMPLE.get(key)
        if simple is not None:
            return simple(value, asked)
        if key in LISTS:
            fold, wanted = LISTS[key]
            return isinstance(asked, list) and contains(asked, value, self._budget, fold=fold) is wanted
        if key in ORDERS:
            way = order(value, asked)
            return way is not None and ORDERS[key](way, 0)
        if key in VERSIONS:
            if not _alike(value, asked):
                return key == "$vne"  # what is no version is not equal to one
            self._budget.spend(20)  # a version is taken apart
            return VERSIONS[key](padded_version(value), padded_version(asked))
        if key in PATTERNS:
            return self._pattern(key, value, asked)
        if key in ("$inGroup", "$notInGroup"):
            values = group_values(self._groups, asked)
            if not isinstance(values, list):
                return values
            return contains(values, value, self._budget) is (key == "$inGroup")
        return self._nested(key, value, asked, depth, seen)

    def _nested(self, key: str, value: Any, asked: Any, depth: int, seen: frozenset[str]) -> Truth:
        """Return whether a value meets an operator that holds further ones."""
        if key == "$not":
            return opposite(self.value(asked, value, depth, seen))
        if key == "$elemMatch":
            return isinstance(value, list) and self._element(asked, value, depth, seen)
        if key == "$size":
            return isinstance(value, list) and self.value(asked, len(value), depth, seen)
        if key in ("$all", "$alli"):
            if not isinstance(asked, list) or not isinstance(value, list):
                return False
            fold = key == "$alli"
            self._budget.look(len(asked) * len(value), each=SLOW)
            return every(some(self.value(one, item, depth, seen, fold=fold) for item in value) for one in asked)
        return False if key in ON_ATTRIBUTES else None

    def _element(self, asked: Any, items: list[Any], depth: int, seen: frozenset[str]) -> Truth:
        """Return whether an element of a list meets operators, or, where it has fields, a condition."""
        operators = isinstance(asked, dict) and self._operators(asked)
        self._budget.look(len(items))
        given = (item for item in items if item is not None)
        if operators and not any(key in ON_ATTRIBUTES for key in asked):
            return some(self.value(asked, item, depth, seen) for item in given)
        return some(self.met(item, asked, depth, seen) for item in given)

    def _pattern(self, key: str, value: Any, asked: Any) -> Truth:
        """Return whether a text has, or has not, a pattern; None where the pattern cannot be run."""
        fold, wanted = PATTERNS[key]
        if not isinstance(value, str):
            return not wanted
        try:
            if not isinstance(asked, str):
                raise DataError(f"{key} wants a regular expression, got {kind(asked)}")
            return found(asked, value, self._budget, insensitive=fold) is wanted
        except DataError as error:
            self._odd(error)
            return None


def _alike(one: Any, other: Any) -> bool:
    """Return whether two values are both texts or both numbers."""
    return (isinstance(one, str) and isinstance(other, str)) or (is_number(one) and is_number(other))


SIMPLE: Final[dict[str, Callable[[Any, Any], Truth]]] = {
    "$eq": same,
    "$ne": lambda value, asked: not same(value, asked),
    "$exists": lambda value, asked: (value is not None) is bool(asked),
    "$type": lambda value, asked: bool(kind(value) == asked),
}


def evaluate(attributes: Any, condition: Any, savedGroups: Any = None) -> bool:
    """Return whether attributes meet a condition. It never raises: what is malformed is not met.

    Args:
        attributes: The attributes.
        condition: The condition.
        savedGroups: Saved groups by id.

    Example:
        >>> evaluate({"country": "FI", "visits": 3}, {"country": {"$in": ["FI", "SE"]}, "visits": {"$gt": 2}})
        True
    """
    try:
        return Reader(savedGroups, Budget(), lambda _: None).met(attributes, condition) is True
    except Exception:  # law 1: product code never sees an exception
        return False
