"""What a blueprint says of a feature, and how its value is read from a context. Knows no model."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from abloop.records import FeatureType, FeatureValue
from abloop.validate import one_of, text

Reader = Callable[[Any], FeatureValue]
Plan = tuple[tuple[str, type | None, Reader], ...]
MOST_CHARACTERS = 200
LARGEST = 10**200  # longer whole numbers are no category, and Python refuses to print the longest
_NUMBERS = (int, float)


class Feature(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One feature: a key of the application context.

    Attributes:
        name: The key.
        type: `numeric` (numbers and booleans) or `categorical` (text, also numbers as text).
    """

    name: str
    type: FeatureType = "numeric"

    def check(self, path: str) -> None:
        """Raise `BlueprintError` if a field is not allowed; `path` names the feature in the message."""
        text(f"{path}.name", self.name)
        one_of(f"{path}.type", self.type, ("numeric", "categorical"))


def read_numeric(value: Any) -> float | None:
    """Return a finite number as float, anything else as missing.

    Example:
        >>> read_numeric(True), read_numeric("3"), read_numeric(float("nan"))
        (1.0, None, None)
    """
    if type(value) is float:
        return value if value - value == 0.0 else None  # neither NaN nor infinite
    if type(value) is int or isinstance(value, _NUMBERS):
        try:
            number = float(value)
        except OverflowError:
            return None
        return number if number - number == 0.0 else None
    if value is None or isinstance(value, str | bytes):
        return None
    return read_numeric(_unboxed(value))


def read_categorical(value: Any) -> str | None:
    """Return text as it is, a whole or decimal number and a boolean as text, anything else as missing.

    Texts are cut at 200 characters.

    Example:
        >>> read_categorical("web"), read_categorical(3), read_categorical(None)
        ('web', '3', None)
    """
    if isinstance(value, str):
        return value[:MOST_CHARACTERS]
    if isinstance(value, float):
        return repr(float(value)) if math.isfinite(value) else None
    if isinstance(value, bool):
        return str(value)
    if isinstance(value, int):
        return str(value) if -LARGEST < value < LARGEST else None
    return None if value is None or isinstance(value, bytes) else read_categorical(_unboxed(value))


def _unboxed(value: Any) -> float | int | str | None:
    """Return the Python value of a NumPy scalar, or of anything else that boxes one value; None for all others."""
    try:
        inner = value.item()
    except Exception:  # whatever a stranger's object does, it has no single value
        return None
    return inner if isinstance(inner, float | int | str) else None


_READERS: dict[str, Reader] = {"numeric": read_numeric, "categorical": read_categorical}


def readers(features: Sequence[Feature]) -> Plan:
    """Return each feature's key, the type whose finite values are taken as they are, and its reading function."""
    return tuple(
        (feature.name, float if feature.type == "numeric" else None, _READERS[feature.type]) for feature in features
    )


def read(plan: Plan, context: Mapping[str, Any]) -> tuple[FeatureValue, ...]:
    """Return the feature values of a context, None where missing.

    Args:
        plan: From `readers`, length d.
        context: The application context; keys that no feature names are not looked at.

    Returns:
        Values in the order of the plan, length d.

    Example:
        >>> read(readers([Feature("age"), Feature("channel", "categorical")]), {"age": 31, "ssn": "secret"})
        (31.0, None)
    """
    get: Callable[[str], Any] = context.get
    return tuple(
        [  # most values are plain finite numbers: they are taken without a call
            value if type(value := get(name)) is plain and value - value == 0.0 else reader(value)  # type: ignore[misc, operator]
            for name, plain, reader in plan
        ]
    )
