"""One row through 100 trees of 31 leaves, and a whole decision with three such models, beside peers.

Rows have 100 features, a tenth of them missing, and arrive as lists of Python numbers, as a decision has them; each
contestant turns them into what it takes. All predict the same numbers. The decision reads 100 features from a context,
predicts three labels, applies a formula and has its record written before it returns; it is compared with the times
that the project promises: `decision_p50` is its median as a share of 150 us, `decision_p99` of 1 ms.
"""

from __future__ import annotations

import platform
import tempfile
import time
import warnings
from importlib.metadata import version
from typing import Any, Final, NamedTuple

import lightgbm as lgb
import numpy as np
from numpy.typing import NDArray

import abloop
from abloop.loop import Loop
from abloop.models.artefact import Artefact
from abloop.models.forest import Forest
from abloop.models.gbdt import flatten
from abloop.models.labels import LabelSpec
from abloop.records import Column
from abloop.store.serving import Serving
from benchmarks.timing import Contestant, Ratio, interleave, ratio

FEATURES: Final = 100
P50: Final = 150e-6  # seconds of a decision
P99: Final = 1e-3
TARGET: Final = {
    "ours_to_booster": 0.2,
    "ours_to_onnxruntime": 1.0,
    "python_to_booster": 1.0,
    "decision_p50": 1.0,
    "decision_p99": 1.0,
}


class Fitted(NamedTuple):
    """What is fitted once."""

    booster: lgb.Booster
    x: NDArray[np.float64]
    y: NDArray[np.float64]


def fitted(rows: int, seed: int = 0) -> Fitted:
    """Return 100 trees of 31 leaves over 100 features with missing values."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, FEATURES))
    x[rng.random(x.shape) < 0.1] = np.nan
    y = np.nan_to_num(x)[:, :20] @ rng.normal(size=20) + rng.normal(size=rows)
    options = {"verbose": -1, "num_leaves": 31, "min_data_in_leaf": 5, "num_threads": 1, "seed": seed}
    return Fitted(lgb.train(options, lgb.Dataset(x, y), 100), x, y)


def contestants(found: Fitted) -> dict[str, Contestant[list[list[float]]]]:
    """Return ways to predict one row after the other, ours shown to give the booster's bits.

    Raises:
        RuntimeError: They do not.
    """
    import onnxruntime
    import treelite
    import xgboost
    from sklearn.ensemble import HistGradientBoostingRegressor

    from abloop.adapters.device import to_onnx

    booster, trees = found.booster, flatten(found.booster)
    ours = Forest([trees], FEATURES, [(0, None)])
    python = Forest([trees], FEATURES, [(0, None)], native=False)
    rows = found.x[:200].tolist()
    expected = booster.predict(found.x[:200]).tolist()  # type: ignore[union-attr]
    if not [ours.row(row)[0] for row in rows] == [python.row(row)[0] for row in rows] == expected:
        raise RuntimeError("a walker gives other bits than the booster")
    spec = LabelSpec("y", "identity", trees, FEATURES)
    columns = tuple(Column(f"f{place}", "numeric") for place in range(FEATURES))
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    payload = to_onnx(Artefact(1, "labels", (), columns, None, 1, (spec,)), "y", most_bytes=10**8)
    session = onnxruntime.InferenceSession(payload, options)
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        booster.save_model(file.name)
        forest = treelite.frontend.load_lightgbm_model(file.name)
    hist = HistGradientBoostingRegressor(max_leaf_nodes=31).fit(found.x[:5_000], found.y[:5_000])
    grown = {"max_leaves": 31, "max_depth": 0, "grow_policy": "lossguide", "nthread": 1}
    peer = xgboost.train(grown, xgboost.DMatrix(found.x[:5_000], found.y[:5_000]), 100)

    def each(predict: Any) -> Contestant[list[list[float]]]:
        return Contestant(lambda rows: [predict(row) for row in rows])

    return {
        "ours": each(lambda row: ours.row(row)[0]),
        "python": each(lambda row: python.row(row)[0]),
        "booster": each(lambda row: booster.predict(np.asarray([row]), num_threads=1)),
        "onnxruntime": each(lambda row: session.run(None, {"inputs": np.asarray([row], dtype=np.float32)})),
        "treelite": each(lambda row: treelite.gtil.predict(forest, np.asarray([row]), nthread=1)),
        "xgboost": each(lambda row: peer.inplace_predict(np.asarray([row]))),
        "hist_gradient_boosting": each(lambda row: hist.predict(np.asarray([row]))),
    }


def served(found: list[Fitted], directory: str) -> Loop:
    """Return an installation that decides by three models of 100 features and a formula."""
    loop = Loop(f"sqlite:///{directory}/abloop.db", refresh_seconds=3_600.0)
    names = ("bought", "liked", "returned")
    loop.register(
        {
            "strategy": "price",
            "space": {"type": "number", "low": -100, "high": 100},
            "metrics": [{"name": name} for name in names],
            "features": [{"name": f"f{place}"} for place in range(FEATURES)],
            "labels": [{"name": name} for name in names],
            "policy": {"formula": "bought + 2 * liked - returned"},
        }
    )
    specs = tuple(LabelSpec(n, "identity", flatten(f.booster), FEATURES) for n, f in zip(names, found, strict=True))
    columns = tuple(Column(f"f{place}", "numeric") for place in range(FEATURES))
    artefact = Artefact(1, "labels", (), columns, None, 1, specs)
    loop.catalogue.serve(Serving("price", 1, "personalise", "", 0.0, "benchmark", "measured"), artefact)
    loop.refresh()
    return loop


def decision(found: list[Fitted], calls: int, rounds: int) -> dict[str, Ratio]:
    """Return the median and the 99th percentile of a decision as shares of what is promised.

    Raises:
        RuntimeError: A decision was answered by its default.
    """
    p50, p99 = [], []
    with tempfile.TemporaryDirectory() as directory:
        loop = served(found, directory)
        handle, rows = loop.strategy("price"), found[0].x[:200].tolist()
        contexts = [
            {f"f{place}": value for place, value in enumerate(row) if value == value} | {"user_id": f"u{number}"}
            for number, row in enumerate(rows)
        ]
        for number in range(rounds + 1):
            times = []
            for call in range(calls):
                context = contexts[call % len(contexts)]
                started = time.perf_counter()
                handle.get_decision(f"{number}-{call}", context)
                times.append(time.perf_counter() - started)
            if number:
                p50.append(float(np.median(times)) / P50)
                p99.append(float(np.quantile(times, 0.99)) / P99)
        if handle.errors:
            raise RuntimeError("a decision was answered by its default")
        loop.close()
    return {
        name: Ratio(float(np.median(each)), min(each), max(each), len(each))
        for name, each in (("decision_p50", p50), ("decision_p99", p99))
    }


def measure(quick: bool = False) -> dict[str, Any]:
    """Return the ratios of this machine.

    Args:
        quick: Few rows in few rounds: shows that it works, and no more.

    Raises:
        RuntimeError: Contestants give other numbers.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = [fitted(2_000 if quick else 20_000, seed) for seed in range(3)]
        todo = found[0].x[: 20 if quick else 200].tolist()
        seconds = interleave(contestants(found[0]), lambda _: todo, 2 if quick else 15)
        ratios = {f"ours_to_{name}": ratio(seconds, "ours", name) for name in seconds if name != "ours"}
        ratios["python_to_booster"] = ratio(seconds, "python", "booster")
        ratios |= decision(found, 100 if quick else 5_000, 2 if quick else 7)
    named = ("lightgbm", "onnxruntime", "treelite", "xgboost", "scikit-learn", "numba")
    return {
        "ratios": {name: each.plain() for name, each in ratios.items()},
        "target": TARGET,
        "trees": 100,
        "features": FEATURES,
        "python": platform.python_version(),
        "versions": {"abloop": abloop.__version__, **{name: version(name) for name in named}},
    }
