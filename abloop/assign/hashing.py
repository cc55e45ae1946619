"""The one hash of assignment: XXH3 of salt, NUL and unit, as a point of [0, 1). Knows no experiment.

The salt names what is drawn (`checkout:arm`, `checkout:explore`), so that draws with different salts are
independent, and every language with an XXH3 (64-bit, seed 0) computes the same point.
"""

from __future__ import annotations

from typing import Final

from xxhash import xxh3_64_intdigest

SIZE: Final = 1 << 64
hash64: Final = xxh3_64_intdigest


def prefix(salt: str, purpose: str) -> str:
    r"""Return the text put in front of a unit to draw for one purpose.

    Example:
        >>> prefix("checkout", "arm")
        'checkout:arm\x00'
    """
    return f"{salt}:{purpose}\0"


def draw(prefix: str, unit: str) -> int:
    r"""Return a unit's uniform integer in [0, 2**64).

    A lone surrogate, which UTF-8 cannot hold, is kept as its own three bytes.

    Example:
        >>> 0 <= draw("checkout:arm\x00", "user-1") < SIZE
        True
    """
    return hash64((prefix + unit).encode("utf-8", "surrogatepass"))


def threshold(share: float) -> int:
    """Return the integer below which a draw falls with probability `share`, in [0, 1].

    Example:
        >>> threshold(1.0) == SIZE
        True
    """
    return min(SIZE, max(0, round(share * SIZE)))
