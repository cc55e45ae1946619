"""Tree ensembles as flat arrays: bit for bit the library that fitted them, and hostile arrays refused."""

from __future__ import annotations

import math
import struct
from typing import Any

import lightgbm
import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from abloop.errors import ArtefactError
from abloop.models.forest import Ensemble, Forest
from abloop.models.gbdt import flatten
from abloop.models.machine import machine_code
from abloop.models.spelled import MOST_NESTED, compile_trees
from abloop.models.trees import Tree

STUMP = Tree((0,), (0.5,), (-1,), (-2,), (2,), (1.0, 3.0))


def bits(values: Any) -> list[bytes]:
    """Return floats as their bytes, so that equal means equal."""
    return [struct.pack("<d", float(value)) for value in values]


def features(rng: np.random.Generator, n: int, kind: str) -> np.ndarray:
    """Return inputs of one kind, shape (n, 4)."""
    x = rng.normal(size=(n, 4))
    x[:, 1] = rng.integers(-1, 3, n)
    x[:, 2] = rng.exponential(1e6, n)
    if kind in ("missing", "both"):
        x[rng.random(x.shape) < 0.2] = math.nan
    if kind in ("zeros", "both"):
        x[rng.random(x.shape) < 0.3] = 0.0
        x[rng.random(x.shape) < 0.02] = 1e-36
        x[rng.random(x.shape) < 0.02] = -0.0
    return x


@pytest.mark.parametrize(
    "options", [{}, {"zero_as_missing": True}, {"use_missing": False}, {"num_leaves": 63}], ids=str
)
@pytest.mark.parametrize("kind", ["plain", "missing", "zeros", "both"])
def test_row_frame_and_library_agree_to_the_last_bit(kind: str, options: dict[str, Any]) -> None:
    """One row, a frame and LightGBM's own predictions are one number, also on inputs unlike the training rows."""
    rng = np.random.default_rng(len(kind) + 7 * len(str(options)))
    x = features(rng, 600, kind)
    y = np.where(x[:, 0] > 0, x[:, 1], 1.0)
    y = np.nan_to_num(y) + np.isnan(x[:, 2]) + (x[:, 3] == 0.0) + 0.1 * rng.normal(size=600)
    data = lightgbm.Dataset(x, y)
    booster = lightgbm.train({"verbose": -1, "min_data_in_leaf": 3, "seed": 1, **options}, data, 15)
    new = np.concatenate([features(rng, 40, which) for which in ("plain", "missing", "zeros", "both")])
    new[0], new[1] = math.nan, 0.0
    spelled = Forest([flatten(booster)], 4, [(0, None)], native=False)
    for inputs in (x[:60], new):
        expected = bits(booster.predict(inputs))
        for served in (Forest([flatten(booster)], 4, [(0, None)]), spelled):
            assert bits(served.frame(inputs)[:, 0]) == expected
            assert bits(served.row(row)[0] for row in inputs.tolist()) == expected


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 20), st.lists(st.none() | st.integers(0, 3), min_size=1, max_size=5))
def test_machine_code_and_python_give_the_same_bits(seed: int, trees: int, arms: list[int | None]) -> None:
    """Several ensembles read in one call, with arms and without, are each what they are alone, whoever reads them."""
    assert machine_code() is not None
    rng = np.random.default_rng(seed)
    x = features(rng, 120, "missing")
    options = {"verbose": -1, "min_data_in_leaf": 2, "num_leaves": int(rng.integers(2, 40))}
    armed = np.column_stack([x, rng.integers(0, 4, 120)])
    plain = flatten(lightgbm.train(options, lightgbm.Dataset(x, rng.normal(size=120)), trees))
    by_arm = flatten(lightgbm.train(options, lightgbm.Dataset(armed, rng.normal(size=120)), trees))
    reads = [(1, 0.0), *((0, None) if arm is None else (1, float(arm)) for arm in arms)]
    native, python = (Forest([plain, by_arm], 4, reads, native=which) for which in (True, False))
    assert bits(native.frame(x[:50]).ravel()) == bits(python.frame(x[:50]).ravel())
    for row, expected in zip(x[:50].tolist(), python.frame(x[:50]), strict=True):
        assert bits(native.row(row)) == bits(python.row(row)) == bits(expected)


def test_json_keeps_every_bit() -> None:
    """Trees that went through an artefact's JSON predict the same bits."""
    rng = np.random.default_rng(0)
    x = features(rng, 300, "both")
    booster = lightgbm.train({"verbose": -1}, lightgbm.Dataset(x, rng.normal(size=300)), 10)
    trees = flatten(booster)
    again = msgspec.json.decode(msgspec.json.encode(trees), type=tuple[Tree, ...])
    assert again == trees
    assert bits(Ensemble(again, 4).frame(x)) == bits(booster.predict(x))


def chain(depth: int, missing: int) -> Tree:
    """Return a tree in which every left child is a leaf, `depth` deep."""
    leaves = tuple(float(leaf) for leaf in range(depth + 1))
    return Tree(
        feature=(0,) * depth,
        threshold=tuple(float(node) for node in range(depth)),
        left=tuple(~node for node in range(depth)),
        right=(*range(1, depth), ~depth),
        missing=(missing,) * depth,
        leaf=leaves,
    )


@pytest.mark.parametrize("missing", range(8))
@pytest.mark.parametrize("depth", [1, MOST_NESTED, MOST_NESTED + 1, 500])
def test_any_depth_can_be_read(depth: int, missing: int) -> None:
    """A tree too deep for Python's parser is walked, with the same answer as the frame."""
    served = Ensemble([chain(depth, missing)], 1)
    x = np.array([[math.nan], [0.0], [-0.0], [1e-36], [-5.0], [depth / 2], [depth + 1.0], [math.inf], [-math.inf]])
    assert bits(served.frame(x)) == bits(served.row(row) for row in x.tolist())


def test_single_leaves_and_no_trees() -> None:
    """A tree without a split is its leaf, and no trees predict zero."""
    leaf = Tree((), (), (), (), (), (2.5,))
    assert [add(1.0, 3.0) for add in compile_trees([leaf], 1)] == [3.5]
    assert Ensemble([leaf, leaf], 0).frame(np.empty((3, 0))).tolist() == [5.0, 5.0, 5.0]
    assert Ensemble([], 2).row([0.0, 0.0]) == 0.0
    assert Ensemble([], 2).frame(np.zeros((2, 2))).tolist() == [0.0, 0.0]


MALFORMED = {
    "one-leaf-less": (msgspec.structs.replace(STUMP, leaf=(1.0,)), "lengths"),
    "no-threshold": (msgspec.structs.replace(STUMP, threshold=()), "lengths"),
    "no-leaf": (Tree((), (), (), (), (), ()), "lengths"),
    "column-beyond": (msgspec.structs.replace(STUMP, feature=(2,)), "column 2"),
    "column-below": (msgspec.structs.replace(STUMP, feature=(-1,)), "column"),
    "threshold-nan": (msgspec.structs.replace(STUMP, threshold=(math.nan,)), "finite"),
    "threshold-infinite": (msgspec.structs.replace(STUMP, threshold=(math.inf,)), "finite"),
    "leaf-nan": (msgspec.structs.replace(STUMP, leaf=(1.0, math.nan)), "finite"),
    "missing-bits": (msgspec.structs.replace(STUMP, missing=(8,)), "bits"),
    "leaf-twice": (msgspec.structs.replace(STUMP, right=(-1,)), "once"),
    "leaf-beyond": (msgspec.structs.replace(STUMP, right=(-3,)), "once"),
    "own-child": (msgspec.structs.replace(STUMP, right=(0,)), "once"),
    "circle": (Tree((0, 0), (0.0, 1.0), (1, 1), (-1, -2), (2, 2), (1.0, 2.0, 3.0)), "once"),
    "root-unreached": (Tree((0, 0), (0.0, 1.0), (-1, 1), (-2, -3), (2, 2), (1.0, 2.0, 3.0)), "back"),
}


@pytest.mark.parametrize(("tree", "words"), MALFORMED.values(), ids=MALFORMED)
def test_malformed_trees_are_refused(tree: Tree, words: str) -> None:
    """What is no tree is refused when it is loaded, with what is wrong."""
    with pytest.raises(ArtefactError, match=words):
        Ensemble([STUMP, tree], 2)


def valid_trees() -> list[Tree]:
    """Return fitted trees to start mutations from."""
    rng = np.random.default_rng(3)
    x = features(rng, 300, "both")
    options = {"verbose": -1, "num_leaves": 7, "min_data_in_leaf": 5}
    return [*flatten(lightgbm.train(options, lightgbm.Dataset(x, rng.normal(size=300)), 4)), STUMP, chain(5, 3)]


VALID = valid_trees()
numbers = st.integers(-12, 12) | st.sampled_from([2**31, -(2**63), 2**64])
floats = st.floats() | st.sampled_from([0.0, math.nan, math.inf, 1e308, -1e-320])


@st.composite
def mutated(draw: st.DrawFn) -> Tree:
    """Draw a valid tree with some entries changed, swapped, dropped or doubled."""
    raw = [list(column) for column in msgspec.to_builtins(draw(st.sampled_from(VALID)))]
    for _ in range(draw(st.integers(1, 4))):
        which = draw(st.integers(0, 5))
        column = raw[which]
        value = draw(floats if which in (1, 5) else numbers)
        action = draw(st.sampled_from(["set", "set", "swap", "drop", "add"]))
        spot = draw(st.integers(0, max(0, len(column) - 1)))
        other = draw(st.integers(0, max(0, len(column) - 1)))
        if action == "add":
            column.insert(spot, value)
        elif column and action == "drop":
            del column[spot]
        elif column and action == "swap":
            column[spot], column[other] = column[other], column[spot]
        elif column:
            column[spot] = value
    return Tree(*map(tuple, raw))


@settings(max_examples=500, deadline=None)
@given(mutated())
def test_no_mutation_breaks_a_prediction(tree: Tree) -> None:
    """A changed tree is refused, or gives finite predictions, one row and a frame alike; never anything else."""
    try:
        served = Ensemble([tree], 4)
    except ArtefactError:
        return
    rng = np.random.default_rng(0)
    x = features(rng, 30, "both")
    x[0], x[1] = math.nan, 0.0
    frame = served.frame(x)
    assert np.isfinite(frame).all()
    assert bits(frame) == bits(served.row(row) for row in x.tolist())
