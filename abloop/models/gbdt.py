"""The fit side of tree ensembles: LightGBM in, flat arrays out. Never imported by product code."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import lightgbm
import numpy as np
from numpy.typing import NDArray

from abloop.models.forest import Ensemble
from abloop.models.machine import machine_code
from abloop.models.trees import Tree
from abloop.threads import crew

TREES = 100
MANY = 50_000  # rows
_MISSING = {"None": 0, "NaN": 2, "Zero": 4}


def parameters(rows: int, seed: int, objective: str = "regression") -> dict[str, Any]:
    """Return LightGBM parameters that hold up from a few hundred rows to millions.

    Args:
        rows: Training rows; a leaf holds at least one in a hundred of them, from 10 to 200.
        seed: For the tie breaks of the library.
        objective: `regression`, or `binary` for outcomes of 0 and 1.
    """
    return {
        "objective": objective,
        "learning_rate": 0.05,
        "num_leaves": 8,
        "min_data_in_leaf": int(np.clip(rows // 100, 10, 200)),
        "seed": seed,
        "deterministic": True,
        "force_row_wise": True,
        "verbose": -1,
    }


def fit_gbdt(
    features: NDArray[np.float64],
    outcome: NDArray[np.float64],
    seed: int = 0,
    objective: str = "regression",
    weights: NDArray[np.float64] | None = None,
    options: Mapping[str, Any] | None = None,
) -> lightgbm.Booster:
    """Fit a regression of the outcome on the features.

    Args:
        features: Shape (n, d), NaN where missing.
        outcome: Shape (n,), finite.
        seed: For the tie breaks of the library.
        objective: `regression`, or `binary` for outcomes of 0 and 1.
        weights: What each row counts, shape (n,); None for one each.
        options: LightGBM parameters that replace those of `parameters`.

    Returns:
        The fitted booster; `predict` gives the conditional mean.
    """
    return fit_binned(bin_rows(features, weights), outcome, seed, objective, options)


def bin_rows(features: NDArray[np.float64], weights: NDArray[np.float64] | None = None) -> lightgbm.Dataset:
    """Return rows in bins, ready to be fitted to one outcome after another.

    Args:
        features: Shape (n, d), NaN where missing.
        weights: What each row counts, shape (n,); None for one each.
    """
    alone = {"num_threads": crew(*features.shape)}
    return lightgbm.Dataset(features, weight=weights, free_raw_data=True, params=alone)


def fit_binned(
    data: lightgbm.Dataset,
    outcome: NDArray[np.float64],
    seed: int = 0,
    objective: str = "regression",
    options: Mapping[str, Any] | None = None,
    rounds: int = TREES,
) -> lightgbm.Booster:
    """Fit a regression of an outcome on rows in bins; the same as on the rows themselves.

    Args:
        data: From `bin_rows`.
        outcome: Shape (n,), finite.
        seed: For the tie breaks of the library.
        objective: `regression`, or `binary` for outcomes of 0 and 1.
        options: LightGBM parameters that replace those of `parameters`.
        rounds: Number of trees, of each class.
    """
    data.set_label(outcome)
    alone = {"num_threads": (data.params or {}).get("num_threads", 0)}
    chosen = parameters(len(outcome), seed, objective) | alone | dict(options or {})
    # Else LightGBM frees what it fitted with by writing the trees and reading them again: a tenth of a small fit.
    return lightgbm.train(chosen, data, num_boost_round=rounds, keep_training_booster=len(outcome) < MANY)


def predict(booster: lightgbm.Booster, features: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the predictions of a booster of means, shape (n, d) to (n,); many rows are walked by our own code."""
    if len(features) >= MANY and machine_code() is not None:
        return Ensemble(flatten(booster), features.shape[1]).frame(features)
    return np.asarray(booster.predict(features, num_threads=crew(*features.shape)), dtype=np.float64)


def raw_scores(booster: lightgbm.Booster, features: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the sums of a booster's leaves, before any link, shape (n, d) to (n,)."""
    alone = crew(*features.shape)
    return np.asarray(booster.predict(features, raw_score=True, num_threads=alone), dtype=np.float64)


def flatten(booster: lightgbm.Booster) -> tuple[Tree, ...]:
    """Return a booster's trees as flat arrays; their sum equals `raw_scores` to the last bit."""
    return tuple(_flatten_tree(info["tree_structure"]) for info in booster.dump_model()["tree_info"])


def ensemble(booster: lightgbm.Booster) -> Ensemble:
    """Return a booster as the ensemble that serves it."""
    return Ensemble(flatten(booster), booster.num_feature())


def _flatten_tree(root: dict[str, Any]) -> Tree:
    """Lay a nested tree out in preorder."""
    if "split_feature" not in root:
        return Tree((), (), (), (), (), (float(root["leaf_value"]),))
    inner: list[tuple[int, float, int]] = []
    children: list[list[int]] = []
    leaf: list[float] = []
    stack: list[tuple[dict[str, Any], int, int]] = [(root, -1, 0)]
    while stack:
        node, parent, side = stack.pop()
        if "split_feature" in node:
            here = len(inner)
            missing = _MISSING[node["missing_type"]] | bool(node["default_left"])
            inner.append((int(node["split_feature"]), float(node["threshold"]), missing))
            children.append([0, 0])
            stack.append((node["right_child"], here, 1))
            stack.append((node["left_child"], here, 0))
        else:
            here = ~len(leaf)
            leaf.append(float(node["leaf_value"]))
        if parent >= 0:
            children[parent][side] = here
    feature, threshold, missing_bits = zip(*inner, strict=True)
    left, right = zip(*children, strict=True)
    return Tree(feature, threshold, left, right, missing_bits, tuple(leaf))
