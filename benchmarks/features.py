"""A plan of 100 features: one decision from context and cache, and a training frame, beside their limits.

The row: 60 features of the context and 20 of a cached group are read, 20 are made of them (logarithms, buckets,
crosses, parts of a date), and all 100 become model inputs. Its limit is looking the 80 keys up and nothing more;
its peer is the same work in a scikit-learn pipeline of one row. The frame: 100 numeric features of a table, 30 of
them made of others, with one feature in ten missing. Its limit is copying the inputs once; its peer a scikit-learn
pipeline that is given the array ready-made. One thread each.
"""

from __future__ import annotations

import math
import platform
from collections.abc import Callable
from importlib.metadata import version
from typing import Any, Final

import numpy as np
from sklearn.compose import ColumnTransformer
from sklearn.preprocessing import FunctionTransformer, StandardScaler

import abloop
from abloop.features.fit import fit_encoder
from abloop.features.graph import Graph
from abloop.features.read import read_from, readers, sources
from abloop.features.spec import Feature
from abloop.store.online import OnlineStore
from benchmarks.timing import Contestant, interleave, ratio

CONTEXT: Final = 60
CACHED: Final = 20
MADE: Final = 20
ROW_BAR: Final = 60e-6  # seconds a decision
FRAME_BAR: Final = 1e-6  # seconds a row
RATIOS: Final = (("row", "row_lookups"), ("row", "row_sklearn"), ("frame", "frame_copy"), ("frame", "frame_sklearn"))
TARGET: Final = {"row_to_60_us": 1.0, "frame_to_1_us_a_row": 1.0}


def row_plan() -> list[Feature]:
    """Return 100 features: numbers and categories of the context and a group, and what is made of them."""
    found = [Feature(f"n{i}") for i in range(40)] + [Feature(f"c{i}", "categorical") for i in range(18)]
    found += [Feature("t0", "time"), Feature("t1", "time")]
    found += [Feature(f"g{i}", group="user") for i in range(CACHED)]
    found += [Feature(f"l{i}", transform="log", of=(f"n{i}",)) for i in range(6)]
    found += [Feature(f"b{i}", transform="bucketise", of=(f"n{i}",), edges=(0.0, 1.0, 5.0)) for i in range(6)]
    found += [Feature(f"x{i}", transform="cross", of=(f"c{i}", f"c{i + 1}")) for i in range(6)]
    found += [Feature(f"d{i}", transform="date", of=(f"t{i}",), part="weekday") for i in range(2)]
    return found


def context(number: int) -> dict[str, Any]:
    """Return an application context with every tenth feature missing."""
    values: dict[str, Any] = {f"n{i}": number * 0.5 + i for i in range(40) if (i + number) % 10}
    values |= {f"c{i}": f"level{(number + i) % 7}" for i in range(18) if (i + number) % 10}
    return values | {"t0": 1.7e9 + number, "t1": 1.6e9 + number, "user_id": f"u{number % 100}"}


def make_row(calls: int) -> dict[str, Contestant[list[dict[str, Any]]]]:
    """Return the contestants of one decision's row."""
    features = row_plan()
    graph = Graph(features)
    plan, places = readers(graph.sourced), sources(graph.sourced, ["user"])
    store = OnlineStore()
    cache = store.group(
        "user", lambda entity: {f"g{i}": i + len(entity) for i in range(CACHED)}, budget=1.0, max_age=1e9
    )
    rows = [read_from(plan, places, (context(i), cache.fetch(f"u{i % 100}")[0] or {})) for i in range(500)]
    from abloop.features.column import to_column

    columns = graph.frame([to_column([row[i] for row in rows], f.type) for i, f in enumerate(graph.sourced)])
    encoder = fit_encoder(graph.learned, [columns[slot] for slot in graph.slots])
    expected = encoder.frame([columns[slot] for slot in graph.slots])
    if encoder.width != CONTEXT + CACHED + MADE:
        raise RuntimeError(f"the plan has {encoder.width} inputs")

    def one(given: dict[str, Any]) -> list[float]:
        row, _ = cache.fetch(given["user_id"])
        values = graph.row(read_from(plan, places, (given, row or {})))
        return encoder.row([values[slot] for slot in graph.slots])

    if not np.array_equal(np.asarray([one(context(i)) for i in range(500)]), expected, equal_nan=True):
        raise RuntimeError("the row is not the frame")
    keys = [(feature.name, feature.group) for feature in graph.sourced]

    def look_up(given: dict[str, Any]) -> list[Any]:
        row, _ = cache.fetch(given["user_id"])
        other = row or {}
        return [other.get(name) if group else given.get(name) for name, group in keys]

    pipeline = sklearn_row()

    def each(work: Callable[[dict[str, Any]], Any]) -> Callable[[list[dict[str, Any]]], None]:
        def run(todo: list[dict[str, Any]]) -> None:
            for given in todo:
                work(given)

        return run

    return {
        "row": Contestant(each(one)),
        "row_lookups": Contestant(each(look_up)),
        "row_sklearn": Contestant(lambda todo: [pipeline(given) for given in todo[: max(len(todo) // 50, 1)]]),
    }


def sklearn_row() -> Callable[[dict[str, Any]], Any]:
    """Return a scikit-learn pipeline of as many numbers, given one row."""
    width = CONTEXT + CACHED + MADE
    table = np.random.default_rng(0).normal(size=(500, width))
    fitted = sklearn_frame(width).fit(table)

    def run(given: dict[str, Any]) -> Any:
        row = np.asarray([[given.get(f"n{i}", math.nan) for i in range(width)]], dtype=np.float64)
        return fitted.transform(row)

    return run


def sklearn_frame(width: int) -> ColumnTransformer:
    """Return a scikit-learn pipeline: a fifth logarithms, a tenth standardised, the rest as it is."""
    logs, scaled = width // 5, width // 10
    return ColumnTransformer(
        [
            ("log", FunctionTransformer(lambda x: np.sign(x) * np.log1p(np.abs(x))), list(range(logs))),
            ("scale", StandardScaler(), list(range(logs, logs + scaled))),
        ],
        remainder="passthrough",
    )


def make_frame(rows: int) -> dict[str, Contestant[int]]:
    """Return the contestants of a numeric training frame."""
    found = [Feature(f"n{i}") for i in range(70)]
    found += [Feature(f"l{i}", transform="log", of=(f"n{i}",)) for i in range(15)]
    found += [Feature(f"b{i}", transform="bucketise", of=(f"n{i}",), edges=(-1.0, 0.0, 1.0)) for i in range(5)]
    found += [Feature(f"s{i}", transform="standardise", of=(f"n{i}",)) for i in range(10)]
    graph = Graph(found)
    rng = np.random.default_rng(0)
    columns: list[Any] = [np.where(rng.random(rows) < 0.1, np.nan, rng.normal(size=rows)) for _ in graph.sourced]
    made = graph.frame(columns)
    encoder = fit_encoder(graph.learned, [made[slot] for slot in graph.slots])
    table = np.column_stack([made[slot] for slot in graph.slots])
    peer = sklearn_frame(len(graph.slots)).fit(table[: rows // 10])

    def ours(_: int) -> Any:
        made = graph.frame(columns)
        return encoder.frame([made[slot] for slot in graph.slots])

    return {
        "frame": Contestant(ours),
        "frame_copy": Contestant(lambda _: table.copy()),
        "frame_sklearn": Contestant(lambda _: peer.transform(table)),
    }


def measure(quick: bool = False) -> dict[str, Any]:
    """Return the ratios of this machine; the row was shown to equal the frame before.

    Args:
        quick: Few calls in few rounds: shows that it works, and no more.
    """
    calls, rows, rounds = (100, 2_000, 3) if quick else (1_000, 200_000, 15)
    seconds = interleave(make_row(calls), lambda number: [context(number + i) for i in range(calls)], rounds)
    seconds["row_sklearn"] = [took * calls / max(calls // 50, 1) for took in seconds["row_sklearn"]]
    seconds |= interleave(make_frame(rows), int, rounds)
    seconds["60_us"] = [ROW_BAR * calls] * rounds
    seconds["1_us_a_row"] = [FRAME_BAR * rows] * rounds
    pairs = (*RATIOS, ("row", "60_us"), ("frame", "1_us_a_row"))
    return {
        "ratios": {f"{name}_to_{other}": ratio(seconds, name, other).plain() for name, other in pairs},
        "target": TARGET,
        "features": CONTEXT + CACHED + MADE,
        "rows": rows,
        "python": platform.python_version(),
        "versions": {"abloop": abloop.__version__, **{name: version(name) for name in ("numpy", "scikit-learn")}},
    }
