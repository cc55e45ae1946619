"""Elementary functions give an array the bits that they give one number, with numba and without."""

from __future__ import annotations

import math
import struct
import sys
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from abloop import libm

Array = np.ndarray[tuple[int, ...], np.dtype[np.float64]]
SPECIAL = [0.0, -0.0, 5e-324, -5e-324, 1.0, -1.0, 709.782, 709.79, 710.0, -745.2, -750.0, 1e308, -1e308]
SPECIAL += [math.inf, -math.inf, math.nan, 2.2250738585072014e-308, math.nextafter(1.0, 2.0), math.nextafter(1.0, 0.0)]
PAIRS: list[tuple[Callable[[float], float], Callable[[Array], Array]]] = [
    (libm.exp, libm.exp_all),
    (libm.log, libm.log_all),
    (libm.signed_log, libm.signed_log_all),
    (math.erf, libm.erf_all),
]


@pytest.fixture(params=["numba", "fallback"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Run with numba, and as if it were not installed."""
    if request.param == "numba":
        pytest.importorskip("numba")
    else:
        monkeypatch.setitem(sys.modules, "numba", None)
    libm._loop.cache_clear()
    yield request.param
    libm._loop.cache_clear()


def numbers() -> Array:
    """Return special numbers, usual ones, and any pattern of bits."""
    rng = np.random.default_rng(0)
    bits = rng.integers(0, 2**64, size=20_000, dtype=np.uint64).view(np.float64)
    return np.concatenate([SPECIAL, rng.uniform(-30, 30, 20_000), rng.normal(0, 400, 5_000), bits])


def bits(value: float) -> bytes:
    return b"nan" if value != value else struct.pack("<d", value)


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize(("one", "many"), PAIRS, ids=["exp", "log", "signed_log", "erf"])
def test_arrays_equal_numbers(one: Callable[[float], float], many: Callable[[Array], Array]) -> None:
    """Every element has the bits of the function of one number, for every pattern of bits."""
    x = numbers()
    assert [bits(value) for value in many(x).tolist()] == [bits(one(value)) for value in x.tolist()]


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize(("one", "many"), PAIRS, ids=["exp", "log", "signed_log", "erf"])
def test_shapes_are_kept(one: Callable[[float], float], many: Callable[[Array], Array]) -> None:
    """Matrices, columns out of them, empty arrays and single numbers come back in their shape."""
    x = np.arange(12.0).reshape(3, 4)
    for array in (x, x.T, x[:, 1], x[::2, ::3], x[:0], np.asarray(2.0)):
        found = many(array)
        assert np.shape(found) == array.shape
        assert [*map(bits, np.ravel(found).tolist())] == [bits(one(value)) for value in np.ravel(array).tolist()]


def test_numbers_equal_the_c_library() -> None:
    """Inside their range they are those of `math`."""
    for x in np.random.default_rng(1).uniform(-700, 700, 2_000).tolist():
        assert libm.exp(x) == math.exp(x)
        assert libm.log(abs(x)) == math.log(abs(x))
        assert libm.signed_log(x) == pytest.approx(math.copysign(math.log1p(abs(x)), x), rel=1e-12, abs=1e-15)


def test_what_is_undefined() -> None:
    """An exponential that overflows is infinite, and zero and below have no logarithm; nothing is raised."""
    assert libm.exp(710.0) == math.inf
    assert libm.exp(-1e9) == 0.0
    assert math.isnan(libm.log(0.0))
    assert math.isnan(libm.log(-1.0))
    assert math.isnan(libm.log(math.nan))
    assert math.copysign(1.0, libm.signed_log(-0.0)) == -1.0


def test_a_loop_that_differs_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where numba would give other bits, as with a vector library, numbers are taken one by one."""
    pytest.importorskip("numba")
    monkeypatch.setitem(libm._COMPILED, "exp", lambda x: math.exp(x) * 1.0000000000000002)
    libm._loop.cache_clear()
    try:
        assert libm.exp_all(np.array([1.0, 2.5])).tolist() == [math.exp(1.0), math.exp(2.5)]
    finally:
        libm._loop.cache_clear()
