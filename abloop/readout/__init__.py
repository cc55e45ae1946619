"""The readout: every metric, arm by arm, with intervals, SRM, what to do, and the running policy against each arm."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from abloop.readout.results import ArmResult, Comparison, MetricResult, PolicyResult, Readout, Recommendation
from abloop.readout.strategy import (
    INVERSE,
    NET_VALUE,
    RANDOMISED,
    SRM_ALARM,
    compare_arms,
    inverse_propensity,
    metric_expressions,
    read_strategy,
    shown,
)

if TYPE_CHECKING:
    from abloop.blueprint import Blueprint, Reading

__all__ = [
    "INVERSE",
    "NET_VALUE",
    "RANDOMISED",
    "SRM_ALARM",
    "ArmResult",
    "Comparison",
    "MetricResult",
    "PolicyResult",
    "Readout",
    "Recommendation",
    "compare_arms",
    "inverse_propensity",
    "metric_expressions",
    "readout",
    "shown",
]


def readout(
    data: Any,
    strategy: str | Blueprint | Mapping[str, Any],
    *,
    reading: Reading | Mapping[str, Any] | None = None,
    arm: str = "arm",
    unit: str = "",
    time: str = "",
    outcomes: Mapping[str, str] | Sequence[str] | None = None,
    features: Mapping[str, str] | Sequence[str] | None = None,
    table: str = "",
) -> Readout:
    """Return the readout of a strategy, or of any experiment's rows.

    Args:
        data: The loop; or a frame (pandas, polars, Arrow), Parquet paths, or the URL of a database.
        strategy: Name of a strategy of the loop; for other data a blueprint, or a mapping as read from YAML, that
            says arms, weights and metrics.
        reading: Measures, covariates, segments, inference; as the blueprint's `readout` says where None.
        arm: Of other data: column of the arm.
        unit: Of other data: column of the unit, where it may be on several rows; each row is a unit where empty.
        time: Of other data: column of the time in seconds since 1970; nothing over time is shown where empty.
        outcomes: Of other data: metrics that are columns of the same name, or metric to column.
        features: Of other data: the same of features.
        table: Of a database: the table, or a query.

    Raises:
        UnknownNameError: There is no such strategy.
        BlueprintError: The blueprint or the reading does not hold together.
        DataError: A column is missing, an arm unknown, a value not finite.
        StoreError: Database, files or table cannot be read.

    Example:
        >>> import pandas as pd
        >>> rows = pd.DataFrame({"arm": ["a", "b"] * 200, "bought": [0, 1, 1, 1, 0, 1, 0, 0] * 50})
        >>> shop = {"strategy": "shop", "arms": [{"name": "a"}, {"name": "b"}], "metrics": [{"name": "bought"}]}
        >>> readout(rows, shop).recommendation.advice
        'ship'
    """
    from abloop.blueprint import Blueprint, from_mapping
    from abloop.store.workspace import Workspace

    if isinstance(data, Workspace):
        name = strategy if isinstance(strategy, str) else _name(strategy)
        if reading is None:
            return read_strategy(data, name)
        version = data.catalogue.serving(name).version
        return read_strategy(data, name, _reading(reading, data.catalogue.blueprint(name, version)[1]))
    from abloop.errors import DataError
    from abloop.readout.data import read_data

    if isinstance(strategy, str):
        raise DataError(
            f"strategy is {strategy!r}; allowed for data of your own: a blueprint, or a mapping as from YAML"
        )
    blueprint = strategy if isinstance(strategy, Blueprint) else from_mapping(strategy)
    read = _reading(reading, blueprint) if reading is not None else None
    return read_data(
        data, blueprint, read, arm=arm, unit=unit, time=time, outcomes=outcomes, features=features, table=table
    )


def _name(strategy: Blueprint | Mapping[str, Any]) -> str:
    return str(strategy["strategy"] if isinstance(strategy, Mapping) else strategy.strategy)


def _reading(reading: Reading | Mapping[str, Any], blueprint: Blueprint) -> Reading:
    """Return a reading that was checked against its blueprint."""
    import msgspec

    from abloop.blueprint import from_mapping

    raw = msgspec.to_builtins(blueprint)
    given = reading if isinstance(reading, Mapping) else msgspec.to_builtins(reading)
    return from_mapping({**raw, "readout": given}).readout
