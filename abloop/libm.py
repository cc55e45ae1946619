"""Elementary functions that give the same bits for one number and for an array.

NumPy's own `exp` and `log` differ from the C library in the last bit on a few values in a hundred, so that a
decision and its training row would differ. Arrays therefore go through the C library too: in a loop compiled by
numba where that is installed, one by one where it is not.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

NAN, INF = math.nan, math.inf


def exp(x: float) -> float:
    """Return e to the power of x, infinite where that overflows.

    Example:
        >>> exp(0.0), exp(1e6)
        (1.0, inf)
    """
    try:
        return math.exp(x)
    except OverflowError:
        return INF


def log(x: float) -> float:
    """Return the natural logarithm, NaN for what has none.

    Example:
        >>> log(1.0), log(0.0)
        (0.0, nan)
    """
    return math.log(x) if x > 0.0 else NAN


def signed_log(x: float) -> float:
    """Return the logarithm of 1 + |x| with the sign of x.

    Example:
        >>> signed_log(0.0), signed_log(-math.expm1(1.0))
        (0.0, -1.0)
    """
    return math.copysign(math.log(1.0 + abs(x)), x)


def exp_all(x: Array) -> Array:
    """Return `exp` of each element."""
    return _loop("exp")(x)


def log_all(x: Array) -> Array:
    """Return `log` of each element."""
    return _loop("log")(x)


def signed_log_all(x: Array) -> Array:
    """Return `signed_log` of each element."""
    return _loop("signed_log")(x)


def erf_all(x: Array) -> Array:
    """Return `math.erf` of each element."""
    return _loop("erf")(x)


_ONE: dict[str, Callable[[float], float]] = {"exp": exp, "log": log, "signed_log": signed_log, "erf": math.erf}
# What numba compiles: it neither raises nor calls back into Python.
_COMPILED: dict[str, Callable[[float], float]] = {
    "exp": lambda x: math.exp(x),
    "log": lambda x: math.log(x) if x > 0.0 else NAN,
    "signed_log": lambda x: math.copysign(math.log(1.0 + abs(x)), x),
    "erf": lambda x: math.erf(x),
}


@cache
def _loop(name: str) -> Callable[[Array], Array]:
    """Return a function over arrays, compiled once in a process."""
    try:
        import numba
    except ImportError:
        return one_by_one(_ONE[name])
    import numpy as np

    vectorize: Any = numba.vectorize
    compiled: Any = vectorize(["float64(float64)"])(_COMPILED[name])

    def run(x: Array) -> Array:
        with np.errstate(all="ignore"):  # what is undefined has its value, as for one number, and no warning
            found: Array = compiled(x)
        return found

    return run if _agrees(run, _ONE[name]) else one_by_one(_ONE[name])


def _agrees(run: Callable[[Array], Array], function: Callable[[float], float]) -> bool:
    """Return whether both give the same bits on 2,000 numbers: numba may find a vector library that does not."""
    import numpy as np

    x = np.concatenate([np.linspace(-30.0, 30.0, 1_000), np.geomspace(1e-300, 1e300, 1_000)])
    return bool(np.array_equal(run(x), one_by_one(function)(x), equal_nan=True))


def one_by_one(function: Callable[[float], float]) -> Callable[[Array], Array]:
    """Return a function over arrays that calls a function of one number for each element."""
    import numpy as np

    def run(x: Array) -> Array:
        flat = np.fromiter(map(function, np.ravel(x).tolist()), dtype=np.float64, count=np.size(x))
        return flat.reshape(np.shape(x))

    return run
