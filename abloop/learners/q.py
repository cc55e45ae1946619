"""Fitted Q-iteration: what each arm brings in the long run, from logged sequences of decisions.

Source: Ernst, Geurts, Wehenkel, JMLR 2005; the maximum is taken among arms that the log knows at a state, as in
Fujimoto, Meger, Precup, ICML 2019.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from lightgbm import Booster
from numpy.typing import NDArray

from abloop.learners.base import Frame, Index
from abloop.models.effects import EffectSpec, Term
from abloop.models.gbdt import bin_rows, fit_binned, flatten, predict

TURNS = 25  # at most
STILL = 0.002  # mean change of the values, in their deviations, below which they have settled
LEAST_SHARE = 0.05  # of the likeliest arm's share at a state, for an arm to count as known there
ROUNDS = 60


@dataclass(frozen=True)
class Steps:
    """Decisions of units one after the other.

    Attributes:
        inputs: State of each step, shape (n, d).
        arm: Arm of each step, shape (n,).
        reward: Net value of each step, shape (n,).
        propensity: Probability of that arm, shape (n,).
        after: Index of the unit's next step, -1 where there is none, shape (n,).
        ended: Whether nothing follows for good, rather than not yet, shape (n,).
        groups: Unit of each step, shape (n,).
        arms: Number of arms.
    """

    inputs: Frame
    arm: Index
    reward: Frame
    propensity: Frame
    after: Index
    ended: NDArray[np.bool_]
    groups: Index
    arms: int

    @property
    def told(self) -> NDArray[np.bool_]:
        """Which steps have a known consequence, shape (n,)."""
        return (self.after >= 0) | self.ended


@dataclass(frozen=True)
class Q:
    """Long-run values.

    Attributes:
        boosters: One for each arm.
        known: Shares of the arms in the log by state; None where they do not depend on it.
    """

    boosters: tuple[Booster, ...]
    known: Booster | None

    def values(self, inputs: Frame) -> Frame:
        """Return the value of each arm, shape (n, d) to (n, k)."""
        return np.stack([predict(booster, inputs) for booster in self.boosters], axis=1)

    def supported(self, inputs: Frame) -> NDArray[np.bool_]:
        """Return which arms the log knows at a state, shape (n, k)."""
        if self.known is None:
            return np.ones((len(inputs), len(self.boosters)), dtype=np.bool_)
        shares = np.asarray(self.known.predict(inputs))
        found: NDArray[np.bool_] = shares >= LEAST_SHARE * shares.max(axis=1)[:, None]
        return found

    def greedy(self, inputs: Frame) -> Index:
        """Return the arm of greatest value among those that the log knows, shape (n,)."""
        chosen: Index = np.where(self.supported(inputs), self.values(inputs), -np.inf).argmax(axis=1)
        return chosen

    def spec(self, columns: int, costs: Frame) -> EffectSpec:
        """Return effects against control as plain data: gross, so that net of cost they are the long-run gain.

        Args:
            columns: Number of inputs.
            costs: Cost of each arm, which the values are net of, shape (k,).
        """
        arms = len(self.boosters)
        terms = [Term(arm, tuple(float(arm == at) for at in range(arms))) for arm in range(1, arms)]
        terms.append(Term(0, (0.0, *[-1.0] * (arms - 1))))
        base = tuple(float(cost - costs[0]) for cost in costs)
        return EffectSpec(base, columns, tuple(terms), tuple(flatten(booster) for booster in self.boosters))


def fit_q(steps: Steps, discount: float, seed: int = 0) -> Q:
    """Fit the long-run value of each arm: reward + discount * greatest value at the next step, again and again.

    Args:
        steps: The log; every arm has some steps whose consequence is known.
        discount: Worth of what comes one step later, in [0, 1).
        seed: For the tie breaks of the library.
    """
    told = np.flatnonzero(steps.told)
    known = _behaviour(steps, told, seed)
    rows = [told[steps.arm[told] == arm] for arm in range(steps.arms)]
    bins = [bin_rows(steps.inputs[here]) for here in rows]
    follows = steps.after[told] >= 0
    states = steps.inputs[steps.after[told[follows]]]
    target = steps.reward.astype(np.float64).copy()
    spread = float(steps.reward[told].std()) or 1.0
    before = np.full(len(states), np.inf)
    for _ in range(TURNS):
        found = Q(
            tuple(
                fit_binned(data, target[here], seed, options={"learning_rate": 0.1}, rounds=ROUNDS)
                for data, here in zip(bins, rows, strict=True)
            ),
            known,
        )
        if discount == 0.0 or not len(states):
            break
        values = np.where(found.supported(states), found.values(states), -np.inf).max(axis=1)
        if float(np.abs(values - before).mean()) < STILL * spread:
            break
        before = values
        target[told[follows]] = steps.reward[told[follows]] + discount * values
    return found


def _behaviour(steps: Steps, told: Index, seed: int) -> Booster | None:
    """Return a model of the log's arms by state; None where each arm always had one propensity."""
    constant = all(np.ptp(steps.propensity[told][steps.arm[told] == arm]) < 1e-9 for arm in range(steps.arms))
    if constant:
        return None
    options = {"num_class": steps.arms, "learning_rate": 0.1}
    data = bin_rows(steps.inputs[told])
    return fit_binned(data, steps.arm[told].astype(np.float64), seed, "multiclass", options, 30)
