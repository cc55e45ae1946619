"""A list of 500 candidates ordered, durable records included, beside what the same loop costs without abloop.

`bare` asks the booster for all candidates at once and sorts; nothing is logged. `list_of_500` is the median time of
`get_ranking` as a share of the 5 ms that the project promises; each candidate has 20 features and a model of 100 trees.
"""

from __future__ import annotations

import platform
import tempfile
import time
from typing import Any, Final

import lightgbm as lgb
import numpy as np

import abloop
from abloop.loop import Loop
from abloop.models.artefact import Artefact
from abloop.models.gbdt import flatten
from abloop.models.labels import LabelSpec
from abloop.records import Column
from abloop.store.serving import Serving
from benchmarks.timing import Contestant, Ratio, interleave, ratio

FEATURES: Final = 20
CANDIDATES: Final = 500
PROMISED: Final = 5e-3  # seconds
TARGET: Final = {"list_of_500": 1.0}


def booster() -> lgb.Booster:
    """Return 100 trees of 31 leaves."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(10_000, FEATURES))
    y = x[:, 0] + x[:, 1] * x[:, 2] + rng.normal(size=10_000)
    return lgb.train({"verbose": -1, "num_leaves": 31, "num_threads": 1}, lgb.Dataset(x, y), 100)


def ranked(model: lgb.Booster, directory: str, slots: tuple[int, ...]) -> Loop:
    """Return an installation that orders by a model."""
    loop = Loop(f"sqlite:///{directory}/abloop.db", refresh_seconds=3_600.0)
    loop.register(
        {
            "strategy": "feed",
            "space": {"type": "ordering"},
            "metrics": [{"name": "click"}],
            "features": [{"name": f"f{place}"} for place in range(FEATURES)],
            "labels": [{"name": "click"}],
            "ranking": {"slots": list(slots)},
            "experiment": {"explore": 0.01},
        }
    )
    columns = tuple(Column(f"f{place}", "numeric") for place in range(FEATURES))
    spec = LabelSpec("click", "identity", flatten(model), FEATURES)
    artefact = Artefact(1, "labels", (), columns, None, 1, (spec,))
    loop.catalogue.serve(Serving("feed", 1, "personalise", "", 0.0, "benchmark", "measured"), artefact)
    loop.refresh()
    return loop


def measure(quick: bool = False) -> dict[str, Any]:
    """Return the ratios of this machine.

    Args:
        quick: Few rounds: shows that it works, and no more.

    Raises:
        RuntimeError: A list was answered by its default.
    """
    model, rng = booster(), np.random.default_rng(1)
    rows = rng.normal(size=(CANDIDATES, FEATURES))
    contexts = [{"user_id": "u", **{f"f{place}": value for place, value in enumerate(row)}} for row in rows.tolist()]
    with tempfile.TemporaryDirectory() as directory:
        loop = ranked(model, directory, (5, 9))
        handle, calls = loop.strategy("feed"), iter(range(10**9))
        scores = model.predict(rows)
        if not np.array_equal(
            np.argsort(-np.asarray(scores), kind="stable")[:5], handle.get_ranking("x", contexts)[:5]
        ):
            raise RuntimeError("the order is not the booster's")
        times: list[float] = []

        def order(_: int) -> None:
            started = time.perf_counter()
            handle.get_ranking(f"l{next(calls)}", contexts)
            times.append(time.perf_counter() - started)

        def bare(_: int) -> None:
            inputs = np.asarray([[context[f"f{place}"] for place in range(FEATURES)] for context in contexts])
            np.argsort(-np.asarray(model.predict(inputs)))

        rounds = 3 if quick else 60
        seconds = interleave({"ours": Contestant(order), "bare": Contestant(bare)}, lambda number: number, rounds)
        if handle.errors:
            raise RuntimeError("a list was answered by its default")
        loop.close()
    shares = [each / PROMISED for each in times[1:]]
    promised = Ratio(float(np.median(shares)), min(shares), max(shares), len(shares))
    ratios = {"ours_to_bare": ratio(seconds, "ours", "bare"), "list_of_500": promised}
    return {
        "ratios": {name: each.plain() for name, each in ratios.items()},
        "target": TARGET,
        "candidates": CANDIDATES,
        "features": FEATURES,
        "python": platform.python_version(),
        "versions": {"abloop": abloop.__version__},
    }
