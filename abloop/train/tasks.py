"""The fit of one proxy task by one kind of model, on arrays. Knows no blueprint version and no table."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import lightgbm
import msgspec
import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression, QuantileRegressor

from abloop.blueprint.learning import Label
from abloop.learners.base import Frame, Index, Sample, with_arm
from abloop.learners.regress import LOGISTIC_STRENGTH, Design, fit_line
from abloop.models.gbdt import TREES, bin_rows, fit_binned, flatten, parameters
from abloop.models.labels import LabelSpec
from abloop.models.linear import Linear
from abloop.models.link import Link
from abloop.models.trees import Tree
from abloop.threads import crew
from abloop.train.examination import fit_relevance

TREE_SIZES: dict[str, tuple[int, dict[str, Any]]] = {
    "small": (50, {}),
    "medium": (TREES, {}),
    "large": (300, {"num_leaves": 31}),
}
HELD_BACK = 0.2  # share of rows, the latest of those to learn from, that say how many trees are enough
LEAST_STOPPED = 500  # rows; of fewer, so few would be held back that they say nothing
PATIENCE = 20  # trees that may follow without being any better on what is held back
MOST_GRADE = 30  # of an order: gains double with each
UNLIKELY = -30.0  # score of a class that no row had
MOST_QUANTILE_ROWS = 4_000  # of a linear quantile regression, which is a linear programme


@dataclass(frozen=True)
class Examples:
    """Rows on which a label is known, ready for learning.

    Attributes:
        inputs: Shape (n, d), NaN where missing.
        levels: Levels of each input, 0 for numbers, length d.
        values: The label, shape (n,), finite.
        arm: Index of each row's arm, shape (n,).
        arms: Number of arms.
        lists: Which list each row was a candidate of, shape (n,).
        positions: Where it was shown there, from 0, NaN where not known, shape (n,).
        groups: Unit of each row, shape (n,).
        time: When it was decided, shape (n,); None where that is not known.
    """

    inputs: Frame
    levels: tuple[int, ...]
    values: Frame
    arm: Index
    arms: int
    lists: Index
    positions: Frame
    groups: Index
    time: Frame | None = None

    def of(self, rows: NDArray[np.bool_] | Index) -> Examples:
        """Return some of the rows, given as a mask or as indices."""
        return replace(
            self,
            inputs=self.inputs[rows],
            values=self.values[rows],
            arm=self.arm[rows],
            lists=self.lists[rows],
            positions=self.positions[rows],
            groups=self.groups[rows],
            time=None if self.time is None else self.time[rows],
        )


def settled(label: Label, values: Frame) -> str:
    """Return the task of a label: `auto` is binary where every value is 0 or 1, and regression elsewhere."""
    if label.task != "auto":
        return label.task
    return "binary" if bool(np.isin(values, (0.0, 1.0)).all()) else "regression"


def link_of(task: str) -> Link:
    """Return how a task's scores become predictions."""
    return {"binary": "logistic", "multiclass": "softmax"}.get(task, "identity")  # type: ignore[return-value]


def fit_task_trees(label: Label, task: str, rows: Examples, seed: int, size: str, options: dict[str, Any]) -> LabelSpec:
    """Fit boosted trees to a label: as many as later rows are predicted best by, at most those of the size."""
    if not float(np.ptp(rows.values)):
        return constant_task(label, task, rows)
    rounds, sized = TREE_SIZES[size]
    chosen = {**sized, **options}
    rounds = int(chosen.pop("rounds", rounds))
    columns, last = rows.inputs.shape[1], None
    features = with_arm(rows.inputs, rows.arm) if label.by_arm else rows.inputs
    if label.position and task == "binary" and not np.isnan(rows.positions).all():
        found = fit_relevance(rows.inputs, rows.values, rows.positions, seed, {**chosen, "rounds": rounds})
        return LabelSpec(label.name, "logistic", found.trees, columns, looked=tuple(found.looked.tolist()))
    if label.position:
        features, last = np.column_stack([rows.inputs, rows.positions]), 0.0
    objective = {"multiclass": "multiclass", "quantile": "quantile", "rank": "lambdarank"}.get(task, task)
    own: dict[str, Any] = {"num_class": label.classes} if task == "multiclass" else {}
    own |= {"alpha": label.quantile} if task == "quantile" else {}
    if task == "rank":
        return LabelSpec(label.name, "identity", _ranked(features, rows, seed, rounds, chosen), columns, last=last)
    chosen |= own
    rounds = enough_rounds(features, rows, seed, objective, chosen, rounds)
    booster = fit_binned(bin_rows(features), rows.values, seed, objective, chosen, rounds)
    arms = rows.arms if label.by_arm else 0
    return LabelSpec(label.name, link_of(task), flatten(booster), columns, arms, label.classes, last=last)


def enough_rounds(
    features: Frame, rows: Examples, seed: int, objective: str, options: dict[str, Any], most: int
) -> int:
    """Return how many trees predict the latest of some rows best, when fitted to those before.

    Args:
        features: Inputs of trees, shape (n, d).
        rows: What is learned from, and when it was.
        seed: For the tie breaks of the library.
        objective: What trees are fitted to.
        options: LightGBM parameters that replace those of `parameters`.
        most: Trees at most, from 1.

    Returns:
        From 1 to `most`; `most` where there are too few rows to tell, or no time to order them by.
    """
    count = len(rows.values)
    if rows.time is None or count < LEAST_STOPPED:
        return most
    order = np.argsort(rows.time, kind="stable")
    first, after = np.split(order, [int(count * (1.0 - HELD_BACK))])
    if not float(np.ptp(rows.values[first])):
        return most
    data = bin_rows(features[first])
    data.set_label(rows.values[first])
    later = data.create_valid(features[after], rows.values[after])
    wanted = parameters(len(first), seed, objective) | {"num_threads": crew(*features.shape)} | options
    callbacks: list[Any] = [lightgbm.early_stopping(PATIENCE, verbose=False)]
    found = lightgbm.train(wanted, data, num_boost_round=most, valid_sets=[later], callbacks=callbacks)
    return max(found.best_iteration, 1)


def constant_task(label: Label, task: str, rows: Examples) -> LabelSpec:
    """Return what a label is on rows where it does not vary; a probability stays short of certainty."""
    value, count, arms = float(rows.values[0]), len(rows.values), rows.arms if label.by_arm else 0
    scores = [value]
    if task == "binary":
        scores = [math.log((value * count + 0.5) / ((1.0 - value) * count + 0.5))]
    elif task == "multiclass":
        scores = [0.0 if number == value else UNLIKELY for number in range(label.classes)]
    trees = tuple(Tree((), (), (), (), (), (score,)) for score in scores)
    return LabelSpec(label.name, link_of(task), trees, rows.inputs.shape[1], arms, label.classes)


def _ranked(features: Frame, rows: Examples, seed: int, rounds: int, options: dict[str, Any]) -> Any:
    """Return trees that order the rows of each list, LambdaMART. Source: Burges, MSR-TR-2010-82, 2010."""
    order = np.argsort(rows.lists, kind="stable")
    sizes = np.unique(rows.lists[order], return_counts=True)[1]
    grades = np.clip(np.rint(rows.values[order]), 0, MOST_GRADE).astype(int)
    data = lightgbm.Dataset(features[order], grades, group=sizes)
    wanted = parameters(len(order), seed, "lambdarank") | {"num_leaves": 31, "min_data_in_leaf": 20}
    wanted |= {"num_threads": crew(*features.shape), **options}
    return flatten(lightgbm.train(wanted, data, num_boost_round=rounds))


def fit_task_linear(
    label: Label, task: str, rows: Examples, seed: int, strength: float = LOGISTIC_STRENGTH
) -> LabelSpec:
    """Fit linear models to a label: ridge, logistic, one for each class, or of a quantile."""
    if not float(np.ptp(rows.values)):
        return constant_task(label, task, rows)
    if label.by_arm:
        alone = msgspec.structs.replace(label, by_arm=False)
        each = [fit_task_linear(alone, task, rows.of(_of_arm(rows, arm)), seed, strength) for arm in range(rows.arms)]
        every = tuple(line for spec in each for line in spec.linears)
        return LabelSpec(label.name, link_of(task), (), rows.inputs.shape[1], rows.arms, 0, every)
    features, levels, last = rows.inputs, rows.levels, None
    lines: tuple[Linear, ...]
    if label.position:
        features, levels, last = np.column_stack([rows.inputs, rows.positions]), (*levels, 0), 0.0
    count = len(rows.values)
    sample = Sample(features, np.zeros(count, dtype=np.intp), rows.values, np.ones(1), levels)
    if task in ("binary", "regression"):
        found = fit_line(sample, logistic=task == "binary", strength=strength).spec()
        lines = (msgspec.structs.replace(found, link="identity"),)  # the label's own link follows
    else:
        design = Design.of(sample)
        inputs = design.inputs(features)
        scale = inputs.std(axis=0)
        scale[scale < 1e-12] = np.inf
        if task == "quantile":
            some = np.random.default_rng(seed).permutation(count)[:MOST_QUANTILE_ROWS]
            found = QuantileRegressor(quantile=label.quantile, alpha=1e-4).fit(
                (inputs / scale)[some], rows.values[some]
            )
            slopes, intercepts = found.coef_[None, :], [found.intercept_]
        else:
            found = LogisticRegression(C=strength, max_iter=1_000).fit(inputs / scale, rows.values.astype(int))
            slopes, intercepts = _every_class(found, label.classes)
        lines = tuple(
            design.line(float(intercept), each / scale, logistic=False)
            for each, intercept in zip(slopes, intercepts, strict=True)
        )
    return LabelSpec(label.name, link_of(task), (), rows.inputs.shape[1], 0, label.classes, lines, last=last)


def _of_arm(rows: Examples, arm: int) -> NDArray[np.bool_]:
    """Return the rows of an arm; all where it has none to tell values apart."""
    found: NDArray[np.bool_] = rows.arm == arm
    varies = found.sum() > 1 and float(np.ptp(rows.values[found])) > 0.0
    return found if varies else np.ones(len(found), dtype=np.bool_)


def _every_class(found: LogisticRegression, classes: int) -> tuple[Frame, list[float]]:
    """Return slopes and intercept of every class, those that no row had at a very low score."""
    slopes = np.zeros((classes, found.coef_.shape[1]))
    intercepts = [UNLIKELY] * classes
    if len(found.classes_) == 2:  # one model tells two classes apart
        first, second = map(int, found.classes_)
        slopes[second], intercepts[first], intercepts[second] = found.coef_[0], 0.0, float(found.intercept_[0])
        return slopes, intercepts
    for at, number in enumerate(map(int, found.classes_)):
        slopes[number], intercepts[number] = found.coef_[at], float(found.intercept_[at])
    return slopes, intercepts
