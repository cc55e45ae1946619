"""The 32-bit FNV-1a hash and the buckets made of it, as GrowthBook's SDKs assign: for units that have an arm already.

Specification: https://docs.growthbook.io/lib/build-your-own. FNV-1a runs over the UTF-16 code units of a text, as it
does in JavaScript, of which each SDK is a mirror.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Final

START: Final = 0x811C9DC5
PRIME: Final = 0x01000193
MASK: Final = 0xFFFFFFFF


def code_units(text: str) -> Sequence[int]:
    """Return the UTF-16 code units of a text.

    Example:
        >>> list(code_units("aé"))
        [97, 233]
    """
    if text.isascii():
        return text.encode()
    return memoryview(text.encode("utf-16-le", "surrogatepass")).cast("H")


def fnv1a(text: str, value: int = START) -> int:
    """Return the FNV-1a hash of a text's UTF-16 code units, in [0, 2**32).

    Args:
        text: What is hashed.
        value: The hash of what stands before it.

    Example:
        >>> hex(fnv1a("a"))
        '0xe40c292c'
    """
    for unit in code_units(text):
        value = (value ^ unit) * PRIME & MASK
    return value


@lru_cache(maxsize=1_024)
def seeded(seed: str) -> int:
    """Return the hash of a seed, after which units are hashed.

    Example:
        >>> seeded("a") == fnv1a("a")
        True
    """
    return fnv1a(seed)


def bucket(seed: str, unit: str, version: int) -> float:
    """Return the point of a unit in [0, 1): in steps of .001 by version 1, of .0001 by version 2.

    Args:
        seed: Names the draw.
        unit: The unit.
        version: 1, or 2, which is free of the correlation between seeds that 1 has.

    Example:
        >>> bucket("seed", "b", 2)
        0.2696
    """
    if version == 2:
        return fnv1a(str(fnv1a(unit, seeded(seed)))) % 10_000 / 10_000
    return fnv1a(seed, fnv1a(unit)) % 1_000 / 1_000
