"""The fit of label models: what a proxy task predicts, and how well it does on rows it never saw."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from lightgbm import Booster
from numpy.typing import NDArray

from abloop.blueprint.spec import Label
from abloop.learners.base import Frame, with_arm
from abloop.learners.nuisance import split_folds
from abloop.models.gbdt import fit_gbdt, flatten, raw_scores
from abloop.models.labels import LabelSpec
from abloop.models.link import Link, linked
from abloop.train.progress import Progress
from abloop.train.table import TrainingTable


@dataclass(frozen=True)
class FittedLabel:
    """A fitted label model on the fit side.

    Attributes:
        name: The label.
        link: How scores become predictions.
        booster: The fitted trees.
        columns: Number of model inputs.
        arms: Arms it is predicted for; 0 for one prediction.
    """

    name: str
    link: Link
    booster: Booster
    columns: int
    arms: int

    def predict(self, inputs: Frame) -> Frame:
        """Return predictions, shape (n,), or (n, k) where it is predicted by arm."""
        if not self.arms:
            return linked(raw_scores(self.booster, inputs), self.link)
        scores = [raw_scores(self.booster, with_arm(inputs, np.asarray(arm))) for arm in range(self.arms)]
        return np.stack([linked(score, self.link) for score in scores], axis=1)

    def spec(self) -> LabelSpec:
        """Return the model as plain data for the predict side."""
        return LabelSpec(self.name, self.link, flatten(self.booster), self.columns, self.arms)


def fit_label(label: Label, inputs: Frame, arm: NDArray[np.intp], values: Frame, arms: int, seed: int) -> FittedLabel:
    """Fit a label on the rows where it is known.

    Args:
        label: What is predicted.
        inputs: Shape (n, d), NaN where missing.
        arm: Index of each row's arm, shape (n,).
        values: The label, NaN where missing, shape (n,).
        arms: Number of arms.
        seed: For the tie breaks of the library.
    """
    known = ~np.isnan(values)
    binary = bool(np.isin(values[known], (0.0, 1.0)).all())
    features = with_arm(inputs, arm) if label.by_arm else inputs
    booster = fit_gbdt(features[known], values[known], seed, "binary" if binary else "regression")
    return FittedLabel(
        label.name, "logistic" if binary else "identity", booster, inputs.shape[1], arms if label.by_arm else 0
    )


def fit_labels(table: TrainingTable, inputs: Frame, rows: NDArray[np.bool_]) -> list[FittedLabel]:
    """Fit every label of a blueprint on some of the rows, given as a mask of shape (n,)."""
    seed, sample = table.blueprint.model.seed, table.sample
    return [
        fit_label(label, inputs[rows], sample.arm[rows], table.metrics[label.name][rows], sample.arms, seed)
        for label in table.blueprint.labels
    ]


def label_losses(
    table: TrainingTable, names: tuple[str, ...], progress: Progress = lambda done, total: None
) -> dict[str, tuple[Frame, Frame]]:
    """Return the squared error of each label's model, and of its mean, on rows that neither saw.

    Args:
        table: The rows.
        names: Labels to look at.
        progress: Called with fits done and fits in all.

    Returns:
        Label to the model's and the mean's squared error, each of shape (n,), NaN where the label is missing.
    """
    model, rows = table.blueprint.model, len(table.sample.arm)
    losses = {name: (np.full(rows, np.nan), np.full(rows, np.nan)) for name in names}
    folds = split_folds(table.groups, model.folds, np.random.default_rng([model.seed, 0]))
    for fold in range(model.folds):
        test = folds == fold
        inputs = table.inputs(~test)
        for fitted in fit_labels(table, inputs, ~test):
            if fitted.name not in losses:
                continue
            values, predicted = table.metrics[fitted.name], fitted.predict(inputs[test])
            ours, mean = losses[fitted.name]
            ours[test] = (values[test] - predicted) ** 2
            mean[test] = (values[test] - np.nanmean(values[~test])) ** 2
        progress(fold + 1, model.folds)
    return losses
