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
# Steps that are followed from a start, the rest being predicted: each doubles the spread of what two arms are worth.
LONGEST = 5


def steps_of(table: TrainingTable) -> Steps:
    """Return the rows of a table as steps of their units, in the order of time.

    What a unit does after `model.gap` seconds without a decision is no consequence any more. Its last step so far has
    no known consequence, unless the gap has passed since.
    """
    order = np.lexsort((table.time, table.groups))
    units, times, gap = table.groups[order], table.time[order], table.blueprint.model.gap
    same = np.r_[units[1:] == units[:-1], False]
    near = np.r_[np.diff(times) <= gap, False] if gap else np.ones(len(order), dtype=np.bool_)
    after = np.full(len(order), -1, dtype=np.intp)
    after[order[same & near]] = np.r_[order[1:], -1][same & near]
    ended = np.zeros(len(order), dtype=np.bool_)
    if gap and len(order):
        ended[order] = ~(same & near) & (same | (times + gap < times.max()))
    sample = table.sample
    net = sample.outcome - table.costs[sample.arm]
    everything = np.ones(len(order), dtype=np.bool_)
    return Steps(table.inputs(everything), sample.arm, net, table.propensity, after, ended, table.groups, sample.arms)


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
        f"choosing by what follows would change the value of a sequence by {gain:+.4g} against {names[best]!r} for all "
        f"(lower bound {low:+.4g}, {units:,} units, {len(groups):,} sequences, "
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
        policy, values, steps.arm, steps.reward, steps.propensity, steps.after, starts, discount, LONGEST
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
