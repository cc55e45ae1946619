"""A policy's formula: beside the same function written by hand, for one decision and for a frame.

The formula has ten operations: four products or quotients, three sums or differences, a maximum, a comparison and a
condition. By hand it is the Python, or NumPy, that someone would write who needs no answer for missing values or a
division by zero. A second pair has an exponential and a logarithm; its frame has no target, for NumPy's vector
exponential differs from one decision's in last bits, and a frame has to pay for the same ones. `simpleeval`, where it
is installed, is the peer that evaluates text. One thread; each pair was shown to give the same numbers before.
"""

from __future__ import annotations

import math
import platform
from collections.abc import Callable
from importlib.metadata import version
from typing import Any, Final

import numpy as np

import abloop
from abloop.policy.formula import Formula
from abloop.policy.nodes import Kind
from benchmarks.timing import Contestant, interleave, ratio

NAMES: Final[dict[str, Kind]] = dict.fromkeys(("click", "rating", "age", "price", "w1", "w2", "w3"), "number")
WEIGHTS: Final = {"w1": 0.7, "w2": 0.2, "w3": 0.1}
TEN: Final = "w1 * click + w2 * max(rating, 1) - w3 * age / price if click > 0.2 else rating * 0.5"
CURVED: Final = "w1 * exp(-age / 24) * click + w2 * log(price) * rating"
ORDER: Final = ("click", "rating", "age", "price")
TARGET: Final = {"scalar_to_hand": 3.0, "frame_to_numpy": 1.5}
Row = tuple[float, float, float, float]


def hand(click: float, rating: float, age: float, price: float) -> float:
    """Return what the formula of ten operations gives."""
    return 0.7 * click + 0.2 * max(rating, 1) - 0.1 * age / price if click > 0.2 else rating * 0.5


def hand_numpy(columns: dict[str, Any]) -> Any:
    """Return what the formula of ten operations gives over columns."""
    click, rating = columns["click"], columns["rating"]
    scored = 0.7 * click + 0.2 * np.maximum(rating, 1) - 0.1 * columns["age"] / columns["price"]
    return np.where(click > 0.2, scored, rating * 0.5)


def curved(age: float, click: float, price: float, rating: float) -> float:
    """Return what the curved formula gives; values in the order in which the formula names them."""
    return 0.7 * math.exp(-age / 24) * click + 0.2 * math.log(price) * rating


def curved_numpy(columns: dict[str, Any]) -> Any:
    """Return what the curved formula gives over columns; NumPy's own exponential differs in some last bits."""
    return 0.7 * np.exp(-columns["age"] / 24) * columns["click"] + 0.2 * np.log(columns["price"]) * columns["rating"]


def rows(number: int, count: int) -> list[Row]:
    """Return the rows of a round."""
    drawn = np.random.default_rng(number).uniform(0.1, 5.0, size=(count, 4))
    return [tuple(row) for row in drawn.tolist()]


def check(ours: list[float], theirs: list[float], tolerance: float) -> None:
    """Refuse contestants that give other numbers.

    Raises:
        RuntimeError: They compute something else.
    """
    if not np.allclose(ours, theirs, rtol=tolerance, atol=tolerance):
        raise RuntimeError("the formula and the function by hand give different numbers")


def each(work: Callable[..., Any]) -> Contestant[list[Row]]:
    """Return a contestant that calls a function once for each row."""

    def run(todo: list[Row]) -> None:
        for row in todo:
            work(*row)

    return Contestant(run)


def simpleeval() -> Contestant[list[Row]] | None:
    """Return the peer that evaluates text, parsed once; None where it is not installed."""
    try:
        from simpleeval import SimpleEval
    except ImportError:
        return None
    peer = SimpleEval(functions={"max": max})
    parsed = peer.parse(TEN)

    def run(todo: list[Row]) -> None:
        for row in todo[: max(len(todo) // 20, 1)]:
            peer.names = dict(zip(ORDER, row, strict=True)) | WEIGHTS
            peer.eval(TEN, previously_parsed=parsed)

    return Contestant(run)


def measure(quick: bool = False) -> dict[str, Any]:
    """Return the ratios of this machine.

    Args:
        quick: Few calls in few rounds: shows that it works, and no more.
    """
    calls, length, rounds = (200, 5_000, 3) if quick else (20_000, 1_000_000, 15)
    ten, bent = Formula(TEN, NAMES), Formula(CURVED, NAMES)
    one, other = ten.scalar(WEIGHTS)[1], bent.scalar(WEIGHTS)[1]
    sample = rows(0, 500)
    check([one(*row) for row in sample], [hand(*row) for row in sample], 0.0)
    check([other(*row) for row in sample], [curved(*row) for row in sample], 0.0)
    scalar = {"scalar": each(one), "hand": each(hand), "scalar_curved": each(other), "hand_curved": each(curved)}
    peer = simpleeval()
    seconds = interleave(scalar | ({"simpleeval": peer} if peer else {}), lambda number: rows(number, calls), rounds)
    columns: dict[str, Any] = dict(zip(ORDER, np.random.default_rng(1).uniform(0.1, 5.0, (4, length)), strict=True))
    check(ten.frame({**columns, **WEIGHTS}, length), hand_numpy(columns), 0.0)
    check(bent.frame({**columns, **WEIGHTS}, length), curved_numpy(columns), 1e-13)
    frames: dict[str, Contestant[int]] = {
        "frame": Contestant(lambda _: ten.frame({**columns, **WEIGHTS}, length)),
        "numpy": Contestant(lambda _: hand_numpy(columns)),
        "frame_curved": Contestant(lambda _: bent.frame({**columns, **WEIGHTS}, length)),
        "numpy_curved": Contestant(lambda _: curved_numpy(columns)),
    }
    seconds |= interleave(frames, int, rounds)
    pairs = [("scalar", "hand"), ("scalar_curved", "hand_curved"), ("frame", "numpy"), ("frame_curved", "numpy_curved")]
    if peer:
        seconds["simpleeval"] = [took * calls / max(calls // 20, 1) for took in seconds["simpleeval"]]
        pairs.append(("scalar", "simpleeval"))
    return {
        "ratios": {f"{name}_to_{other}": ratio(seconds, name, other).plain() for name, other in pairs},
        "target": TARGET,
        "rows": length,
        "python": platform.python_version(),
        "versions": {"abloop": abloop.__version__, **{name: version(name) for name in ("numpy", "numba")}},
    }
