"""A finished experiment as history: a frame becomes decisions and observations with their propensities.

Everything is checked before anything is written. Ids follow from strategy and unit, so that an import that
was cut off can be repeated: nothing counts twice.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from abloop.blueprint import Blueprint
from abloop.blueprint.conceal import conceal
from abloop.errors import DataError, StoreError, listed, unknown
from abloop.features.read import read, readers
from abloop.records import Decision, Observation, encode
from abloop.stats.srm import srm_weighted
from abloop.store.spool import Spool
from abloop.store.workspace import Workspace

SHARE_ALARM = 0.001
AGAIN = "Make room and import again: what is there will not count twice"
Columns = Sequence[str] | Mapping[str, str]


def import_trial(
    workspace: Workspace,
    strategy: str,
    dataframe: pd.DataFrame,
    *,
    arm: str,
    outcomes: Columns,
    features: Columns = (),
    unit: str | None = None,
    propensity: str | Mapping[str, float] | None = None,
    time: str | None = None,
) -> int:
    """Write a randomised experiment that is over as decisions and observations of a strategy.

    Args:
        workspace: What `abloop.connect` gave.
        strategy: A registered strategy whose arms are the values of the arm column.
        dataframe: One row a unit, n rows.
        arm: Column of the arm each unit had.
        outcomes: Metrics that are columns of the same name, or metric to column.
        features: Features that are columns of the same name, or feature to column.
        unit: Column of the unit; the row's position where None.
        propensity: Column of the probability of the arm each unit had, or arm to probability; the blueprint's
            weights where None.
        time: Column of seconds since 1970; all rows one TTL ago where None, so that they are complete.

    Returns:
        Decisions written, n.

    Raises:
        UnknownNameError: There is no such strategy.
        DataError: A column is missing, an arm is NaN or unknown, a propensity impossible, shares do not hold,
            a unit stands twice, an outcome is missing. Nothing was written.
        StoreError: The spool cannot take the records.
    """
    version, blueprint = workspace.catalogue.blueprint(strategy, workspace.catalogue.serving(strategy).version)
    outcome_columns, feature_columns = _columns(outcomes), _columns(features)
    wanted = [arm, *outcome_columns.values(), *feature_columns.values()]
    wanted += [name for name in (unit, time, propensity) if isinstance(name, str)]
    _check_columns(dataframe, wanted)
    _check_names("metric", outcome_columns, [metric.name for metric in blueprint.metrics])
    _check_names("feature", feature_columns, [feature.name for feature in blueprint.features])
    arms = _check_arms(dataframe[arm], blueprint)
    chances = _check_propensities(dataframe, arms, blueprint, propensity)
    units = _check_units(dataframe, unit)
    values = {
        metric: _check_outcome(dataframe[column], metric, blueprint) for metric, column in outcome_columns.items()
    }
    times = _check_times(dataframe, time, workspace.clock() - blueprint.lifecycle.ttl)
    contexts = _contexts(dataframe, feature_columns)
    units, contexts = _concealed(workspace, blueprint, units, contexts)
    plan, given = readers(blueprint.sourced()), blueprint.given()
    spool = Spool(workspace.spool_directory, clock=lambda: min(times))  # its segment is as old as what it holds
    for position, name in enumerate(arms):
        decision = Decision(
            decision_id=f"{strategy}/{units[position]}",
            strategy=strategy,
            version=version,
            unit=units[position],
            time=times[position],
            features=read(plan, contexts[position]),
            predictions=(),
            arm=name,
            propensity=chances[position],
            phase="randomise",
            decision=given[name],
        )
        observed = {metric: float(column[position]) for metric, column in values.items()}
        if not _write(spool, decision, observed):
            raise StoreError(f"spool {spool.last_error} after {position:,} of {len(arms):,} units. {AGAIN}")
    spool.seal()
    return len(arms)


def _write(spool: Spool, decision: Decision, observed: Mapping[str, float]) -> bool:
    """Write a decision and its observations; return whether all are safe. A missing outcome is not written."""
    about = (decision.decision_id, decision.strategy, decision.time)
    records = [Observation(*about, metric, value, "import") for metric, value in observed.items() if value == value]
    return spool.append(encode(decision)) and all(spool.append(encode(record), spare=True) for record in records)


def _columns(given: Columns) -> dict[str, str]:
    """Return name to column."""
    return dict(given) if isinstance(given, Mapping) else {name: name for name in given}


def _check_columns(frame: pd.DataFrame, wanted: Sequence[str]) -> None:
    missing = [name for name in wanted if name not in frame.columns]
    if missing:
        raise DataError(f"trial: {unknown('column', missing[0], map(str, frame.columns))}")
    if not len(frame):
        raise DataError("trial: no rows; allowed: one or more")


def _check_names(what: str, given: Mapping[str, str], known: Sequence[str]) -> None:
    for name in given:
        if name not in known:
            raise DataError(f"trial: {unknown(what, name, known)}. Add it to the blueprint, or leave it out")


def _check_arms(column: pd.Series[Any], blueprint: Blueprint) -> list[str]:
    known = [arm.name for arm in blueprint.ordered_arms()]
    missing = column.isna().to_numpy()
    if missing.any():
        raise DataError(
            f"trial: column {column.name!r} has no arm on {int(missing.sum()):,} of {len(column):,} rows, first on row "
            f"{int(missing.argmax())}; allowed: {listed(known)}. Leave out rows that were not in the experiment"
        )
    names = column.astype(str).tolist()
    strange = sorted(set(names) - set(known))
    if strange:
        raise DataError(
            f"trial: column {column.name!r}: {unknown('arm', strange[0], known)}. Rename the values or the arms"
        )
    for name in known:
        if name not in names:
            raise DataError(
                f"trial: arm {name!r} has no rows; there are {listed(sorted(set(names)))}. "
                "Leave it out of the blueprint"
            )
    return names


def _check_propensities(
    frame: pd.DataFrame, arms: list[str], blueprint: Blueprint, given: str | Mapping[str, float] | None
) -> list[float]:
    """Return each row's propensity, after comparing the arms' counts with what they should be."""
    names = [arm.name for arm in blueprint.ordered_arms()]
    if isinstance(given, str):
        chances = pd.to_numeric(frame[given], errors="coerce").to_numpy(dtype=float)
        where = f"column {given!r}"
    else:
        shares = dict(zip(names, blueprint.weights(), strict=True)) if given is None else dict(given)
        _check_names("arm", {name: name for name in shares}, names)
        chances = np.asarray([shares.get(name, np.nan) for name in arms], dtype=float)
        where = "the blueprint's weights" if given is None else "propensity"
    bad = ~((chances > 0) & (chances <= 1))
    if bad.any():
        row = int(bad.argmax())
        raise DataError(
            f"trial: {where} gives {chances[row]!r} on row {row} (arm {arms[row]!r}), "
            f"on {int(bad.sum()):,} rows in all; allowed: the probability of the arm the unit had, in (0, 1]"
        )
    had = np.asarray(arms)
    inverse = [1.0 / chances[had == name] for name in names]
    p = srm_weighted(len(arms), [float(w.sum()) for w in inverse], [float(w @ w) for w in inverse], blueprint.weights())
    if p < SHARE_ALARM:
        shown = ", ".join(
            f"{name} {len(w):,} (expected {len(w) * len(arms) / w.sum():,.0f})"
            for name, w in zip(names, inverse, strict=True)
        )
        raise DataError(
            f"trial: arm counts do not fit {where} (p = {p:.1g}): {shown}. "
            "Pass the true shares as propensity={arm: share}, or find out where units were lost"
        )
    return [float(chance) for chance in chances]


def _check_units(frame: pd.DataFrame, column: str | None) -> list[str]:
    if column is None:
        return [str(position) for position in range(len(frame))]
    units = frame[column]
    if units.isna().any():
        raise DataError(
            f"trial: column {column!r} names no unit on {int(units.isna().sum()):,} rows; allowed: an id on each"
        )
    twice = units.duplicated()
    if twice.any():
        first = units[twice].iloc[0]
        raise DataError(
            f"trial: unit {first!r} of column {column!r} stands on {int((units == first).sum())} rows, "
            f"{int(twice.sum()):,} rows repeat a unit; allowed: one row a unit. Add their outcomes up first, "
            "or pass unit=None if rows are units"
        )
    return [str(name) for name in units]


def _check_outcome(column: pd.Series[Any], metric: str, blueprint: Blueprint) -> np.ndarray[Any, np.dtype[np.float64]]:
    values = pd.to_numeric(column, errors="coerce").to_numpy(dtype=float)
    default = next(m.default for m in blueprint.metrics if m.name == metric)
    unusable = np.isinf(values) | (np.isnan(values) & (column.notna().to_numpy() | (default is not None)))
    if unusable.any():
        row = int(unusable.argmax())
        raise DataError(
            f"trial: column {column.name!r} is {column.iloc[row]!r} on row {row}, "
            f"on {int(unusable.sum()):,} rows in all; allowed: numbers; "
            f"missing ones only where the blueprint's metric {metric!r} has default: null"
        )
    return values


def _check_times(frame: pd.DataFrame, column: str | None, otherwise: float) -> list[float]:
    if column is None:
        return [otherwise] * len(frame)
    times = pd.to_numeric(frame[column], errors="coerce").to_numpy(dtype=float)
    if not np.isfinite(times).all():
        row = int((~np.isfinite(times)).argmax())
        raise DataError(
            f"trial: column {column!r} is {frame[column].iloc[row]!r} on row {row}; allowed: seconds since 1970"
        )
    return [float(time) for time in times]


def _concealed(
    workspace: Workspace, blueprint: Blueprint, units: list[str], contexts: list[dict[str, Any]]
) -> tuple[list[str], list[dict[str, Any]]]:
    """Return units and contexts with pseudonyms, where the blueprint asks for them."""
    if not blueprint.pseudonymise:
        return units, contexts
    whole = [context | {blueprint.unit: unit} for context, unit in zip(contexts, units, strict=True)]
    hidden = [conceal(blueprint, context, workspace.pseudonym) for context in whole]
    return [context[blueprint.unit] for context in hidden], hidden


def _contexts(frame: pd.DataFrame, columns: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return each row's features as the context product code would have passed; NaN becomes missing."""
    names = list(columns)
    picked = [frame[column].astype(object).where(frame[column].notna(), None).tolist() for column in columns.values()]
    return [dict(zip(names, values, strict=True)) for values in zip(*picked, strict=True)] or [
        {} for _ in range(len(frame))
    ]
