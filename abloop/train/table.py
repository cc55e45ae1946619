"""The training table of a blueprint version as arrays. Knows no learner."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from abloop.blueprint import Blueprint
from abloop.blueprint.diff import cannot_train_on
from abloop.features.column import Categories, FrameColumn, to_column
from abloop.features.encode import Encoder
from abloop.features.fit import fit_encoder, training_inputs
from abloop.features.graph import Graph
from abloop.features.spec import Feature
from abloop.learners.base import Frame, Sample
from abloop.records import Decision, decode_many
from abloop.store import parquet
from abloop.store.workspace import Workspace

LARGEST = 1e30  # of what is learned from: single precision holds it, and double its squares
# Holdout rows have no second arm to compare with.
LEARNED_PHASES = ("randomise", "personalise", "explore", "ship", "limited")


@dataclass(frozen=True)
class TrainingTable:
    """Rows that can be learned from.

    Attributes:
        version: Blueprint version that is trained.
        blueprint: That version.
        encoder: How features became inputs.
        sample: Inputs, arm, gross value, shares.
        propensity: Probability of the logged arm, shape (n,).
        groups: Unit of each row, 0 to g - 1, shape (n,).
        costs: Cost of each arm, shape (k,).
        unobserved: Goal metrics, and labels, that were never observed on any row.
        dropped: Rows left out because a goal is missing.
        features: All features, in the order of `Graph.names`, n rows each.
        metrics: Each metric's values, NaN where missing, shape (n,); labels are among them.
        firsts: The first row of each unit, where it could have had any arm, as a mask of shape (n,).
        time: When it was decided, in seconds since 1970, shape (n,).
        lists: Which list each row was a candidate of, from 0, shape (n,).
        positions: Where it was shown there, from 0, NaN where it was in no list, shape (n,).
        options: Settings that a search found, by kind of model and name.
    """

    version: int
    blueprint: Blueprint
    encoder: Encoder
    sample: Sample
    propensity: Frame
    groups: NDArray[np.intp]
    costs: Frame
    unobserved: tuple[str, ...]
    dropped: int
    features: list[FrameColumn]
    metrics: dict[str, Frame]
    firsts: NDArray[np.bool_]
    time: Frame
    lists: NDArray[np.intp]
    positions: Frame
    options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @property
    def has_features(self) -> bool:
        """Whether any feature has a value, without which nothing can be personalised."""
        return bool(self.sample.features.shape[1]) and not bool(np.isnan(self.sample.features).all())

    def units_by_arm(self) -> list[int]:
        """Return the number of units in each arm, length k."""
        arm, groups = self.sample.arm, self.groups
        return [len(np.unique(groups[arm == index])) for index in range(self.sample.arms)]

    def inputs(self, train: NDArray[np.bool_]) -> Frame:
        """Return the model inputs of all rows where only some, shape (n,), may be learned from, shape (n, width)."""
        graph = Graph(self.blueprint.features)
        if not any(feature.transform == "target" for feature in graph.learned):
            return self.sample.features
        columns = [self.features[slot] for slot in graph.slots]
        return _bounded(training_inputs(graph.learned, columns, self.sample.outcome, self.groups, train))


def load_table(workspace: Workspace, strategy: str) -> TrainingTable:
    """Return the training table of the served version: its rows and those of versions it may train on.

    Args:
        workspace: Where it is.
        strategy: Its name.

    Raises:
        UnknownNameError: There is no such strategy.
        StoreError: A file is missing.
    """
    version, blueprint = workspace.catalogue.blueprint(strategy, workspace.catalogue.serving(strategy).version)
    usable = {
        other.version
        for other, rows in workspace.catalogue.blueprints(strategy)
        if not cannot_train_on(blueprint, rows)
    }
    listed = [file for file in workspace.manifest.files(strategy) if file.version in usable]
    wanted = {metric.name: None for metric in blueprint.goals()} | {label.name: None for label in blueprint.labels}
    sourced = blueprint.sourced()
    files = parquet.paths(workspace.table_directory, [file.name for file in listed])
    names = ["unit", "time", "arm", "propensity", "phase"]
    names += ["decision_id", "record"] if blueprint.space.type == "ordering" else []
    names += [f"y.{metric.name}" for metric in blueprint.metrics] + [f"x.{feature.name}" for feature in sourced]
    table, before = parquet.read(files, names), sum(file.rows for file in listed)
    if before:
        table = _learnable(table, blueprint)
    unobserved = tuple(name for name in wanted if not sum(file.observed.get(name, 0) for file in listed))
    return _arrays(version, blueprint, table, unobserved, before - table.num_rows)


def _learnable(table: pa.Table, blueprint: Blueprint) -> pa.Table:
    """Return the rows that can be learned from: of a choice, all but the holdout's and those without a goal."""
    if not blueprint.is_choice:
        return table
    learned = pc.is_in(table["phase"], value_set=_strings(LEARNED_PHASES))
    for metric in blueprint.goals():
        learned = pc.and_(learned, pc.is_valid(table[f"y.{metric.name}"]))
    return table.filter(learned)


def _arrays(
    version: int, blueprint: Blueprint, table: pa.Table, unobserved: tuple[str, ...], dropped: int
) -> TrainingTable:
    """Return the rows as arrays."""
    graph, arms, rows = Graph(blueprint.features), blueprint.ordered_arms(), table.num_rows
    read = [
        _column(table[f"x.{feature.name}"], feature) if rows else to_column([], feature.type, feature.size)
        for feature in graph.sourced
    ]
    features = graph.frame(read)
    learned = [features[slot] for slot in graph.slots]
    outcome = sum((_numbers(table, f"y.{m.name}", rows) * m.value for m in blueprint.goals()), start=np.zeros(rows))
    known = np.nan_to_num(outcome)
    encoder = fit_encoder(graph.learned, learned, known)
    inputs = _bounded(encoder.frame(learned)) if learned else np.empty((rows, 0))
    arm, groups = np.empty(0, dtype=np.intp), np.empty(0, dtype=np.intp)
    if rows:
        arm = pc.index_in(table["arm"], value_set=_strings([arm.name for arm in arms])).to_numpy().astype(np.intp)
        groups = table["unit"].combine_chunks().dictionary_encode().indices.to_numpy().astype(np.intp)
    return TrainingTable(
        version,
        blueprint,
        encoder,
        Sample(inputs, arm, known, np.asarray(blueprint.weights()), encoder.levels, groups=groups),
        _numbers(table, "propensity", rows),
        groups,
        np.asarray([arm.cost for arm in arms]),
        unobserved,
        dropped,
        features,
        {metric.name: _numbers(table, f"y.{metric.name}", rows) for metric in blueprint.metrics},
        _firsts(table, groups),
        _numbers(table, "time", rows),
        *_places(table, rows, blueprint.ranking.shown),
    )


def _bounded(inputs: Frame) -> Frame:
    """Return inputs, in place, with those beyond the largest number at that number: one of them spoils no mean."""
    bounded: Frame = np.clip(inputs, -LARGEST, LARGEST, out=inputs)
    return bounded


def _places(table: pa.Table, rows: int, shown: str) -> tuple[NDArray[np.intp], Frame]:
    """Return each row's list and its position there; a list of its own and none for what was not in a list."""
    if "record" not in table.column_names or not rows:
        return np.arange(rows), np.full(rows, np.nan)
    names = pc.replace_substring_regex(table["decision_id"], pattern="/[0-9]+$", replacement="")
    lists = names.combine_chunks().dictionary_encode().indices.to_numpy().astype(np.intp)
    positions = np.full(rows, np.nan)
    for row, record in enumerate(decode_many(table["record"].to_pylist())):
        if isinstance(record, Decision) and isinstance(record.decision, dict):
            positions[row] = record.decision.get("position", np.nan)
    if shown:
        seen = _numbers(table, f"y.{shown}", rows)
        positions = np.where(np.isnan(seen), positions, seen)
    return lists, positions


def _firsts(table: pa.Table, groups: NDArray[np.intp]) -> NDArray[np.bool_]:
    """Return which rows are the first of their unit and could have had any arm."""
    if not len(groups):
        return np.empty(0, dtype=np.bool_)
    order = np.lexsort((table["time"].to_numpy(), groups))
    found = np.zeros(len(groups), dtype=np.bool_)
    found[order[np.unique(groups[order], return_index=True)[1]]] = True
    found &= pc.not_equal(table["phase"], "limited").to_numpy()
    return found


def _numbers(table: pa.Table, name: str, rows: int) -> Frame:
    """Return a column of numbers, NaN where missing, shape (n,)."""
    if not rows:
        return np.empty(0)
    found: Frame = table[name].to_numpy().astype(np.float64)
    return found


def _column(values: pa.ChunkedArray, feature: Feature) -> FrameColumn:
    """Return a logged feature as a column."""
    if feature.type == "categorical":
        coded = values.combine_chunks().dictionary_encode()
        codes = coded.indices.fill_null(-1).to_numpy().astype(np.int64)
        return Categories(codes, tuple(coded.dictionary.to_pylist()))
    if feature.type in ("sparse", "embedding"):
        plain = values.to_pylist()
        if feature.type == "sparse":
            plain = [None if value is None else dict(value) for value in plain]
        return to_column(plain, feature.type, feature.size)
    found: Frame = values.to_numpy().astype(np.float64)
    return found


def _strings(values: tuple[str, ...] | list[str]) -> object:
    return pa.array(values, pa.string())
