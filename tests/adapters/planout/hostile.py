"""Objects that no product should hand in, and some will."""

from __future__ import annotations

import datetime as dt
import decimal
import math
import uuid
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np


class Raises:
    """Raises whatever is asked of it."""

    def _no(self, *args: Any) -> Any:
        raise RuntimeError("no")

    __str__ = __repr__ = __bool__ = __len__ = __iter__ = __eq__ = __hash__ = __float__ = __int__ = __index__ = _no
    __getitem__ = __contains__ = __lt__ = __add__ = __call__ = _no

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError("no")


class RaisingMapping(Mapping[str, Any]):
    """A mapping of one key that raises when it is read."""

    def __getitem__(self, key: str) -> Any:
        raise OSError(key)

    def __iter__(self) -> Iterator[str]:
        return iter(["a"])

    def __len__(self) -> int:
        return 1


class UnprintableError(Exception):
    """An error that cannot be printed."""

    def __str__(self) -> str:
        raise ValueError("no")


class RaisesUnprintable:
    """Raises an error that cannot be printed."""

    def __str__(self) -> str:
        raise UnprintableError


class Endless:
    """An iterable without end."""

    def __iter__(self) -> Iterator[int]:
        while True:
            yield 1


class Text(str):
    """A text that lies about itself."""

    def __str__(self) -> str:
        raise RuntimeError("no")

    def encode(self, *args: Any, **more: Any) -> bytes:
        """Do not."""
        raise RuntimeError("no")


def own_key() -> dict[str, Any]:
    """Return a mapping that holds itself."""
    found: dict[str, Any] = {}
    found["self"] = found
    return found


def own_item() -> list[Any]:
    """Return a list that holds itself."""
    found: list[Any] = []
    found.append(found)
    return found


def deep(levels: int = 3_000) -> list[Any]:
    """Return lists in lists."""
    found: list[Any] = []
    for _ in range(levels):
        found = [found]
    return found


NASTY: list[Any] = [
    None, True, False, 0, -1, 1, 10**400, -(10**5_000), 2**63, 0.0, -0.0, math.nan, math.inf, -math.inf, 5e-324, 1e308,
    1j, "", " ", "\0", "\n", "a" * 100_000, "\ud800", "é漢字🙂", "'; DROP TABLE decisions; --", "../../etc", "%s%n",
    b"", b"\xff", bytearray(b"x"), memoryview(b"x"), (), [], {}, set(), frozenset([1]), [None], [[]], [{}], {"": None},
    {None: None}, {1: 2}, {"id": None}, {"value": "x"}, {"a": {"b": {"c": [1, {"d": math.nan}]}}}, range(3), object(),
    object, int, len, lambda: 1, iter([1]), (i for i in range(3)), Exception("x"), Raises(), RaisingMapping(),
    RaisesUnprintable(), Endless(), Text("x"), own_key(), own_item(), deep(), dt.datetime(2026, 1, 1), dt.timedelta.max,
    decimal.Decimal("NaN"), uuid.UUID(int=1), np.float64("nan"), np.arange(3), np.array("x"), np.datetime64("NaT"),
    NotImplemented, ..., slice(None), type("Empty", (), {})(),
]  # fmt: skip
NAMES = [f"{index}-{type(value).__name__}" for index, value in enumerate(NASTY)]
