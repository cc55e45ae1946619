"""The 32-bit FNV-1a hash and the buckets made of it, as GrowthBook's SDKs assign: for units that have an arm already.

Hash and versions: https://docs.growthbook.io/lib/build-your-own; FNV-1a: http://www.isthe.com/chongo/tech/comp/fnv/.
"""

from __future__ import annotations

from typing import Final

_START: Final = 0x811C9DC5
_PRIME: Final = 0x01000193
_MASK: Final = 0xFFFFFFFF


def fnv1a(text: str) -> int:
    """Return the FNV-1a hash of a text's UTF-8 bytes, in [0, 2**32).

    Example:
        >>> hex(fnv1a("a"))
        '0xe40c292c'
    """
    value = _START
    for byte in text.encode("utf-8", "surrogatepass"):
        value = (value ^ byte) * _PRIME & _MASK
    return value


def bucket(seed: str, unit: str, version: int) -> float:
    """Return the point of a unit in [0, 1): in steps of .001 by version 1, of .0001 by version 2.

    Example:
        >>> bucket("checkout", "u-17", 2) == bucket("checkout", "u-17", 2)
        True
    """
    if version == 2:
        return fnv1a(str(fnv1a(seed + unit))) % 10_000 / 10_000
    return fnv1a(unit + seed) % 1_000 / 1_000
