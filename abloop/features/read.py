"""How values are read from a context or a fetched row: typed, or missing. Never raises, whatever a value is."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime
from functools import partial
from itertools import pairwise
from typing import Any

import msgspec
from xxhash import xxh3_64_intdigest

from abloop.features.spec import Feature
from abloop.records import FeatureValue

Reader = Callable[[Any], FeatureValue]
Plan = tuple[tuple[str, type | None, Reader], ...]
MOST_CHARACTERS = 200
MOST_KEYS = 1_000
MOST_EMBEDDED_CHARACTERS = 20_000
LARGEST = 10**200  # longer whole numbers are no category, and Python refuses to print the longest
_NUMBERS = (int, float)


class Fetched(msgspec.Struct, frozen=True, gc=False):
    """What the feature groups gave for one decision.

    Attributes:
        rows: Values of each group, in the order of the blueprint.
        entities: Id of each group's entity; empty where the context had none.
        ages: Seconds since each group's values were fetched; None where they are missing.
    """

    rows: tuple[Mapping[str, Any], ...] = ()
    entities: tuple[str, ...] = ()
    ages: tuple[float | None, ...] = ()


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


def read_time(value: Any) -> float | None:
    """Return seconds since 1970 as they are, a datetime or ISO text as seconds; without a zone it is UTC.

    Example:
        >>> read_time("1970-01-02"), read_time(datetime(1970, 1, 1, 1)), read_time("soon")
        (86400.0, 3600.0, None)
    """
    try:
        if isinstance(value, str):
            value = datetime.fromisoformat(value[:MOST_CHARACTERS])
        if isinstance(value, datetime):
            return float((value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp())
        if isinstance(value, date):
            return datetime(value.year, value.month, value.day, tzinfo=UTC).timestamp()
    except (ValueError, OverflowError):
        return None
    return read_numeric(value)


def read_sparse(value: Any) -> dict[str, float] | None:
    """Return a mapping of text to finite number, or texts counted; at most 1,000 keys; anything else as missing.

    Example:
        >>> read_sparse({"a": 2, "b": None}), read_sparse(["x", "y", "x"]), read_sparse("x")
        ({'a': 2.0}, {'x': 2.0, 'y': 1.0}, None)
    """
    found: dict[str, float] = {}
    if isinstance(value, Mapping):
        for key, item in list(value.items())[:MOST_KEYS]:
            name, number = read_categorical(key), read_numeric(item)
            if name is not None and number is not None:
                found[name] = number
        return found
    if isinstance(value, list | tuple | set | frozenset):
        for item in list(value)[:MOST_KEYS]:
            name = read_categorical(item)
            if name is not None:
                found[name] = found.get(name, 0.0) + 1.0
        return found
    return None


def read_embedding(size: int, value: Any) -> tuple[float, ...] | None:
    """Return `size` finite numbers, or a text embedded in so many; anything else as missing.

    Example:
        >>> read_embedding(2, [1, 2.5]), read_embedding(2, [1]), len(read_embedding(8, "red shoes"))
        ((1.0, 2.5), None, 8)
    """
    if isinstance(value, str):
        return embed_text(value, size)
    if not isinstance(value, list | tuple):
        value = value.tolist() if hasattr(value, "tolist") and getattr(value, "size", None) == size else None
    if not isinstance(value, list | tuple) or len(value) != size:
        return None
    numbers = [read_numeric(item) for item in value]
    return None if None in numbers else tuple(numbers)  # type: ignore[arg-type]


def embed_text(value: str, size: int) -> tuple[float, ...]:
    """Return a text as a vector of length one: its words and pairs of words, hashed to columns and signs.

    Feature hashing: Weinberger et al. (2009), https://arxiv.org/abs/0902.2206.

    Args:
        value: The text; its first 20,000 characters count.
        size: Number of columns.

    Example:
        >>> embed_text("Red shoes", 4) == embed_text("red  SHOES", 4)
        True
    """
    words = value[:MOST_EMBEDDED_CHARACTERS].lower().split()
    out = [0.0] * size
    for token in [*words, *(f"{left} {right}" for left, right in pairwise(words))]:
        point = hash_token(token)
        out[(point >> 1) % size] += 1.0 if point & 1 else -1.0
    length = math.sqrt(math.fsum(number * number for number in out))
    return tuple(number / length for number in out) if length else tuple(out)


def hash_token(token: str) -> int:
    """Return the 64-bit hash of a category or word.

    Example:
        >>> hash_token("red") == hash_token("red")
        True
    """
    return xxh3_64_intdigest(token.encode("utf-8", "surrogatepass"))


def reader(feature: Feature) -> Reader:
    """Return the reading function of a feature that is made of no other."""
    if feature.type == "embedding":
        return partial(read_embedding, feature.size)
    readers: dict[str, Reader] = {
        "numeric": read_numeric,
        "categorical": read_categorical,
        "time": read_time,
        "sparse": read_sparse,
    }
    return readers[feature.type]


def readers(features: Sequence[Feature]) -> Plan:
    """Return each feature's key, the type whose finite values are taken as they are, and its reading function."""
    return tuple(
        (feature.source, float if feature.type in ("numeric", "time") else None, reader(feature))
        for feature in features
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


def sources(features: Sequence[Feature], groups: Sequence[str]) -> tuple[int, ...]:
    """Return where each feature is read from: 0 for the context, 1 for the first group, and so on.

    Example:
        >>> sources([Feature("age", group="user"), Feature("hour")], ["user"])
        (1, 0)
    """
    places = {"": 0, **{name: place for place, name in enumerate(groups, 1)}}
    return tuple(places[feature.group] for feature in features)


def read_from(plan: Plan, places: Sequence[int], rows: Sequence[Mapping[str, Any]]) -> tuple[FeatureValue, ...]:
    """Return the feature values of a context and the rows of its groups, None where missing.

    Args:
        plan: From `readers`, length d.
        places: From `sources`, length d.
        rows: The application context, then a row for each group.

    Example:
        >>> plan = readers([Feature("age", group="user"), Feature("hour")])
        >>> read_from(plan, (1, 0), ({"hour": 9}, {"age": 31}))
        (31.0, 9.0)
    """
    gets: list[Callable[[str], Any]] = [row.get for row in rows]
    return tuple(
        [
            value if type(value := gets[place](name)) is plain and value - value == 0.0 else reader(value)  # type: ignore[misc, operator]
            for place, (name, plain, reader) in zip(places, plan, strict=True)
        ]
    )
