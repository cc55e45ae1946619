"""The fit side of trees: repeatable, sound from a handful of rows on, equal to what is served."""

from __future__ import annotations

import math

import numpy as np
import pytest

from abloop.models.gbdt import TREES, ensemble, fit_gbdt, flatten, parameters, predict


def test_it_learns_a_mean() -> None:
    """On new rows the fitted mean explains most of what can be explained."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(3_000, 3))
    truth = np.where(x[:, 0] > 0, 1.0, -1.0) + 0.5 * x[:, 1]
    booster = fit_gbdt(x[:2_000], truth[:2_000] + rng.normal(size=2_000))
    error = np.mean((predict(booster, x[2_000:]) - truth[2_000:]) ** 2)
    assert error < 0.15 * truth.var()


def test_a_fit_is_repeatable() -> None:
    """The same rows and seed give the same trees."""
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(500, 4)), rng.normal(size=500)
    assert flatten(fit_gbdt(x, y, 7)) == flatten(fit_gbdt(x, y, 7))


@pytest.mark.parametrize(
    ("rows", "least"),
    [(1, 10), (999, 10), (1_100, 11), (20_000, 200), (10**6, 200)],
    ids=["one", "small", "more", "many", "millions"],
)
def test_leaves_grow_with_the_rows(rows: int, least: int) -> None:
    """A leaf holds a hundredth of the rows, from 10 to 200."""
    assert parameters(rows, 0)["min_data_in_leaf"] == least


ROWS = {
    "three-rows": (np.arange(6.0).reshape(3, 2), np.array([1.0, 2.0, 6.0])),
    "constant-outcome": (np.arange(200.0).reshape(100, 2), np.full(100, 0.3)),
    "constant-features": (np.ones((100, 2)), np.arange(100.0)),
    "all-missing": (np.full((100, 2), math.nan), np.arange(100.0)),
    "rare-outcome": (np.arange(400.0).reshape(200, 2), (np.arange(200) == 7).astype(float)),
}


@pytest.mark.parametrize(("x", "y"), ROWS.values(), ids=ROWS)
def test_thin_data_gives_a_served_mean(x: np.ndarray, y: np.ndarray) -> None:
    """Where there is nothing to split, the mean is predicted, and served to the last bit."""
    booster = fit_gbdt(x, y)
    served = ensemble(booster)
    new = np.concatenate([x, np.full((1, 2), math.nan)])
    assert served.frame(new).tolist() == predict(booster, new).tolist()
    assert [served.row(row) for row in new.tolist()] == predict(booster, new).tolist()
    assert predict(booster, x).mean() == pytest.approx(y.mean(), rel=1e-5)


def test_as_many_trees_as_said() -> None:
    """A fit with something to learn has the stated number of trees, each of eight leaves at most."""
    rng = np.random.default_rng(2)
    x = rng.normal(size=(800, 2))
    trees = flatten(fit_gbdt(x, x[:, 0] + rng.normal(size=800)))
    assert len(trees) == TREES
    assert max(len(tree.leaf) for tree in trees) <= 8
