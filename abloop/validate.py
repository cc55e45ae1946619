"""Value checks with one way of saying no: the path, what came, what is allowed. Knows no blueprint."""

from __future__ import annotations

import math
from collections.abc import Iterable

from abloop.errors import AbloopError, BlueprintError, unknown


def in_range(
    path: str,
    value: object,
    low: float = -math.inf,
    high: float = math.inf,
    *,
    open_low: bool = False,
    open_high: bool = False,
    error: type[AbloopError] = BlueprintError,
) -> None:
    """Check a finite number and its range.

    Args:
        path: Where the value stands, e.g. `arms[1].weight`.
        value: What came.
        low: Least allowed value.
        high: Greatest allowed value.
        open_low: Whether `low` itself is refused.
        open_high: Whether `high` itself is refused.
        error: Class to raise.

    Raises:
        AbloopError: Of the class `error`.

    Example:
        >>> in_range("experiment.explore", 0.1, 0, 1)
    """
    left, right = "([)]"[0 if open_low else 1], "([)]"[2 if open_high else 3]
    ends = f"a number in {left}{low:g}, {high:g}{right}"
    allowed = ends if math.isfinite(low) or math.isfinite(high) else "a finite number"
    number = isinstance(value, int) or (isinstance(value, float) and math.isfinite(value))
    if isinstance(value, bool) or not number or not isinstance(value, int | float):
        raise error(f"{path} is {value!r}; allowed: {allowed}", place=path)
    too_low = value <= low if open_low else value < low
    too_high = value >= high if open_high else value > high
    if too_low or too_high:
        raise error(f"{path} is {value!r}; allowed: {allowed}", place=path)


def text(path: str, value: object, error: type[AbloopError] = BlueprintError) -> None:
    """Check a name: text of 1 to 200 printable characters.

    Raises:
        AbloopError: Of the class `error`.

    Example:
        >>> text("strategy", "checkout_button")
    """
    if not isinstance(value, str) or not 0 < len(value) <= 200 or not value.isprintable():
        raise error(f"{path} is {value!r}; allowed: a text of 1 to 200 printable characters", place=path)


def one_of(path: str, value: object, allowed: Iterable[str], error: type[AbloopError] = BlueprintError) -> None:
    """Check membership in a fixed list.

    Raises:
        AbloopError: Of the class `error`.

    Example:
        >>> one_of("metrics[0].role", "goal", ["goal", "guardrail"])
    """
    allowed = list(allowed)
    if value not in allowed:
        raise error(unknown(f"value of {path}:", value, allowed), place=path)


def distinct(path: str, names: Iterable[str], error: type[AbloopError] = BlueprintError) -> None:
    """Check that no name stands twice.

    Raises:
        AbloopError: Of the class `error`.

    Example:
        >>> distinct("arms", ["control", "treatment"])
    """
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise error(f"{path} has {name!r} twice; allowed: each name once. Rename or remove one of them", place=path)
        seen.add(name)
