"""What a learner is given and what it gives back. Knows no evaluation and no storage."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from lightgbm import Booster
from numpy.typing import NDArray

from abloop.models.effects import EffectSpec, Term
from abloop.models.gbdt import flatten, predict

Frame = NDArray[np.float64]


@dataclass(frozen=True)
class Sample:
    """Rows of a trial, ready for learning.

    Attributes:
        features: Shape (n, d), NaN where missing.
        arm: Index of each row's arm, shape (n,).
        outcome: Gross value of each row, shape (n,), finite.
        shares: Probability of each arm, shape (k,), sums to one; the first arm is control.
    """

    features: Frame
    arm: NDArray[np.intp]
    outcome: Frame
    shares: Frame

    @property
    def arms(self) -> int:
        """Number of arms."""
        return len(self.shares)

    def of(self, rows: NDArray[np.bool_]) -> Sample:
        """Return the sample of some of the rows, given as a mask of shape (n,)."""
        return Sample(self.features[rows], self.arm[rows], self.outcome[rows], self.shares)


@dataclass(frozen=True)
class Effects:
    """A fitted effect model on the fit side.

    Attributes:
        arms: Number of arms.
        columns: Number of features.
        boosters: Fitted tree ensembles.
        terms: How their predictions enter each arm's effect.
    """

    arms: int
    columns: int
    boosters: tuple[Booster, ...] = ()
    terms: tuple[Term, ...] = field(default=())

    def effect(self, features: Frame) -> Frame:
        """Return each arm's effect against control, shape (n, d) to (n, k); column 0 is zero."""
        out = np.zeros((len(features), self.arms))
        for term in self.terms:
            score = predict(self.boosters[term.ensemble], with_arm(features, term.arm))
            out += np.outer(score, np.asarray(term.weights))
        return out

    def spec(self) -> EffectSpec:
        """Return the model as plain data for the predict side."""
        ensembles = tuple(flatten(booster) for booster in self.boosters)
        return EffectSpec(base=(0.0,) * self.arms, columns=self.columns, terms=self.terms, ensembles=ensembles)


class Learner(Protocol):
    """Fits effects; one function in a file of its own."""

    def __call__(self, sample: Sample, outcomes: tuple[Booster, ...], seed: int) -> Effects:
        """Fit.

        Args:
            sample: Training rows.
            outcomes: Outcome model of each arm on the same rows, shared between learners, length k.
            seed: For the tie breaks of the library.
        """
        ...


def with_arm(features: Frame, arm: int | NDArray[np.intp] | None) -> Frame:
    """Return the features with the arm as a last column, or unchanged for None."""
    if arm is None:
        return features
    return np.column_stack([features, np.broadcast_to(np.asarray(arm, dtype=np.float64), len(features))])


def contrast(arms: int, arm: int, weight: float = 1.0) -> tuple[float, ...]:
    """Return term weights that add a prediction to one arm's effect; for control, subtract it from all others.

    Example:
        >>> contrast(3, 0), contrast(3, 2)
        ((0.0, -1.0, -1.0), (0.0, 0.0, 1.0))
    """
    if arm == 0:
        return (0.0,) + (-weight,) * (arms - 1)
    return tuple(weight if other == arm else 0.0 for other in range(arms))
