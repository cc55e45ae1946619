"""What a bandit's rows say: what it earned, beside each arm alone. It serves every fit; nothing is switched by this."""

from __future__ import annotations

import math

from abloop.evaluate.ope import clustered_mean, count_units, weighted_value
from abloop.evaluate.verdict import Verdict
from abloop.train.refusal import unfit_label, unfit_value
from abloop.train.table import TrainingTable

FEWEST_ROWS = 20  # before the first fit
Z = 1.645  # one-sided, 95 %


def cannot_play(table: TrainingTable) -> str:
    """Return why a bandit cannot be fitted to the table yet, or an empty text."""
    strategy, rows = table.blueprint.strategy, len(table.sample.arm)
    if rows < FEWEST_ROWS:
        return (
            f"A bandit begins with {FEWEST_ROWS} complete rows; {strategy!r} has {rows}. Its arms are drawn until then."
        )
    if table.unobserved:
        return (
            f"Metric {table.unobserved[0]!r} was never logged, so there is nothing to learn from. Log it: "
            f"loop.strategy({strategy!r}).log_observations(decision_id, {{{table.unobserved[0]!r}: value}})."
        )
    if reason := unfit_value(table) or unfit_label(table):
        return reason
    if not table.has_features:
        return "No feature has a value, so nothing tells units apart. Add features to the blueprint, and pass them."
    return ""


def play(table: TrainingTable, *, always_valid: bool = False) -> Verdict:
    """Return what the bandit earned a decision since it began, beside the best arm alone.

    Args:
        table: The rows; arms were drawn with the logged propensities.
        always_valid: As the gate was asked; the interval is that of one look.
    """
    sample, names = table.sample, [arm.name for arm in table.blueprint.ordered_arms()]
    net = sample.outcome - table.costs[sample.arm]
    arms = {}
    for arm, name in enumerate(names):
        here = sample.arm == arm
        if here.sum() > 1:
            arms[name] = weighted_value(net[here], table.groups[here], 1.0 / table.propensity[here])
    best = max(arms, key=lambda name: arms[name].mean) if arms else names[0]
    mean, error = clustered_mean(net, table.groups)
    alone = arms[best].mean if arms else mean
    width = Z * error if math.isfinite(error) else math.inf
    gain, learner = mean - alone, table.blueprint.model.learners[0]
    units = count_units(table.groups)
    return Verdict(
        verdict="personalise",
        arm=best,
        gain=gain,
        low=gain - width,
        high=gain + width,
        learner=learner,
        reason=(
            f"The bandit plays: {mean:+.4g} a decision so far, its first random ones included, against {alone:+.4g} of "
            f"{best!r} for all ({len(net):,} decisions of {units:,} units)."
        ),
        arms=arms,
        n=units,
        alpha=table.blueprint.lifecycle.alpha,
        always_valid=always_valid,
        closest=learner,
    )
