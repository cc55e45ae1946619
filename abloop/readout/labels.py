"""How well releases predict labels in production: what was predicted when a decision was made, beside what came."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import msgspec

from abloop.blueprint import Blueprint
from abloop.readout.strategy import listed_files
from abloop.stats.compare import Estimate
from abloop.store.measures import literal, quoted

if TYPE_CHECKING:
    from abloop.store.warehouse import Duck
    from abloop.store.workspace import Workspace

SQUARED = ("auto", "binary", "regression")  # tasks whose predictions are means, so that squared errors judge them
Z = 1.96  # 95 %


class LabelResult(msgspec.Struct, frozen=True):
    """One label as one release predicted it.

    Attributes:
        label: The metric.
        release: The release that predicted.
        rows: Complete rows with a prediction and an outcome.
        units: Units of them.
        taken: Share of the mean's squared error that the predictions take away, with its 95 % interval by unit; below
            zero where they are worse than the mean of these very rows.
        predicted: Mean prediction.
        observed: Mean outcome.
    """

    label: str
    release: str
    rows: int
    units: int
    taken: Estimate
    predicted: float
    observed: float

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data."""
        found: dict[str, Any] = msgspec.to_builtins(self)
        return found


def read_labels(workspace: Workspace, strategy: str) -> tuple[LabelResult, ...]:
    """Return how well each release of the served version predicted each label; none where nothing was predicted yet.

    Args:
        workspace: What `abloop.connect` gave.
        strategy: Its name.

    Raises:
        UnknownNameError: There is no such strategy.
        StoreError: Database or table cannot be read.
    """
    from abloop.store.parquet import paths
    from abloop.store.warehouse import open_files

    serving = workspace.catalogue.serving(strategy)
    _, blueprint = workspace.catalogue.blueprint(strategy, serving.version)
    files = [file.name for file in listed_files(workspace, strategy, blueprint) if file.rows]
    wanted = [label for label in blueprint.labels if label.task in SQUARED]
    if not files or not wanted:
        return ()
    with open_files(paths(workspace.table_directory, files)) as (warehouse, relation):
        there = set(warehouse.columns(relation))
        found: list[LabelResult] = []
        for label in wanted:
            columns = _columns(blueprint, label.name, label.by_arm)
            if columns.keys() <= there and f"y.{label.name}" in there:
                found += _results(warehouse, relation, label.name, columns)
    return tuple(found)


def _columns(blueprint: Blueprint, label: str, by_arm: bool) -> dict[str, str]:
    """Return the columns of a label's predictions, each with the arm that it is of; empty for all."""
    if not by_arm:
        return {f"label.{label}": ""}
    return {f"label.{label}.{arm.name}": arm.name for arm in blueprint.ordered_arms()}


def _results(warehouse: Duck, relation: str, label: str, columns: dict[str, str]) -> list[LabelResult]:
    """Return how well each release predicted one label."""
    (first, arm), *_ = columns.items()
    cases = " ".join(f"WHEN {literal(name)} THEN {quoted(column)}" for column, name in columns.items())
    predicted = f"CASE arm {cases} END" if arm else quoted(first)
    query = f"""
        WITH made AS (SELECT release, unit, {predicted} AS p, {quoted(f"y.{label}")} AS y FROM {relation}
                      WHERE release <> ''),
        known AS (SELECT *, AVG(y) OVER (PARTITION BY release) AS m FROM made WHERE p IS NOT NULL AND y IS NOT NULL),
        units AS (SELECT release, COUNT(*) AS n, SUM((y - m) ** 2 - (y - p) ** 2) AS s, SUM((y - m) ** 2) AS b,
                  SUM(p) AS p, SUM(y) AS y FROM known GROUP BY release, unit)
        SELECT release, COUNT(*), SUM(n), SUM(s), SUM(b), SUM(s * s), SUM(s * n), SUM(n * n), SUM(p), SUM(y)
        FROM units GROUP BY release ORDER BY release"""  # noqa: S608 - names and texts are quoted
    found = []
    for release, units, rows, saved, base, squares, cross, lengths, p, y in warehouse.rows(query):
        mean = saved / rows
        error = math.sqrt(max(0.0, squares - 2 * mean * cross + mean * mean * lengths)) / base if base else math.nan
        taken = saved / base if base else math.nan
        ends = (taken - Z * error, taken + Z * error) if units > 1 else (math.nan, math.nan)
        found.append(LabelResult(label, release, int(rows), units, Estimate(units, taken, *ends), p / rows, y / rows))
    return found
