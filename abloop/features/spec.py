"""What a blueprint says of a feature, and how its value is read from a context. Knows no model."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from abloop.records import FeatureType, FeatureValue
from abloop.validate import one_of, text

Reader = Callable[[Any], FeatureValue]


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
    if isinstance(value, int | float):
        try:
            return read_numeric(float(value))
        except OverflowError:
            return None
    if value is None or isinstance(value, str | bytes):
        return None
    item = getattr(value, "item", None)
    return read_numeric(item()) if callable(item) else None


def read_categorical(value: Any) -> str | None:
    """Return text as it is, a whole or decimal number and a boolean as text, anything else as missing.

    Example:
        >>> read_categorical("web"), read_categorical(3), read_categorical(None)
        ('web', '3', None)
    """
    if isinstance(value, str):
        return value[:200]
    if isinstance(value, bool | int):
        return str(value)
    if isinstance(value, float):
        return repr(value) if math.isfinite(value) else None
    return None


_READERS: dict[str, Reader] = {"numeric": read_numeric, "categorical": read_categorical}


def readers(features: Sequence[Feature]) -> tuple[tuple[str, Reader], ...]:
    """Return each feature's key and reading function, ready for `read`."""
    return tuple((feature.name, _READERS[feature.type]) for feature in features)


def read(plan: tuple[tuple[str, Reader], ...], context: Mapping[str, Any]) -> tuple[FeatureValue, ...]:
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
    get = context.get
    return tuple([reader(get(name)) for name, reader in plan])
