"""Outcome models and folds that all learners and the doubly-robust score share. Knows no learner."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from abloop.learners.base import Base, Frame, Regression, Sample
from abloop.learners.regress import fit_trees


def fit_outcomes(sample: Sample, seed: int, base: Base = fit_trees) -> tuple[Regression, ...]:
    """Fit the conditional mean of the outcome in each arm.

    Args:
        sample: Training rows; every arm has some.
        seed: For the tie breaks of the library.
        base: Fits the regressions.

    Returns:
        One model for each arm, length k.
    """
    return tuple(base(sample.of(sample.arm == arm), seed) for arm in range(sample.arms))


def predict_outcomes(outcomes: tuple[Regression, ...], features: Frame) -> Frame:
    """Return each arm's predicted outcome, shape (n, d) to (n, k)."""
    return np.column_stack([model.predict(features) for model in outcomes])


def split_folds(groups: NDArray[np.intp], folds: int, rng: np.random.Generator) -> NDArray[np.intp]:
    """Deal groups to folds of equal size, so that no group stands on both sides of a split.

    Args:
        groups: Group of each row, 0 to g - 1, shape (n,).
        folds: Number of folds, from 2.
        rng: Source of the shuffle.

    Returns:
        Fold of each row, 0 to folds - 1, shape (n,).
    """
    count = int(groups.max()) + 1 if len(groups) else 0
    return (rng.permutation(count) % folds)[groups]
