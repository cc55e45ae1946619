"""The bases that learners are made of: boosted trees, and a linear model that is as good on many small trials."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from lightgbm import Booster, Dataset
from sklearn.linear_model import LogisticRegression

from abloop.learners.base import Frame, Sample
from abloop.models.gbdt import bin_rows, fit_binned, flatten, predict
from abloop.models.linear import Linear, LinearModel
from abloop.models.posterior import design_inputs
from abloop.models.trees import Tree

MOST_LEVELS = 30  # of a category in a linear model: those beyond add what a missing value adds
PENALTIES = np.logspace(-5, 2, 15)  # a row, of inputs with standard deviation 1
LOGISTIC_STRENGTH = 1.0


@dataclass(frozen=True)
class Trees:
    """Boosted trees on the fit side.

    Attributes:
        booster: What LightGBM fitted.
        data: The rows that it was fitted to, in bins.
        seed: For the tie breaks of the library.
    """

    booster: Booster
    data: Dataset
    seed: int

    def predict(self, features: Frame) -> Frame:
        """Return predictions, shape (n, d) to (n,)."""
        return predict(self.booster, features)

    def refit(self, outcome: Frame) -> Trees:
        """Return the same fit of another outcome of the same rows, shape (n,); they are not put in bins again."""
        return Trees(fit_binned(self.data, outcome, self.seed), self.data, self.seed)

    def spec(self) -> tuple[Tree, ...]:
        """Return the trees as plain data."""
        return flatten(self.booster)


@dataclass(frozen=True)
class Line:
    """A linear model on the fit side.

    Attributes:
        line: The model as plain data.
        sample: The rows that it was fitted to.
    """

    line: Linear
    sample: Sample

    def predict(self, features: Frame) -> Frame:
        """Return predictions, shape (n, d) to (n,)."""
        return LinearModel(self.line, features.shape[1]).frame(features)

    def refit(self, outcome: Frame) -> Line:
        """Return the same fit of another outcome of the same rows, shape (n,)."""
        return fit_linear(replace(self.sample, outcome=outcome), 0)

    def spec(self) -> Linear:
        """Return the model as plain data."""
        return self.line


def fit_trees(sample: Sample, seed: int) -> Trees:
    """Fit boosted trees of the outcome on the features.

    Args:
        sample: Training rows.
        seed: For the tie breaks of the library.
    """
    data = bin_rows(sample.features, sample.weights)
    return Trees(fit_binned(data, sample.outcome, seed), data, seed)


def fit_linear(sample: Sample, seed: int) -> Line:
    """Fit a ridge regression, its penalty by leave-one-out; logistic where every outcome is 0 or 1.

    Args:
        sample: Training rows; categories and missing values become inputs of their own.
        seed: Not used: nothing is drawn.
    """
    del seed
    outcome = sample.outcome
    return fit_line(sample, logistic=bool(np.isin(outcome, (0.0, 1.0)).all()) and 0.0 < outcome.mean() < 1.0)


def fit_line(sample: Sample, *, logistic: bool, strength: float = LOGISTIC_STRENGTH) -> Line:
    """Fit a ridge regression, its penalty by leave-one-out; or a logistic one.

    Args:
        sample: Training rows; categories and missing values become inputs of their own.
        logistic: Whether the outcomes are 0 and 1, both of them there, and their probability is wanted.
        strength: Inverse of the penalty of a logistic one, above 0.
    """
    design = Design.of(sample)
    inputs = design.inputs(sample.features)
    centre, scale = inputs.mean(axis=0), inputs.std(axis=0)
    scale[scale < 1e-12 * np.maximum(1.0, np.abs(centre))] = np.inf  # a constant input says nothing
    inputs = (inputs - centre) / scale
    outcome, weights = sample.outcome, sample.weights
    if logistic:
        fitted = LogisticRegression(C=strength, max_iter=1_000).fit(inputs, outcome, weights)
        slopes, intercept = fitted.coef_[0], float(fitted.intercept_[0])
    else:
        slopes, intercept = fit_ridge(inputs, outcome, weights)
    slopes = slopes / scale
    return Line(design.line(intercept - float(slopes @ centre), slopes, logistic), sample)


def fit_ridge(inputs: Frame, outcome: Frame, weights: Frame | None = None) -> tuple[Frame, float]:
    """Return slopes, shape (width,), and intercept of a ridge regression, of the penalty that is best by leave-one-out.

    The same as scikit-learn's `RidgeCV`, which multiplies all rows by a matrix for each penalty: in the directions of
    the eigenvectors all penalties take one product. Source: Golub, Heath, Wahba, "Generalized cross-validation",
    Technometrics 1979.

    Args:
        inputs: Shape (n, width), of standard deviation 1.
        outcome: Shape (n,), finite.
        weights: What each row counts, shape (n,), above 0; None for one each.
    """
    rows = np.ones(len(outcome)) if weights is None else weights
    share, roots = rows / rows.sum(), np.sqrt(rows)
    centre, level = share @ inputs, float(share @ outcome)
    x, y = (inputs - centre) * roots[:, None], (outcome - level) * roots
    sizes, directions = np.linalg.eigh(x.T @ x)
    x = x @ directions
    seen, shrunk = x.T @ y, 1.0 / (sizes[:, None] + PENALTIES * len(outcome))
    errors = y[:, None] - x @ (shrunk * seen[:, None])
    errors /= np.maximum(1.0 - share[:, None] - (x * x) @ shrunk, 1e-300)  # a row alone is what its mean is
    best = int((errors * errors).sum(axis=0).argmin())
    slopes: Frame = directions @ (shrunk[:, best] * seen)
    return slopes, level - float(centre @ slopes)


@dataclass(frozen=True)
class Design:
    """How features become the inputs of a model that takes neither categories nor missing values.

    Each number becomes itself with its mean where it is missing, each level of a category a 0 or 1, and each feature
    that has missing values one more 0 or 1 that says so.

    Attributes:
        means: Mean of each feature where it is known, shape (d,).
        gaps: Whether each feature had missing values, shape (d,).
        levels: Levels that have an input of their own, 0 for numbers, length d.
    """

    means: Frame
    gaps: tuple[bool, ...]
    levels: tuple[int, ...]

    @staticmethod
    def of(sample: Sample) -> Design:
        """Return the design of training rows."""
        known = ~np.isnan(sample.features)
        counts = known.sum(axis=0)
        means = np.where(known, sample.features, 0.0).sum(axis=0) / np.maximum(counts, 1)
        levels = sample.levels or (0,) * sample.features.shape[1]
        capped = tuple(min(count, MOST_LEVELS) for count in levels)
        return Design(means, tuple((counts < len(sample.features)).tolist()), capped)

    def inputs(self, features: Frame) -> Frame:
        """Return the inputs, shape (n, d) to (n, width)."""
        return design_inputs(self.means.tolist(), self.gaps, self.levels, features)

    def line(self, intercept: float, slopes: Frame, logistic: bool) -> Linear:
        """Return what was fitted on the inputs as a model of the features."""
        own, missing, levels, at = [], [], [], 0
        for mean, gaps, count in zip(self.means.tolist(), self.gaps, self.levels, strict=True):
            width = count or 1 + gaps
            given = [float(slope) for slope in slopes[at : at + width]]
            own.append(0.0 if count else given[0])
            missing.append(0.0 if count else given[0] * mean + (given[1] if gaps else 0.0))
            levels.append(tuple(given) if count else ())
            at += width
        return Linear(intercept, tuple(own), tuple(missing), tuple(levels), "logistic" if logistic else "identity")
