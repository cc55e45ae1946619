"""A targeting condition as a formula in abloop's policy language, with the features that it reads.

Translated are equality, `$in`, `$nin`, `$ne`, comparisons of numbers, `$exists`, `$and`, `$or`, `$nor` and `$not`.
A formula that compares what is missing is false, a condition not always: where it is not, the formula says so.
"""

from __future__ import annotations

import keyword
import math
from collections.abc import Sequence
from typing import Any, Final

from abloop.adapters.growthbook.limits import deeper
from abloop.adapters.growthbook.values import is_number, kind
from abloop.blueprint.policy import ARM_NAMES
from abloop.errors import DataError
from abloop.policy.parse import FUNCTIONS

ORDERS: Final = {"$lt": "<", "$lte": "<=", "$gt": ">", "$gte": ">="}
TYPES: Final = {"string": "categorical", "number": "numeric", "boolean": "numeric"}
HOLDS: Final = {"<": "__gt__", "<=": "__ge__", ">": "__lt__", ">=": "__le__"}  # of the operand, against 0


class Translator:
    """Translates the conditions of one experiment.

    Args:
        types: Types of features that are declared already, by name.

    Attributes:
        types: Types of all features, declared and read: `numeric` or `categorical`.
        read: Features that the conditions read.
    """

    def __init__(self, types: dict[str, str]) -> None:
        """Start with what is declared."""
        self.types = dict(types)
        self.read: set[str] = set()

    def formula(self, condition: Any, depth: int = 0) -> str:
        """Return the formula of a condition; `True` for one that everybody meets.

        Raises:
            DataError: It cannot be said in the policy language.

        Example:
            >>> Translator({}).formula({"country": {"$in": ["FI", "SE"]}, "visits": {"$gt": 3}})
            "(country in ('FI', 'SE')) and (visits > 3)"
        """
        if not isinstance(condition, dict):
            raise DataError(f"a condition is an object, got {kind(condition)}")
        depth = deeper(depth)
        return _joined("and", [self._entry(key, value, depth) for key, value in condition.items()])

    def _entry(self, key: Any, value: Any, depth: int) -> str:
        """Return the formula of one entry of a condition."""
        if key in ("$and", "$or", "$nor"):
            if not isinstance(value, list):
                raise DataError(f"{key} wants a list, got {kind(value)}")
            parts = [self.formula(part, depth) for part in value]
            if key == "$and":
                return _joined("and", parts)
            either = _joined("or", parts) if parts else "True"
            return either if key == "$or" else _negated(either)
        if key == "$not":
            return _negated(self.formula(value, depth))
        if not isinstance(key, str) or key.startswith("$"):
            raise DataError(f"{key!s:.40} cannot be translated")
        if "." in key:
            raise DataError(f"attribute {key!r:.80} stands within another; abloop reads the first level only")
        return self._value(key, value, depth)

    def _value(self, name: str, asked: Any, depth: int) -> str:
        """Return the formula of what is asked of an attribute."""
        if isinstance(asked, dict) and all(isinstance(key, str) and key.startswith("$") for key in asked):
            depth = deeper(depth)
            return _joined("and", [self._operator(name, key, value, depth) for key, value in asked.items()])
        return self._equal(name, asked)

    def _operator(self, name: str, key: str, asked: Any, depth: int) -> str:
        """Return the formula of one operator."""
        if key == "$eq":
            return self._equal(name, asked)
        if key == "$ne":
            return _negated(self._equal(name, asked))
        if key in ("$in", "$nin"):
            if not isinstance(asked, list):
                raise DataError(f"{key} wants a list, got {kind(asked)}")
            return self._among(name, asked) if key == "$in" else _negated(self._among(name, asked))
        if key == "$exists":
            return f"not missing({self._name(name)})" if asked else f"missing({self._name(name)})"
        if key == "$not":
            return _negated(self._value(name, asked, depth))
        if key in ORDERS and is_number(asked):
            sign, number = ORDERS[key], self._literal(name, asked)
            plain = f"{self._name(name)} {sign} {number}"
            # A missing attribute counts as 0, in JavaScript and in GrowthBook's cases.
            return f"missing({self._name(name)}) or {plain}" if getattr(float(asked), HOLDS[sign])(0.0) else plain
        raise DataError(f"operator {key} with a {kind(asked)} cannot be translated")

    def _equal(self, name: str, asked: Any) -> str:
        """Return the formula of equality."""
        if asked is None:
            return f"missing({self._name(name)})"
        literal = self._literal(name, asked)
        return f"{self._name(name)} == {literal}"

    def _among(self, name: str, asked: list[Any]) -> str:
        """Return the formula of standing in a list."""
        literals = [self._literal(name, one) for one in asked if one is not None]
        told = f"in ({', '.join(literals)})" if len(literals) > 1 else f"== {''.join(literals)}"
        parts = [f"{self._name(name)} {told}"] if literals else []
        parts += [f"missing({self._name(name)})"] if None in asked else []
        return _joined("or", parts) if parts else "False"

    def _literal(self, name: str, value: Any) -> str:
        """Return a value as the language writes it, after its type is noted for the feature."""
        given = TYPES.get(kind(value))
        if given is None:
            raise DataError(f"attribute {name!r:.80} is compared with a {kind(value)}, which cannot be translated")
        if self.types.setdefault(name, given) != given:
            raise DataError(f"attribute {name!r:.80} is {self.types[name]}, but compared with a {kind(value)}")
        if isinstance(value, str):
            quote = '"' if "'" in value else "'"
            if quote in value or "\\" in value or not value.isprintable():
                raise DataError(f"a text that {name!r:.80} is compared with has signs that a formula cannot hold")
            return f"{quote}{value}{quote}"
        if isinstance(value, bool):
            return "1" if value else "0"
        if not math.isfinite(value):
            raise DataError(f"attribute {name!r:.80} is compared with {value}")
        return repr(value)

    def _name(self, name: str) -> str:
        """Return a feature as the language writes it, and note that it is read."""
        self.read.add(name)
        reserved = name in FUNCTIONS or name in ARM_NAMES or keyword.iskeyword(name) or name.startswith("__")
        if name.isidentifier() and name.isascii() and not reserved:
            return name
        if "'" in name or "\\" in name or not name.isprintable() or not name:
            raise DataError(f"attribute {name!r:.80} has a name that a formula cannot hold")
        return f"feature('{name}')"


def _joined(word: str, parts: Sequence[str]) -> str:
    """Return parts joined by `and` or `or`, less those that decide nothing."""
    idle, deciding = ("True", "False") if word == "and" else ("False", "True")
    parts = [part for part in parts if part != idle]
    if deciding in parts:
        return deciding
    if len(parts) == 1:
        return parts[0]
    return f" {word} ".join(f"({part})" for part in parts) if parts else idle


def _negated(formula: str) -> str:
    """Return not."""
    return {"True": "False", "False": "True"}.get(formula, f"not ({formula})")


def both(formula: str, other: str) -> str:
    """Return one formula and another.

    Example:
        >>> both("a > 1", "True"), both("a > 1", "b > 1")
        ('a > 1', '(a > 1) and (b > 1)')
    """
    return _joined("and", [formula, other])


def none_of(formula: str) -> str:
    """Return the formula of whom another does not hold for.

    Example:
        >>> none_of("a > 1")
        'not (a > 1)'
    """
    return _negated(formula)
