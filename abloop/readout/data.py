"""The readout of an experiment that is somewhere else: a frame, Parquet files, or a company's own database."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from abloop.blueprint import Blueprint, Reading
from abloop.blueprint.reading import Measure
from abloop.errors import DataError, unknown
from abloop.readout.read import Found, Rows, read_metrics
from abloop.readout.recommend import gaps, recommend
from abloop.readout.results import Readout
from abloop.readout.strategy import NET_VALUE, SRM_ALARM, shown
from abloop.stats.srm import srm_always_valid, srm_p_value
from abloop.store.measures import Columns, literal, quoted
from abloop.store.warehouse import Warehouse, open_database, open_files, open_frame

Given = Mapping[str, str] | Sequence[str]


def read_data(
    data: Any,
    blueprint: Blueprint,
    reading: Reading | None = None,
    *,
    arm: str = "arm",
    unit: str = "",
    time: str = "",
    outcomes: Given | None = None,
    features: Given | None = None,
    table: str = "",
) -> Readout:
    """Return the readout of an experiment's rows; see `abloop.readout`.

    Raises:
        DataError: A column is missing, an arm unknown, a value not finite, a unit in several arms of a kind that
            cannot be told.
        StoreError: Files or database cannot be read.
    """
    reading = reading or blueprint.readout
    with _open(data, table) as (warehouse, relation):
        there = warehouse.columns(relation)
        named = {name: _column(name, column, there) for name, column in _names(blueprint, outcomes, there).items()}
        known = {feature.name: feature.name for feature in blueprint.sourced() if feature.name in there}
        known |= _mapping(features) if features is not None else {}
        arm_text = f"CAST({_column('arm', arm, there)} AS VARCHAR)"
        columns = Columns(
            relation=relation,
            arm=arm_text,
            unit=_column("unit", unit, there) if unit else "",
            values=_with_net(blueprint, named, arm_text),
            features={name: _column(name, column, there) for name, column in known.items()},
            time=_column("time", time, there) if time else "",
        )
        arms = tuple(each.name for each in blueprint.ordered_arms())
        measures = [Measure(name=name, role=role) for name, role in shown(blueprint)]  # type: ignore[arg-type]
        measures += list(reading.measures)
        _check_measures(measures, reading, columns)
        complete = _complete(warehouse, columns)
        found = read_metrics(Rows(warehouse, columns, arms, tuple(measures), reading, complete))
        several = _in_several_arms(warehouse, columns) if unit else 0
    return _readout(blueprint, reading, found, several)


def _readout(blueprint: Blueprint, reading: Reading, found: Found, several: int) -> Readout:
    """Return the readout of what was found, with its warnings."""
    total = sum(found.units.values())
    if found.strangers:
        name = min(found.strangers)
        came = f"{found.strangers[name]:,} units are in arm {name!r}"
        raise DataError(f"{came}: {unknown('arm', name, found.units)}. Add it to the blueprint, or leave its rows out")
    counts, weights = list(found.units.values()), blueprint.weights()
    srm, always = (srm_p_value(counts, weights), srm_always_valid(counts, weights)) if total else (1.0, 1.0)
    notes = []
    if always < SRM_ALARM:
        shares = zip(found.units.items(), weights, strict=True)
        said = ", ".join(f"{name} {units:,} (expected {share * total:,.0f})" for (name, units), share in shares)
        notes.append(
            f"Sample ratio mismatch (p = {always:.1g}): {said}. Do not believe the numbers before the cause is found."
        )
    if several:
        notes.append(f"{several:,} units are in several arms; they count in each. Leave them out, or find the cause.")
    notes += [f"No units in arm {name!r}." for name, units in found.units.items() if not units]
    notes += gaps(found.metrics)
    ill = notes[0] if always < SRM_ALARM else ""
    return Readout(
        blueprint.strategy,
        0,
        "randomise",
        total,
        0,
        found.units,
        srm,
        found.metrics if total else (),
        None,
        tuple(notes),
        recommend(found.metrics, found.units, reading, found.days, ill),
        reading.inference,
        reading.confidence,
        found.days,
        always,
    )


def _open(data: Any, table: str) -> AbstractContextManager[tuple[Warehouse, str]]:
    """Return the warehouse of some data."""
    if isinstance(data, str) and "://" in data:
        return open_database(data, table)
    if isinstance(data, str | Path):
        return open_files([data])
    if isinstance(data, list | tuple) and data and all(isinstance(item, str | Path) for item in data):
        return open_files(list(data))
    return open_frame(data)


def _mapping(given: Given) -> dict[str, str]:
    return dict(given) if isinstance(given, Mapping) else {name: name for name in given}


def _names(blueprint: Blueprint, outcomes: Given | None, there: Sequence[str]) -> dict[str, str]:
    """Return metric to column: all metrics of the blueprint, under their names where nothing is said."""
    del there
    given = _mapping(outcomes) if outcomes is not None else {}
    known = [metric.name for metric in blueprint.metrics]
    for name in given:
        if name not in known:
            raise DataError(f"outcomes: {unknown('metric', name, known)}")
    return {name: given.get(name, name) for name in known}


def _column(what: str, name: str, there: Sequence[str]) -> str:
    """Return a column as SQL, once it is known to be there."""
    if name not in there:
        raise DataError(f"{what}: {unknown('column', name, there)}")
    return quoted(name)


def _with_net(blueprint: Blueprint, named: Mapping[str, str], arm: str) -> dict[str, str]:
    """Return the metrics' columns and what net value is made of."""
    worth = " + ".join(
        f"CAST({named[metric.name]} AS DOUBLE PRECISION) * {metric.value!r}" for metric in blueprint.goals()
    )
    costs = [f"WHEN {literal(each.name)} THEN {each.cost!r}" for each in blueprint.ordered_arms()]
    return {**named, NET_VALUE: f"{worth} - CASE {arm} {' '.join(costs)} END"}


def _check_measures(measures: Sequence[Measure], reading: Reading, columns: Columns) -> None:
    """Check that what is read is there."""
    wanted = [*reading.covariates, *reading.segments, *([reading.stratum] if reading.stratum else [])]
    wanted += [name for measure in measures for name in measure.where]
    for name in wanted:
        if name not in columns.features:
            raise DataError(f"readout: {unknown('feature', name, columns.features)}; name its column: features={{...}}")
    for measure in measures:
        if measure.after:
            raise DataError(
                f"measure {measure.name!r}: after needs the times of outcomes, which only abloop's own rows have"
            )


def _complete(warehouse: Warehouse, columns: Columns) -> set[str]:
    """Return the columns that are never null, where rows are units: a cheap look that saves the dear one time."""
    if columns.unit:
        return set()
    names = [column for name, column in columns.values.items() if name != NET_VALUE]
    names += columns.features.values()
    counts = ", ".join(f"COUNT({name})" for name in names)
    ((total, *there),) = warehouse.rows(f"SELECT COUNT(*), {counts} FROM {columns.relation}")  # noqa: S608
    return {name for name, count in zip(names, there, strict=True) if count == total}


def _in_several_arms(warehouse: Warehouse, columns: Columns) -> int:
    """Return how many units are in more than one arm."""
    inner = f"SELECT {columns.unit} AS u FROM {columns.relation} GROUP BY {columns.unit}"  # noqa: S608
    query = f"SELECT COUNT(*) FROM ({inner} HAVING MIN({columns.arm}) <> MAX({columns.arm})) x"  # noqa: S608
    return int(warehouse.rows(query)[0][0])
