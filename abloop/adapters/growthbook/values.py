"""How JavaScript sees JSON values: types, equality, order, numbers as text, paths, versions."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

from abloop.adapters.growthbook.limits import LONGEST_NUMBER, LONGEST_VERSION, Budget, deeper
from abloop.errors import DataError

DIGITS = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?\Z")
BASED: Final = {"0x": 16, "0o": 8, "0b": 2}
WHOLE: Final = 2**53  # integers below it are themselves as JavaScript numbers
INDICES: Final = 2**32 - 1
KINDS: Final = {
    type(None): "null",
    bool: "boolean",
    int: "number",
    float: "number",
    str: "string",
    list: "array",
    set: "array",
    dict: "object",
}


def kind(value: Any) -> str:
    """Return the JSON type of a value: null, boolean, number, string, array, object; or unknown."""
    known = KINDS.get(type(value))
    if known is None:
        known = next((name for base, name in KINDS.items() if isinstance(value, base)), "unknown")
    return known


def is_number(value: Any) -> bool:
    """Return whether a value is a number, which a boolean is not."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def truthy(value: Any) -> bool:
    """Return whether JavaScript takes a value for true: empty lists and objects are.

    Example:
        >>> truthy([]), truthy(0.0), truthy("")
        (True, False, False)
    """
    if value is None or value is False:
        return False
    if isinstance(value, str):
        return value != ""
    if is_number(value):
        return bool(value == value and value != 0)
    return True


def number_text(value: float) -> str:
    """Return a number as JavaScript writes it, by the rules of ECMAScript's Number::toString.

    Example:
        >>> number_text(1e21), number_text(1.5e-7), number_text(3.0), number_text(0.1)
        ('1e+21', '1.5e-7', '3', '0.1')
    """
    if -WHOLE < value < WHOLE and value == int(value):
        return str(int(value))
    try:
        value = float(value)
    except OverflowError:
        value = math.inf if value > 0 else -math.inf
    if not math.isfinite(value):
        return "NaN" if value != value else "Infinity" if value > 0 else "-Infinity"
    parts = Decimal(repr(value)).as_tuple()  # the shortest digits that read back as the same number
    digits = "".join(map(str, parts.digits))
    place = len(digits) + int(parts.exponent)  # the value is 0.DIGITS times ten to this power
    digits = digits.rstrip("0")
    if place > 21 or place <= -6:
        text = digits[0] + ("." + digits[1:] if len(digits) > 1 else "") + f"e{place - 1:+d}"
    elif place >= len(digits):
        text = digits.ljust(place, "0")
    elif place > 0:
        text = f"{digits[:place]}.{digits[place:]}"
    else:
        text = "0." + "0" * -place + digits
    return "-" + text if parts.sign else text


def to_number(value: Any) -> float:
    """Return a value as JavaScript's comparison reads it; NaN for what is no number.

    Example:
        >>> to_number(" 8 "), to_number(None), to_number("0x10"), to_number("eight")
        (8.0, 0.0, 16.0, nan)
    """
    if value is None:
        return 0.0
    if isinstance(value, int | float):
        return value
    if not isinstance(value, str) or len(value) > LONGEST_NUMBER:
        return math.nan
    text = value.strip()
    if not text:
        return 0.0
    if DIGITS.match(text):
        return float(text)
    if text in ("Infinity", "+Infinity", "-Infinity"):
        return float(text)
    base = BASED.get(text[:2].lower())
    if base and text[2:].isalnum() and text.isascii():
        try:
            return float(int(text[2:], base))
        except ValueError:
            return math.nan
    return math.nan


def order(one: Any, other: Any) -> int | None:
    """Return -1, 0 or 1 as one value is below, equal to or above another; None where they have no order.

    Two texts go by their UTF-16 code units; all other simple values as numbers, as `<` does in JavaScript.

    Example:
        >>> order("8", 10), order("a", "b"), order("a", 1)
        (-1, -1, None)
    """
    if isinstance(one, str) and isinstance(other, str):
        if not (one.isascii() and other.isascii()):
            left, right = one.encode("utf-16-be", "surrogatepass"), other.encode("utf-16-be", "surrogatepass")
            return (left > right) - (left < right)
        return (one > other) - (one < other)
    low, high = to_number(one), to_number(other)
    if low != low or high != high:
        return None
    return (low > high) - (low < high)


def same(one: Any, other: Any) -> bool:
    """Return whether two values are one simple value, as `===` says of two that were read from JSON."""
    found = kind(one)
    return found == kind(other) and found not in ("array", "object") and bool(one == other)


def deeply_same(one: Any, other: Any, budget: Budget, depth: int = 0) -> bool:
    """Return whether two values have the same JSON text, where 1.0 is 1 and what is not finite is null."""
    budget.spend()
    if isinstance(one, float) and not math.isfinite(one) and depth:
        one = None
    if isinstance(other, float) and not math.isfinite(other) and depth:
        other = None
    found = kind(one)
    if found != kind(other):
        return False
    if found not in ("array", "object"):
        return bool(one == other)
    depth = deeper(depth)
    if len(one) != len(other):
        return False
    if found == "array":
        return all(deeply_same(left, right, budget, depth) for left, right in zip(one, other, strict=True))
    budget.look(len(one))
    return keys(one) == keys(other) and all(deeply_same(one[key], other[key], budget, depth) for key in one)


def keys(value: Mapping[Any, Any]) -> list[Any]:
    """Return the keys of an object in JavaScript's order: array indices ascending, then the others as they came."""
    indices = [key for key in value if isinstance(key, str) and is_index(key, INDICES)]
    if not indices:
        return list(value)
    known = set(indices)
    return sorted(indices, key=int) + [key for key in value if key not in known]


def is_index(key: str, length: int) -> bool:
    """Return whether a key is the index of a list of this length, as JavaScript writes it: "0", not "00"."""
    return len(key) <= 10 and key.isascii() and key.isdigit() and (key == "0" or key[0] != "0") and int(key) < length


def path(value: Any, dotted: str) -> Any:
    """Return what stands under a dotted path; None where there is nothing.

    Example:
        >>> path({"user": {"tags": ["a", "b"]}}, "user.tags.1")
        'b'
    """
    if "." not in dotted and isinstance(value, dict):
        return value.get(dotted)
    for part in dotted.split("."):
        if isinstance(value, dict) and part in value:
            value = value[part]
        elif isinstance(value, list) and part == "length":
            value = len(value)
        elif isinstance(value, list) and is_index(part, len(value)):
            value = value[int(part)]
        else:
            return None
    return value


def padded_version(value: Any) -> str:
    """Return a version as a text that sorts as versions do: numbers right-justified, releases above pre-releases.

    Raises:
        DataError: It is too long for a version.

    Example:
        >>> padded_version("v1.10.0+build") > padded_version("1.9.0") > padded_version("1.9.0-rc.1")
        True
    """
    text = number_text(value) if is_number(value) else value
    if not isinstance(text, str) or not text:
        text = "0"
    if len(text) > LONGEST_VERSION:
        raise DataError(f"a version has more than {LONGEST_VERSION} characters")
    text = text.removeprefix("v")
    body, end = (text[:-1], "\n") if text.endswith("\n") else (text, "")
    build = body.find("+", body.rfind("\n") + 1)
    if build >= 0:
        text = body[:build] + end
    parts = text.replace("-", ".").split(".")
    if len(parts) == 3:
        parts.append("~")  # the last ASCII character: a release is above its pre-releases
    return "-".join(part.rjust(5) if part.isdigit() else part for part in parts)
