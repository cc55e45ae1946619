"""The training table of a blueprint version as arrays. Knows no learner."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from abloop.blueprint import Blueprint
from abloop.blueprint.diff import cannot_train_on
from abloop.features.encode import Encoder, fit_encoder
from abloop.learners.base import Frame, Sample
from abloop.store import parquet
from abloop.store.workspace import Workspace

LEARNED_PHASES = (
    "randomise",
    "personalise",
    "explore",
    "ship",
)  # holdout rows have no second arm to compare with


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
        unobserved: Goal metrics that were never observed on any row.
        dropped: Rows left out because a goal is missing.
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

    @property
    def has_features(self) -> bool:
        """Whether any feature has a value, without which nothing can be personalised."""
        return bool(self.sample.features.shape[1]) and not bool(np.isnan(self.sample.features).all())

    def units_by_arm(self) -> list[int]:
        """Return the number of units in each arm, length k."""
        arm, groups = self.sample.arm, self.groups
        return [len(np.unique(groups[arm == index])) for index in range(self.sample.arms)]


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
    listed = [file for file in workspace.journal.files(strategy) if file.version in usable]
    arms = blueprint.ordered_arms()
    goals = [f"y.{metric.name}" for metric in blueprint.goals()]
    inputs = [f"x.{feature.name}" for feature in blueprint.features]
    files = parquet.paths(workspace.table_directory, [file.name for file in listed])
    table = parquet.read(files, ["unit", "arm", "propensity", "phase", *goals, *inputs])
    shares = np.asarray(blueprint.weights())
    costs = np.asarray([arm.cost for arm in arms])
    if not table.num_rows:
        encoder = fit_encoder(blueprint.features, [[] for _ in inputs])
        empty = np.empty(0)
        sample = Sample(np.empty((0, len(inputs))), empty.astype(np.intp), empty, shares)
        return TrainingTable(version, blueprint, encoder, sample, empty, sample.arm, costs, (), 0)
    learned = pc.is_in(table["phase"], value_set=_strings(LEARNED_PHASES))
    for goal in goals:
        learned = pc.and_(learned, pc.is_valid(table[goal]))
    dropped = table.num_rows - int(pc.sum(learned).as_py() or 0)
    table = table.filter(learned)
    values = [table[name].to_pylist() for name in inputs]
    encoder = fit_encoder(blueprint.features, values)
    outcome = sum(
        (table[f"y.{metric.name}"].to_numpy() * metric.value for metric in blueprint.goals()),
        start=np.zeros(table.num_rows),
    )
    arm = pc.index_in(table["arm"], value_set=_strings([arm.name for arm in arms])).to_numpy().astype(np.intp)
    groups = table["unit"].combine_chunks().dictionary_encode().indices.to_numpy().astype(np.intp)
    features = encoder.frame(values) if inputs else np.empty((table.num_rows, 0))
    return TrainingTable(
        version,
        blueprint,
        encoder,
        Sample(features, arm, outcome, shares),
        table["propensity"].to_numpy().astype(np.float64),
        groups,
        costs,
        tuple(m.name for m in blueprint.goals() if not sum(file.observed.get(m.name, 0) for file in listed)),
        dropped,
    )


def _strings(values: tuple[str, ...] | list[str]) -> object:
    return pa.array(values, pa.string())
