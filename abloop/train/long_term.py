"""Reinforcement learning from the journal: sequences, long-run values by arm, and the gate on what they are worth."""

from __future__ import annotations

import math

import numpy as np

from abloop.evaluate.ope import clustered_mean
from abloop.evaluate.sequential import sequence_values
from abloop.evaluate.verdict import Verdict
from abloop.learners.nuisance import split_folds
from abloop.learners.q import Q, Steps, fit_q
from abloop.stats.compare import Estimate
from abloop.stats.sequential import always_valid_z, one_sided_z
from abloop.train.progress import Progress
from abloop.train.table import TrainingTable

FEWEST_STEPS = 50  # of each arm with a known consequence
# Steps that are followed from a start: each doubles the spread of what two arms are worth.
LONGEST = 5


def steps_of(table: TrainingTable) -> Steps:
    """Return the rows of a table as steps of their units, in the order of time: one step for each drawn arm.

    Decisions of a unit within one period of `experiment.redraw` share their draw: they are one step, with the state and
    the arm of the first, and what all of them brought. What a unit does after `model.gap` seconds without a step is no
    consequence any more. Its last step so far has no known consequence, unless the gap has passed since.
    """
    gap, redraw, sample = table.blueprint.model.gap, table.blueprint.experiment.redraw, table.sample
    order = np.lexsort((table.time, table.groups))
    period = np.floor_divide(table.time, redraw or 1.0)[order]
    units = table.groups[order]
    first = np.r_[True, (units[1:] != units[:-1]) | (period[1:] != period[:-1])][: len(order)]
    step_of = np.cumsum(first) - 1
    net = (sample.outcome - table.costs[sample.arm])[order]
    reward = np.bincount(step_of, net).astype(np.float64) if len(order) else net
    rows = order[first]
    units, times = table.groups[rows], table.time[rows]
    same = np.r_[units[1:] == units[:-1], False][: len(rows)]
    near = np.r_[np.diff(times) <= gap, False][: len(rows)] if gap else np.ones(len(rows), dtype=np.bool_)
    after = np.where(same & near, np.arange(1, len(rows) + 1), -1)
    ended = np.zeros(len(rows), dtype=np.bool_)
    if gap and len(rows):
        ended = ~(same & near) & (same | (times + gap < table.time.max()))
    everything = np.ones(len(order), dtype=np.bool_)
    inputs = table.inputs(everything)[rows]
    return Steps(inputs, sample.arm[rows], reward, table.propensity[rows], after, ended, units, sample.arms)


def cannot_follow(table: TrainingTable) -> str:
    """Return why nothing can be said of the long run, or an empty text."""
    steps = steps_of(table)
    counts = np.bincount(steps.arm[steps.told], minlength=steps.arms)
    if counts.min() < FEWEST_STEPS:
        name = table.blueprint.ordered_arms()[int(counts.argmin())].name
        return (
            f"Each arm needs {FEWEST_STEPS} decisions after which the same unit came again; {name!r} has "
            f"{int(counts.min())}. Wait, or name `learners: [t]` for what happens at once."
        )
    return ""


def judge_long_term(
    table: TrainingTable, progress: Progress = lambda done, total: None, *, always_valid: bool = False
) -> Verdict:
    """Return whether choosing by long-run value beats every single arm, over sequences of units never learned from.

    Args:
        table: The rows.
        progress: Called with fits done and fits in all.
        always_valid: Whether it will be asked again as rows come in.
    """
    model, steps = table.blueprint.model, steps_of(table)
    names = [arm.name for arm in table.blueprint.ordered_arms()]
    folds = split_folds(steps.groups, model.folds, np.random.default_rng([model.seed, 0]))
    values, chosen = np.empty((len(folds), steps.arms)), np.empty(len(folds), dtype=np.intp)
    for fold in range(model.folds):
        test = folds == fold
        fitted = fit_q(_without(steps, test), model.discount, model.seed)
        values[test], chosen[test] = fitted.values(steps.inputs[test]), fitted.greedy(steps.inputs[test])
        progress(fold + 1, model.folds)
    starts = _starts(steps)
    worth = [_worth(steps, values, policy, starts, model.discount) for policy in _policies(chosen, steps.arms)]
    _, groups = np.unique(steps.groups[starts], return_inverse=True)
    units = int(groups.max()) + 1
    z = (
        always_valid_z(units, table.blueprint.lifecycle.alpha)
        if always_valid
        else one_sided_z(table.blueprint.lifecycle.alpha)
    )
    return _verdict(table, names, worth, groups, units, z, always_valid=always_valid)


def _verdict(
    table: TrainingTable,
    names: list[str],
    worth: list[np.ndarray],
    groups: np.ndarray,
    units: int,
    z: float,
    *,
    always_valid: bool,
) -> Verdict:
    arms = {}
    for name, each in zip(names, worth[1:], strict=True):
        mean, error = clustered_mean(each, groups)
        arms[name] = Estimate(units, mean, mean - 1.96 * error, mean + 1.96 * error)
    gains = [clustered_mean(worth[0] - each, groups) for each in worth[1:]]
    best = int(np.argmax([each.mean() for each in worth[1:]]))
    gain, error = gains[best]
    low = min(mean - z * spread if math.isfinite(spread) else -math.inf for mean, spread in gains)
    found = (
        f"choosing by what follows would change the value of {LONGEST} steps by {gain:+.4g} against {names[best]!r} "
        f"for all (lower bound {low:+.4g}, {units:,} units, {len(groups):,} sequences, "
        f"discount {table.blueprint.model.discount:g})"
    )
    words = f"Personalise: {found}." if low > 0 else f"Not enough evidence: {found}; the bound must be above zero."
    return Verdict(
        verdict="personalise" if low > 0 else "not enough evidence",
        arm=names[best],
        gain=gain,
        low=low,
        high=gain + z * error,
        learner="q",
        reason=words,
        arms=arms,
        n=units,
        alpha=table.blueprint.lifecycle.alpha,
        always_valid=always_valid,
        closest="q",
    )


def fit_long_term(table: TrainingTable) -> Q:
    """Return the long-run values from all rows."""
    return fit_q(steps_of(table), table.blueprint.model.discount, table.blueprint.model.seed)


def _policies(chosen: np.ndarray, arms: int) -> list[np.ndarray]:
    """Return what the learned policy does at each step, then what each arm for all does."""
    return [chosen, *[np.full(len(chosen), arm, dtype=np.intp) for arm in range(arms)]]


def _worth(steps: Steps, values: np.ndarray, policy: np.ndarray, starts: np.ndarray, discount: float) -> np.ndarray:
    return sequence_values(
        policy, values, steps.arm, steps.reward, steps.propensity, steps.after, starts, discount, LONGEST, steps.told
    )


def _starts(steps: Steps) -> np.ndarray:
    """Return the first step of each sequence, and every fifth after it, so that none is followed twice."""
    follows = np.zeros(len(steps.after), dtype=np.bool_)
    follows[steps.after[steps.after >= 0]] = True
    found, here = [], np.flatnonzero(~follows)
    while len(here):
        found.append(here)
        for _ in range(LONGEST):
            here = steps.after[here]
            here = here[here >= 0]
    return np.concatenate(found)


def _without(steps: Steps, test: np.ndarray) -> Steps:
    """Return the steps of other units; units are whole in a fold, so that indices move together."""
    kept = np.flatnonzero(~test)
    place = np.full(len(test), -1, dtype=np.intp)
    place[kept] = np.arange(len(kept))
    after = np.where(steps.after[kept] >= 0, place[steps.after[kept]], -1)
    return Steps(
        steps.inputs[kept],
        steps.arm[kept],
        steps.reward[kept],
        steps.propensity[kept],
        after,
        steps.ended[kept],
        steps.groups[kept],
        steps.arms,
    )
