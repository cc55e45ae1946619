"""How well labels are predicted on rows later than all that their models saw."""

from __future__ import annotations

import math
from dataclasses import dataclass

import msgspec
import numpy as np
from numpy.typing import NDArray

from abloop.blueprint.learning import Label
from abloop.blueprint.policy import Policy
from abloop.evaluate.canary import judge_labels
from abloop.evaluate.tasks import figures
from abloop.evaluate.verdict import Verdict
from abloop.learners.base import Frame, Index
from abloop.train.labels import BLOCKS, SEARCHED, fit_labels, known_rows, knows_places, row_losses, without_features
from abloop.train.progress import Progress
from abloop.train.table import TrainingTable
from abloop.train.tasks import settled

SHOWN = {
    "auc": "AUC",
    "calibration": "calibration error",
    "r2": "R2",
    "below": "share below it",
    "accuracy": "accuracy",
    "ndcg_3": "NDCG@3",
}


@dataclass(frozen=True)
class HeldOut:
    """One label on rows that judged it, NaN elsewhere and where it is missing.

    Attributes:
        model: Loss of its model, shape (n,).
        none: Loss of what is predicted without any feature, shape (n,).
        predicted: What its model predicts, of the arm that was drawn; one column for each class, shape (n, c).
        task: What it was learned as.
    """

    model: Frame
    none: Frame
    predicted: Frame
    task: str


def judge_predictions(
    table: TrainingTable, progress: Progress = lambda done, total: None, *, always_valid: bool = False
) -> Verdict:
    """Return whether every label that the policy reads is predicted provably better than without features.

    Args:
        table: The rows.
        progress: Called with fits done and fits in all.
        always_valid: Whether it will be asked again as rows come in.
    """
    found = held_out(table, Policy(table.blueprint).labels, progress)
    losses = {name: (each.model, each.none) for name, each in found.items()}
    placed = [label.name for label in table.blueprint.labels if knows_places(table, label)]
    alpha = table.blueprint.lifecycle.alpha
    verdict = judge_labels(losses, table.groups, alpha, always_valid=always_valid, placed=placed)
    told = figures_of(table, found)
    return msgspec.structs.replace(verdict, figures=told, reason=f"{verdict.reason} {in_words(told)}".strip())


def held_out(
    table: TrainingTable, names: tuple[str, ...], progress: Progress = lambda done, total: None
) -> dict[str, HeldOut]:
    """Return each label on rows later than all that its model saw.

    Time is cut into five blocks; each but the first is predicted from those before it.

    Args:
        table: The rows.
        names: Labels to look at.
        progress: Called with fits done and fits in all.
    """
    rows = len(table.sample.arm)
    wanted = [label for label in table.blueprint.labels if label.name in names]
    found = {
        label.name: HeldOut(
            np.full(rows, np.nan),
            np.full(rows, np.nan),
            np.full((rows, label.classes or 1), np.nan),
            settled(label, known_rows(table, label, np.ones(rows, dtype=np.bool_))[1]),
        )
        for label in wanted
    }
    block = np.empty(rows, dtype=np.intp)
    block[_order(table)] = np.arange(rows) * BLOCKS // max(rows, 1)
    # What a search looked at can no longer judge.
    for number in range(SEARCHED if table.options else 1, BLOCKS):
        before, test = block < number, np.flatnonzero(block == number)
        if not all(len(known_rows(table, label, before)[1]) for label in table.blueprint.labels):
            continue
        inputs = table.inputs(before)
        predicted = fit_labels(table, inputs, before).predict(inputs[test], table.positions[test])
        for label in wanted:
            known = ~np.isnan(table.metrics[label.name][test])
            picked = {name: each[known] for name, each in predicted.items()}
            _judge(table, label, found[label.name], before, test[known], picked)
        progress(number, BLOCKS - 1)
    return found


def _judge(
    table: TrainingTable, label: Label, found: HeldOut, before: NDArray[np.bool_], here: Index, picked: dict[str, Frame]
) -> None:
    """Write what a model predicts of some rows, and its losses there."""
    _, past = known_rows(table, label, before)
    task, arm, lists, values = (
        settled(label, past),
        table.sample.arm[here],
        table.lists[here],
        table.metrics[label.name],
    )
    unknown = without_features(table, label, task, before, here)
    found.none[here] = row_losses(label, task, values[here], unknown, arm, lists)
    # Whoever saw one value alone has learned nothing.
    mine = row_losses(label, task, values[here], picked, arm, lists)
    found.model[here] = mine if float(np.ptp(past)) else found.none[here]
    for at, name in enumerate(label.names()):
        each = picked[name]
        found.predicted[here, at] = each[np.arange(len(here)), arm] if each.ndim == 2 else each


def figures_of(table: TrainingTable, judged: dict[str, HeldOut]) -> dict[str, dict[str, float]]:
    """Return the figures by which people judge predictions, by label, on the rows that judged it.

    Args:
        table: The rows.
        judged: From `held_out`.
    """
    found = {}
    for name, each in judged.items():
        known = ~np.isnan(each.model)
        predicted = each.predicted[known]
        told = predicted if each.task == "multiclass" else predicted[:, 0]
        all_of = figures(each.task, table.metrics[name][known], told, table.lists[known]) if known.any() else {}
        found[name] = {key: value for key, value in all_of.items() if math.isfinite(value)}
    return found


def in_words(told: dict[str, dict[str, float]]) -> str:
    """Return figures in a sentence, those that people ask for first.

    Example:
        >>> in_words({"clicked": {"auc": 0.8, "log_loss": 0.5, "calibration": 0.02}})
        "On later rows: 'clicked' AUC 0.8, calibration error 0.02."
    """
    parts = []
    for name, each in told.items():
        said = [f"{words} {each[key]:.3g}" for key, words in SHOWN.items() if key in each]
        parts += [f"{name!r} {', '.join(said)}"] if said else []
    return f"On later rows: {'; '.join(parts)}." if parts else ""


def _order(table: TrainingTable) -> Index:
    """Return the rows by time; those of one list, or of one moment, stay together."""
    return np.lexsort((table.lists, table.time))
