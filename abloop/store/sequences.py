"""What units went through, step by step, for reinforcement learning: state, action, reward, next state."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from typing import TYPE_CHECKING

from abloop.blueprint import Blueprint
from abloop.blueprint.diff import cannot_train_on
from abloop.errors import DataError, StoreError, UnknownNameError, unknown
from abloop.store import parquet
from abloop.store.frames import to_frame
from abloop.store.measures import literal, quoted
from abloop.store.workspace import Workspace

if TYPE_CHECKING:
    import pandas as pd

MEMORY = "1GB"  # beyond it DuckDB goes to the disk
THREADS = 2


def read_sequences(
    workspace: Workspace, strategy: str, metric: str, *, gap: float | None = None, table_version: int | None = None
) -> pd.DataFrame:
    """Return the decisions of each unit one after the other, each with its reward and with the state that followed.

    Rows are those of the served version and of versions it may train on, decisions of holdout and default included:
    see `phase`.

    Args:
        workspace: What `abloop.connect` gave.
        strategy: Its name.
        metric: What rewards an action; missing where its window has not ended or nothing was observed.
        gap: Seconds without a decision after which a unit begins another sequence; None for never.
        table_version: The training table as it was then; as it is now where None.

    Returns:
        Columns `unit`; `sequence`, from 0 for each unit; `step`, from 0 for each sequence; `decision_id`, `time`,
        `x.FEATURE` (the state), `action` (the arm), `propensity`, `phase`, `reward`; `next_decision_id` and
        `next_x.FEATURE`, missing after the last step; and `done`, whether it is the last so far. Rows are in the
        order of unit, sequence and step.

    Raises:
        UnknownNameError: There is no such strategy, metric or table version.
        DataError: `gap` is not above 0.
        StoreError: Database or table cannot be read.
        MissingExtraError: pandas is not installed.

    Example:
        >>> import abloop, tempfile
        >>> loop = abloop.connect(f"sqlite:///{tempfile.mkdtemp()}/shop.db")
        >>> arms = (abloop.Arm(name="blue"), abloop.Arm(name="green"))
        >>> _ = loop.register(abloop.Blueprint(strategy="b", arms=arms, metrics=(abloop.Metric(name="click"),)))
        >>> len(read_sequences(loop, "b", "click"))
        0
        >>> loop.close()
    """
    if gap is not None and not gap > 0:
        raise DataError(f"gap is {gap!r}; allowed: seconds above 0, or None")
    _, blueprint = workspace.catalogue.blueprint(strategy, workspace.catalogue.serving(strategy).version)
    metrics = [each.name for each in blueprint.metrics]
    if metric not in metrics:
        raise UnknownNameError(f"strategy {strategy!r}: {unknown('metric', metric, metrics)}")
    usable = {
        found.version
        for found, other in workspace.catalogue.blueprints(strategy)
        if not cannot_train_on(blueprint, other)
    }
    names = [file.name for file in workspace.manifest.files(strategy, table_version) if file.version in usable]
    return _frame(parquet.paths(workspace.table_directory, names), blueprint, metric, gap)


def _frame(files: Sequence[str], blueprint: Blueprint, metric: str, gap: float | None) -> pd.DataFrame:
    """Return the sequences in some files, one or more; of none, the columns."""
    import duckdb

    with tempfile.TemporaryDirectory() as spill:
        config: dict[str, str | bool | int | float | list[str]] = {
            "memory_limit": MEMORY,
            "temp_directory": spill,
            "threads": THREADS,
        }
        try:
            with duckdb.connect(config=config) as connection:
                if files:
                    rows = f"read_parquet([{', '.join(map(literal, files))}], union_by_name = true)"
                else:
                    connection.register("none", parquet.no_rows(blueprint))
                    rows = '"none"'
                states = [quoted(f"x.{feature.name}") for feature in blueprint.sourced()]
                return to_frame(connection.sql(_query(rows, states, quoted(f"y.{metric}"), gap)).to_arrow_table())
        except duckdb.Error as error:
            said = str(error).splitlines()[0]
            raise StoreError(f"training table cannot be read: {said}. Restore the file from a backup") from error


def _query(rows: str, states: Sequence[str], reward: str, gap: float | None) -> str:
    """Return the SQL; all names in it are quoted, and all numbers our own."""
    kept = ["unit", "decision_id", "time", *states, "arm AS action", "propensity", "phase", f"{reward} AS reward"]
    before = "lag(time) OVER (PARTITION BY unit ORDER BY time, decision_id)"
    begins = "false" if gap is None else f"coalesce(time - {before} > {float(gap)!r}, false)"
    following = [f"lead({state}) OVER steps AS {state.replace('x.', 'next_x.', 1)}" for state in states]
    ordered = ["unit", "sequence", "step", "decision_id", "time", *states]
    ordered += ["action", "propensity", "phase", "reward", "next_decision_id"]
    ordered += [state.replace("x.", "next_x.", 1) for state in states] + ["next_decision_id IS NULL AS done"]
    parts = ["row_number() OVER steps - 1 AS step", "lead(decision_id) OVER steps AS next_decision_id", *following]
    return (
        f"WITH logged AS (SELECT {', '.join(kept)}, {begins} AS begins FROM {rows}), "  # noqa: S608
        "numbered AS (SELECT *, sum(begins::INT) OVER (PARTITION BY unit ORDER BY time, decision_id)::BIGINT "
        "AS sequence FROM logged), "
        f"stepped AS (SELECT *, {', '.join(parts)} FROM numbered "
        "WINDOW steps AS (PARTITION BY unit, sequence ORDER BY time, decision_id)) "
        f"SELECT {', '.join(ordered)} FROM stepped ORDER BY unit, sequence, step"
    )
