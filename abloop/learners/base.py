"""What a learner is given and what it gives back. Knows no evaluation and no storage."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from abloop.models.effects import EffectSpec, Term
from abloop.models.linear import Linear
from abloop.models.trees import Tree

Frame = NDArray[np.float64]
Index = NDArray[np.intp]


@dataclass(frozen=True)
class Sample:
    """Rows of a trial, ready for learning.

    Attributes:
        features: Shape (n, d), NaN where missing.
        arm: Index of each row's arm, shape (n,).
        outcome: Gross value of each row, shape (n,), finite.
        shares: Probability of each arm, shape (k,), sums to one; the first arm is control.
        levels: How many levels each feature has where it holds codes of a category, 0 for numbers, length d; empty
            where all are numbers.
        weights: What each row counts, shape (n,), above 0; None for one each.
        groups: Unit of each row, from 0, shape (n,), for learners with folds of their own; None for one row a unit.
    """

    features: Frame
    arm: Index
    outcome: Frame
    shares: Frame
    levels: tuple[int, ...] = ()
    weights: Frame | None = None
    groups: Index | None = None

    @property
    def arms(self) -> int:
        """Number of arms."""
        return len(self.shares)

    @property
    def units(self) -> Index:
        """Unit of each row, shape (n,): the groups, or a unit for each row."""
        return np.arange(len(self.arm)) if self.groups is None else self.groups

    def of(self, rows: NDArray[np.bool_]) -> Sample:
        """Return the sample of some of the rows, given as a mask of shape (n,)."""
        weights = None if self.weights is None else self.weights[rows]
        groups = None if self.groups is None else self.groups[rows]
        return Sample(
            self.features[rows], self.arm[rows], self.outcome[rows], self.shares, self.levels, weights, groups
        )


class Regression(Protocol):
    """A fitted regression on the fit side."""

    def predict(self, features: Frame) -> Frame:
        """Return predictions, shape (n, d) to (n,)."""
        ...

    def refit(self, outcome: Frame) -> Regression:
        """Return the same fit of another outcome of the same rows, shape (n,)."""
        ...

    def spec(self) -> tuple[Tree, ...] | Linear:
        """Return it as plain data for the predict side."""
        ...


class Base(Protocol):
    """Fits the regressions that a learner is made of."""

    def __call__(self, sample: Sample, seed: int) -> Regression:
        """Fit the outcome on the features; the arms are not looked at.

        Args:
            sample: Training rows.
            seed: For the tie breaks of the library.
        """
        ...


@dataclass(frozen=True)
class Effects:
    """A fitted effect model on the fit side.

    Attributes:
        arms: Number of arms.
        columns: Number of features.
        parts: Fitted regressions.
        terms: How the prediction of each part, named by its index, enters each arm's effect.
        base: Constant part of each arm's effect, shape (k,); zeros where empty.
    """

    arms: int
    columns: int
    parts: tuple[Regression, ...] = ()
    terms: tuple[Term, ...] = field(default=())
    base: tuple[float, ...] = ()

    def effect(self, features: Frame) -> Frame:
        """Return each arm's effect against control, shape (n, d) to (n, k); column 0 is zero."""
        out = np.tile(np.asarray(self.base or (0.0,) * self.arms), (len(features), 1))
        armed = with_arm(features, 0) if any(term.arm is not None for term in self.terms) else features
        for term in self.terms:
            if term.arm is not None:
                armed[:, -1] = term.arm
            score = self.parts[term.ensemble].predict(features if term.arm is None else armed)
            for arm, weight in enumerate(term.weights):
                if weight:
                    out[:, arm] += weight * score
        return out

    def spec(self) -> EffectSpec:
        """Return the model as plain data for the predict side."""
        ensembles: list[tuple[Tree, ...]] = []
        linears: list[Linear] = []
        place: list[int] = []
        for part in self.parts:
            spec = part.spec()
            place.append(len(linears) if isinstance(spec, Linear) else len(ensembles))
            linears += [spec] if isinstance(spec, Linear) else []
            ensembles += [] if isinstance(spec, Linear) else [spec]
        terms = tuple(
            Term(place[term.ensemble], term.weights, term.arm, isinstance(self.parts[term.ensemble].spec(), Linear))
            for term in self.terms
        )
        base = self.base or (0.0,) * self.arms
        return EffectSpec(base, self.columns, terms, tuple(ensembles), tuple(linears))


class Learner(Protocol):
    """Fits effects; one function in a file of its own."""

    def __call__(self, sample: Sample, outcomes: tuple[Regression, ...], seed: int, base: Base) -> Effects:
        """Fit.

        Args:
            sample: Training rows.
            outcomes: Outcome model of each arm on the same rows, shared between learners, length k.
            seed: For the tie breaks of the library.
            base: Fits the regressions.
        """
        ...


def with_arm(features: Frame, arm: int | Index) -> Frame:
    """Return the features with the arm as a last column."""
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
