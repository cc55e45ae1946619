"""What a formula gives, within the bounds of its space; None where that is nothing."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from abloop.blueprint.spec import Field


def bounded(low: float | None, high: float | None, value: float) -> float | None:
    """Return a number within its bounds; None where it is not finite."""
    if not math.isfinite(value):
        return None
    if low is not None and value < low:
        return float(low)
    return float(high) if high is not None and value > high else value


def structured(fields: Sequence[Field], result: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return a structured value within its bounds; None where a field is undefined or not allowed."""
    found: dict[str, Any] = {}
    for field in fields:
        value = result[field.name]
        if field.type == "number":
            value = bounded(field.low, field.high, value)
        if value is None or (field.type == "text" and value not in field.choices):
            return None
        found[field.name] = value
    return found
