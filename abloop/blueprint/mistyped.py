"""What to say of a value of the wrong type. Knows no blueprint."""

from __future__ import annotations

import re
import reprlib
from typing import Any

TYPES = {
    "float": "a number",
    "int": "a whole number",
    "str": "a text",
    "bool": "true or false",
    "array": "a list",
    "object": "a mapping",
    "null": "null",
}
WHERE = r"(?:[.a-z_]|\[\d+\])*(?:\[\.\.\.\])?"  # of a mapping inside a path it is not said which value
MISTYPED = re.compile(rf"Expected `([^`]+)`, got `[^`]+`(?: - at (`key` in )?`\$({WHERE})`)?")
PERCENT = re.compile(r"\s*([+-]?(?:\d+\.?\d*|\.\d+))\s*%\s*")
NUMBER = re.compile(r"\s*[+-]?(?:\d+\.?\d*|\.\d+)\s*")


def explain(said: str, raw: Any) -> tuple[str, str]:
    """Return what came, what is allowed and what to do, and where it is.

    Args:
        said: What msgspec says of it.
        raw: The values that were read.

    Example:
        >>> explain("Expected `float | null`, got `str` - at `$.limits[0].most`", {"limits": [{"most": "+5%"}]})[0]
        "limits[0].most is '+5%'; allowed: a number or null. Write 0.05"
    """
    found = MISTYPED.fullmatch(said)
    if not found:
        message, _, path = said.partition(" - at `$")
        path = path.strip("`.")
        if missing := re.fullmatch(r"Object missing required field `(.+)`", message):
            return f"{path or 'the blueprint'} has no {missing[1]!r}, which is required; add it", path
        return f"{path or 'blueprint'}: {message[0].lower()}{message[1:]}", path
    wanted, key, path = found[1].split(" | "), found[2], (found[3] or "").removeprefix(".")
    value = _value(raw, path + "[key]" if key else path, wanted)
    place = path.replace("[...]", "")
    came = str(value).lower() if isinstance(value, bool) else "null" if value is None else reprlib.repr(value)
    verb = "has the key" if key else "is" if place == path else "holds"
    allowed = " or ".join(TYPES.get(each, each) for each in wanted)
    return f"{place or 'the blueprint'} {verb} {came}; allowed: {allowed}{_hint(value, wanted)}", place


def _value(raw: Any, path: str, wanted: list[str]) -> Any:
    """Return the value at a path; of `[...]` the first value of a mapping of a wrong type, of `[key]` key."""
    for name, number, one in re.findall(r"([a-z_]+)|\[(\d+)\]|\[(\.\.\.|key)\]", path):
        if one:
            right: Any = (int, float) if {"float", "int"} & set(wanted) else str if "str" in wanted else list
            raw = next((each for each in (raw if one == "key" else raw.values()) if not isinstance(each, right)), raw)
        else:
            raw = raw[int(number)] if number else raw[name]
    return raw


def _hint(value: Any, wanted: list[str]) -> str:
    """Return what to write instead, where that is plain."""
    if isinstance(value, str) and "float" in wanted and (share := PERCENT.fullmatch(value)):
        return f". Write {float(share[1]) / 100:g}"
    if isinstance(value, str) and {"float", "int"} & set(wanted) and NUMBER.fullmatch(value):
        return ". Write it without quotes"
    if "str" in wanted and isinstance(value, int | float):
        return ". Write it in quotes"
    return ""
