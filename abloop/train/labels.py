"""The fit of label models: what proxy tasks predict, and how well they do on later rows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from abloop.blueprint.learning import Label
from abloop.evaluate.tasks import losses_of, nothing_known
from abloop.learners.base import Frame, Index
from abloop.models.labels import LabelSet, LabelSpec, at_positions
from abloop.models.network import NetworkSpec
from abloop.train.binned import can_bin, fit_task_binned
from abloop.train.table import TrainingTable
from abloop.train.tasks import Examples, fit_task_linear, fit_task_trees, link_of, settled

KINDS = ("trees", "linear", "binned", "network")  # that are tried for each label where none is named
CUT_OR_NOT = ("linear", "binned")  # that are tried for linear models where a search may choose how numbers enter
BLOCKS = 5  # of time
SEARCHED = 3  # of them, that a search for settings may look at
TRIED = 0.25  # share of rows, the latest, on which kinds are compared


@dataclass(frozen=True)
class Labels:
    """What was fitted: data for the predict side.

    Attributes:
        specs: The label models, in the order of the blueprint.
        network: The network that some of them share; None where none does.
    """

    specs: tuple[LabelSpec, ...]
    network: NetworkSpec | None = None

    def predict(self, inputs: Frame, positions: Frame | None = None) -> dict[str, Frame]:
        """Return predictions by what the formula reads, each of shape (n,), or (n, k) by arm.

        Args:
            inputs: Shape (n, d), NaN where missing.
            positions: Where candidates were shown, shape (n,), to predict what was seen there; None for what serves.
        """
        found = LabelSet(self.specs, self.network).frame(inputs)
        for spec in self.specs if positions is not None else ():
            if spec.looked or spec.last is not None:
                found[spec.name] = at_positions(spec, inputs, positions)  # type: ignore[arg-type]
        return found


def fit_labels(table: TrainingTable, inputs: Frame, rows: NDArray[np.bool_]) -> Labels:
    """Fit every label of a blueprint on some of the rows.

    Args:
        table: The rows.
        inputs: Model inputs of all rows, shape (n, d).
        rows: Those to learn from, as a mask of shape (n,).

    Raises:
        MissingExtraError: A network is asked for and torch is not installed.
    """
    found, tasks = {}, tasks_of(table, rows)
    kinds = {label.name: kind_of(table, inputs, rows, label, tasks[label.name]) for label in table.blueprint.labels}
    for label in table.blueprint.labels:
        if kinds[label.name] != "network":
            found[label.name] = _fit_one(table, inputs, rows, label, tasks[label.name], kinds[label.name])
    shared = [label for label in table.blueprint.labels if kinds[label.name] == "network"]
    network = None
    if shared:
        network, specs = _fit_shared(table, inputs, rows, shared, tasks)
        found |= specs
    return Labels(tuple(found[label.name] for label in table.blueprint.labels), network)


def tasks_of(table: TrainingTable, rows: NDArray[np.bool_]) -> dict[str, str]:
    """Return what each label is learned as from some of the rows."""
    return {label.name: settled(label, known_rows(table, label, rows)[1]) for label in table.blueprint.labels}


def known_rows(table: TrainingTable, label: Label, rows: NDArray[np.bool_]) -> tuple[Index, Frame]:
    """Return which of the rows have the label, and its values there."""
    values = table.metrics[label.name]
    where = np.flatnonzero(rows & ~np.isnan(values))
    return where, values[where]


def _examples(table: TrainingTable, inputs: Frame, where: Index, values: Frame) -> Examples:
    """Return some rows with a label."""
    sample = table.sample
    return Examples(
        inputs[where],
        table.encoder.levels,
        values,
        sample.arm[where],
        sample.arms,
        table.lists[where],
        table.positions[where],
        table.groups[where],
        table.time[where],
    )


def _fit_one(
    table: TrainingTable, inputs: Frame, rows: NDArray[np.bool_], label: Label, task: str, kind: str
) -> LabelSpec:
    """Fit one label by trees or linear models, of numbers as they are or cut by rank."""
    model = table.blueprint.model
    examples = _examples(table, inputs, *known_rows(table, label, rows))
    options = dict(table.options.get(kind, {}))
    if kind == "linear":
        return fit_task_linear(label, task, examples, model.seed, **options)
    if kind == "binned":
        return fit_task_binned(label, task, examples, **options)
    return fit_task_trees(label, task, examples, model.seed, model.size, options)


def _fit_shared(
    table: TrainingTable, inputs: Frame, rows: NDArray[np.bool_], labels: list[Label], tasks: dict[str, str]
) -> tuple[NetworkSpec, dict[str, LabelSpec]]:
    """Fit one network of several labels."""
    from abloop.models.network_fit import Head, Training, fit_network

    model, arms = table.blueprint.model, table.sample.arms
    heads, specs, at = [], {}, 0
    for label in labels:
        width = label.classes or (arms if label.by_arm else 1)
        heads.append(Head(tasks[label.name], table.metrics[label.name][rows], width, label.by_arm, label.quantile))
        link, by_arm = link_of(tasks[label.name]), arms if label.by_arm else 0
        specs[label.name] = LabelSpec(label.name, link, (), inputs.shape[1], by_arm, label.classes, head=at)
        at += width
    places, start = {}, 0
    for column in table.encoder.columns:
        places[column.name], start = start, start + column.width
    sequences = tuple(tuple(places[name] for name in steps) for steps in model.sequences)
    arm = table.sample.arm[rows]
    levels = table.encoder.levels
    training = Training(**table.options.get("network", {}))
    return fit_network(inputs[rows], levels, heads, arm, model.seed, model.size, sequences, training), specs


def fit_kind(
    table: TrainingTable, inputs: Frame, rows: NDArray[np.bool_], labels: list[Label], tasks: dict[str, str], kind: str
) -> Labels:
    """Fit some labels by one kind of model, whatever the blueprint names.

    Args:
        table: The rows.
        inputs: Model inputs of all rows, shape (n, d).
        rows: Those to learn from, as a mask of shape (n,).
        labels: The labels.
        tasks: What each is learned as, by name.
        kind: Of `KINDS`.
    """
    if kind == "network":
        network, specs = _fit_shared(table, inputs, rows, labels, tasks)
        return Labels(tuple(specs[label.name] for label in labels), network)
    return Labels(tuple(_fit_one(table, inputs, rows, label, tasks[label.name], kind) for label in labels))


def mean_loss(
    table: TrainingTable,
    label: Label,
    task: str,
    predicted: dict[str, Frame],
    before: NDArray[np.bool_],
    after: Index,
) -> float:
    """Return the loss on some rows, divided by that of what knows no feature.

    Args:
        table: The rows.
        label: The label.
        task: Its task.
        predicted: What the formula reads of it, for the rows `after`.
        before: Rows that were learned from, as a mask of shape (n,).
        after: Indices of the rows to judge by.
    """
    values = table.metrics[label.name]
    known = ~np.isnan(values[after])
    here, unknown = after[known], without_features(table, label, task, before, after[known])
    arm, lists = table.sample.arm[here], table.lists[here]
    mine = {name: each[known] for name, each in predicted.items()}
    model = row_losses(label, task, values[here], mine, arm, lists).mean()
    return float(model / max(float(row_losses(label, task, values[here], unknown, arm, lists).mean()), 1e-300))


def kind_of(table: TrainingTable, inputs: Frame, rows: NDArray[np.bool_], label: Label, task: str) -> str:
    """Return the kind of model of a label: what the blueprint names, or what predicts best where it leaves a choice."""
    named = table.blueprint.model.kind
    if named == "auto":
        return _best_kind(table, inputs, rows, label, task, KINDS)
    if named == "linear" and table.options:
        return _best_kind(table, inputs, rows, label, task, CUT_OR_NOT)
    return named


def _best_kind(
    table: TrainingTable, inputs: Frame, rows: NDArray[np.bool_], label: Label, task: str, kinds: tuple[str, ...]
) -> str:
    """Return the kind, and with it how numbers enter, that predicts the latest of the rows best from those before."""
    if task == "rank":
        return "trees"
    where, _ = known_rows(table, label, rows)
    where = where[np.argsort(table.time[where], kind="stable")]
    cut = int(len(where) * (1 - TRIED))
    if not 0 < cut < len(where):
        return kinds[0]
    before = np.zeros(len(rows), dtype=np.bool_)
    before[where[:cut]] = True
    after, found = where[cut:], {}
    for kind in kinds:
        if can_fit(table, label, task, kind):
            fitted = fit_kind(table, inputs, before, [label], {label.name: task}, kind)
            predicted = fitted.predict(inputs[after], table.positions[after])
            losses = row_losses(
                label, task, table.metrics[label.name][after], predicted, table.sample.arm[after], table.lists[after]
            )
            found[kind] = float(losses.mean())
    return min(found, key=lambda kind: found[kind])


def can_fit(table: TrainingTable, label: Label, task: str, kind: str) -> bool:
    """Return whether a label can be learned by a kind of model here."""
    if kind == "binned":
        return can_bin(label, task, table.encoder.levels)
    return kind != "network" or _has_torch()


def row_losses(label: Label, task: str, values: Frame, predicted: dict[str, Frame], arm: Index, lists: Index) -> Frame:
    """Return each row's loss."""
    return losses_of(label.name, task, values, predicted, arm, lists, classes=label.classes, quantile=label.quantile)


def _has_torch() -> bool:
    """Return whether a network can be fitted here."""
    import importlib.util

    return importlib.util.find_spec("torch") is not None


def knows_places(table: TrainingTable, label: Label) -> bool:
    """Return whether a label's model must beat what is predicted by place, and not by the mean."""
    return label.position or table.blueprint.space.type == "ordering"


def without_features(
    table: TrainingTable, label: Label, task: str, before: NDArray[np.bool_], here: Index
) -> dict[str, Frame]:
    """Return what is predicted of some rows without any feature, learned from those before.

    Of a candidate, it knows where it was shown, whether or not the label's model does: features tell what is on top
    today, and what is liked for no other reason than that would pass for what is worth being on top.
    """
    past, values = known_rows(table, label, before)
    places = table.positions if knows_places(table, label) else None
    return nothing_known(
        label.name,
        task,
        values,
        len(here),
        classes=label.classes,
        quantile=label.quantile,
        past_places=None if places is None else places[past],
        places=None if places is None else places[here],
    )
