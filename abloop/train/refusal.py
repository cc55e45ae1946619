"""Why nothing can be learned from a training table, in the words of who has to mend it."""

from __future__ import annotations

import numpy as np

from abloop.blueprint.learning import Label
from abloop.blueprint.policy import Policy
from abloop.evaluate.verdict import FEWEST_UNITS
from abloop.learners.base import Frame
from abloop.train.leak import leaking_feature, telling_feature
from abloop.train.table import LARGEST, TrainingTable
from abloop.train.tasks import MOST_GRADE


def cannot_judge(table: TrainingTable, mismatch: str = "") -> str:
    """Return why effects cannot be estimated from the table, or an empty text.

    Args:
        table: The rows, of a strategy with arms.
        mismatch: What the readout says of shares that are not the planned ones; empty where they are.
    """
    strategy, names = table.blueprint.strategy, [arm.name for arm in table.blueprint.ordered_arms()]
    if not len(table.sample.arm):
        return f"No complete rows for {strategy!r} yet: log decisions, and wait for their TTL to end."
    if table.unobserved:
        metric = table.unobserved[0]
        return (
            f"Metric {metric!r} was never logged, so there is nothing to learn from. Log it: "
            f"loop.strategy({strategy!r}).log_observations(decision_id, {{{metric!r}: value}})."
        )
    units = table.units_by_arm()
    fewest = int(np.argmin(units))
    if units[fewest] < FEWEST_UNITS:
        return (
            f"Each arm needs {FEWEST_UNITS} units before anything is estimated; {names[fewest]!r} has "
            f"{units[fewest]:,}. Wait, or give it more weight."
        )
    if mismatch:
        return mismatch
    if leak := leaking_feature(table):
        return (
            f"Feature {leak!r} depends on the arm, beyond chance: it was changed by the arm, or arms were not drawn "
            "with the propensities that were logged. Pass only what is known before the decision, or remove it from "
            "the blueprint."
        )
    return unfit_value(table) or unfit_label(table)


def unfit_value(table: TrainingTable) -> str:
    """Return why no arm's value can be learned, or an empty text."""
    outcome = table.sample.outcome
    if np.abs(outcome).max() > LARGEST:
        return (
            f"The value is {outcome[np.abs(outcome).argmax()]:g} on a row; allowed: from -{LARGEST:g} to {LARGEST:g}, "
            "whose squares can be added. Find what logs it, and `abloop erase` its unit."
        )
    if np.ptp(outcome) == 0.0:
        return f"The value is {outcome[0]:g} on every row: it never varies, so no arm can be better."
    return ""


def cannot_predict(table: TrainingTable) -> str:
    """Return why no label can be predicted from the table, or an empty text.

    Args:
        table: The rows, of a strategy without arms.
    """
    strategy, policy = table.blueprint.strategy, Policy(table.blueprint)
    if not policy.labels:
        return (
            "The policy is a rule that predicts nothing: it serves, and its explore share compares it with the default."
        )
    if not len(table.sample.arm):
        return f"No complete rows for {strategy!r} yet: log decisions, and wait for their TTL to end."
    if reason := unfit_label(table):
        return reason
    if not table.has_features:
        return "No feature has a value, so nothing can be predicted. Add features to the blueprint, and pass them."
    return ""


def unfit_label(table: TrainingTable) -> str:
    """Return why one of the labels cannot be learned, or an empty text; those that no formula reads are asked too."""
    strategy = table.blueprint.strategy
    for label in table.blueprint.labels:
        name, values = label.name, table.metrics[label.name]
        known = ~np.isnan(values)
        units = len(np.unique(table.groups[known]))
        if name in table.unobserved or not units:
            return (
                f"Label {name!r} was never logged, so there is nothing to learn from. Log it: "
                f"loop.strategy({strategy!r}).log_observations(decision_id, {{{name!r}: value}})."
            )
        if reason := _no_value(label, values[known]):
            return reason
        if units < FEWEST_UNITS:
            return f"Label {name!r} needs {FEWEST_UNITS} units before it is predicted; it has {units:,}. Wait."
        if np.ptp(values[known]) == 0.0:
            return f"Label {name!r} is {values[known][0]:g} on every row: it never varies, so nothing can predict it."
        if leak := telling_feature(table, name):
            return (
                f"Feature {leak!r} is label {name!r} in other words, exactly, on every row: it cannot have been known "
                "before the decision. Pass only what is, or remove it from the blueprint."
            )
    return ""


def _no_value(label: Label, values: Frame) -> str:
    """Return which values of a label are none of its task, or an empty text."""
    whole = values == np.floor(values)
    allowed, fine = {
        "multiclass": (f"0 to {label.classes - 1}, the number of the class", whole & (values < label.classes)),
        "binary": ("0 or 1", whole & (values < 2)),
        "rank": (f"whole grades from 0 to {MOST_GRADE}", whole & (values <= MOST_GRADE)),
    }.get(label.task, (f"numbers from -{LARGEST:g} to {LARGEST:g}, whose squares can be added", values <= LARGEST))
    least = -LARGEST if label.task in ("auto", "regression", "quantile") else 0.0
    wrong = values[~fine | (values < least)]
    if not len(wrong):
        return ""
    task = "" if label.task == "auto" else f" of task {label.task!r}"
    return (
        f"Label {label.name!r}{task} is {wrong[0]:g} on a row, and out of its range on {len(wrong):,}; allowed: "
        f"{allowed}. Log that, or give the label another task."
    )
