"""Measures as SQL: one query that reduces rows to sums and products, in words that every database knows.

Only SUM, COUNT, AVG, MAX, CASE and CAST are used, so that DuckDB and a warehouse run the same. What is summed is
first shifted near its mean: otherwise a metric that is large beside its spread would lose its variance.
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from typing import NamedTuple

import msgspec

from abloop.blueprint.reading import Measure

Shifts = Mapping[str, float]
ROUNDING = 1e-14


class Columns(msgspec.Struct, frozen=True):
    """Where a table has what.

    Attributes:
        relation: What is read, as SQL: a table, or a query in brackets.
        arm: Column of the arm, as SQL.
        unit: Column of the unit, as SQL; empty where each row is a unit.
        values: Metric to column, as SQL.
        features: Feature to column, as SQL.
        time: Column of the decision's time, as SQL; empty where there is none.
        times: Metric to the column of its last observation's time, as SQL.
        where: Condition on rows, as SQL; all where empty.
    """

    relation: str
    arm: str
    unit: str
    values: dict[str, str]
    features: dict[str, str] = {}
    time: str = ""
    times: dict[str, str] = {}
    where: str = ""


class Column(NamedTuple):
    """One column of the table of units: its name there, how rows make it, and whether it is 1 for every unit."""

    name: str
    expression: str
    is_one: bool = False


class Plan(NamedTuple):
    """What is computed of one measure: its numerator and denominator, then the covariates."""

    measure: Measure
    value: Column
    weight: Column
    covariates: tuple[Column, ...]

    @property
    def columns(self) -> tuple[Column, ...]:
        """Columns whose sums and products are needed: the denominator only where it differs between units."""
        return (self.value, *(() if self.weight.is_one else (self.weight,)), *self.covariates)


def literal(value: str | float | bool) -> str:
    """Return a value as SQL.

    Example:
        >>> literal("Men's"), literal(2.5), literal(True)
        ("'Men''s'", '2.5', 'TRUE')
    """
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    return str(value).upper() if isinstance(value, bool) else repr(value)


def quoted(name: str) -> str:
    """Return a column name as SQL.

    Example:
        >>> quoted('y.spend')
        '"y.spend"'
    """
    return '"' + name.replace('"', '""') + '"'


def plan(measure: Measure, place: int, columns: Columns, covariates: Sequence[str], caps: Mapping[str, float]) -> Plan:
    """Return what is computed of a measure.

    Args:
        measure: Of kind mean, total or share.
        place: Its number in the query.
        columns: Where the table has what.
        covariates: Features by which it is made more precise.
        caps: Measure to the value at its `cap_level`.
    """
    value, weight = f"s{place}", f"m{place}"
    row, cap = row_value(measure, columns), measure.cap if measure.cap is not None else caps.get(measure.name)
    if cap is not None and (measure.kind == "mean" or not columns.unit):
        row = f"CASE WHEN {row} > {cap!r} THEN {cap!r} ELSE {row} END"
    known = tuple(
        Column(f"c{index}", f"AVG({columns.features[name]})" if columns.unit else columns.features[name])
        for index, name in enumerate(covariates)
    )
    per = f"CASE WHEN {row} IS NOT NULL THEN {columns.values[measure.per]} END" if measure.per else ""
    given = f"CASE WHEN {columns.values[measure.given]} > 0 THEN 1.0 ELSE 0.0 END" if measure.given else ""
    if not columns.unit:
        row = f"{row} * {given}" if given else row
        return Plan(measure, Column(value, row), Column(weight, per or given, not (per or given)), known)
    if measure.kind == "mean":
        number = f"SUM({per})" if per else f"COUNT({row})"
        return Plan(measure, Column(value, f"SUM({row})"), Column(weight, number), known)
    if measure.kind == "share":
        has = f"MAX({given})" if given else ""
        both = f"MAX({row}) * {has}" if given else f"MAX({row})"
        return Plan(measure, Column(value, both), Column(weight, has, not given), known)
    total = f"SUM({row})"
    total = f"CASE WHEN {total} > {cap!r} THEN {cap!r} ELSE {total} END" if cap is not None else total
    return Plan(measure, Column(value, total), Column(weight, "", is_one=True), known)


def row_value(measure: Measure, columns: Columns) -> str:
    """Return the value of a row for a measure as SQL; null where it does not count."""
    value = f"CAST({columns.values[measure.metric]} AS DOUBLE PRECISION)"
    if measure.kind == "share":
        late = ""
        if measure.after:
            late = f" AND {columns.times[measure.metric]} >= {columns.time} + {measure.after!r}"
        value = f"CASE WHEN {value} > 0{late} THEN 1.0 ELSE 0.0 END"
    conditions = [
        f"{columns.features[name]} IN ({', '.join(map(literal, allowed))})" for name, allowed in measure.where.items()
    ]
    return f"CASE WHEN {' AND '.join(conditions)} THEN {value} END" if conditions else value


def units_query(plans: Sequence[Plan], columns: Columns, by: Mapping[str, str]) -> str:
    """Return the query of the table of units: arm, groups, and the columns of all measures.

    Args:
        plans: From `plan`.
        columns: Where the table has what.
        by: Name to SQL of what units are grouped by, besides the arm.
    """
    made = {column.name: column.expression for each in plans for column in each.columns}
    groups = {name: f"MIN({expression})" if columns.unit else expression for name, expression in by.items()}
    named = {"arm": columns.arm, **groups, **made}
    listed = ", ".join(f"{expression} AS {name}" for name, expression in named.items())
    where = f" WHERE {columns.where}" if columns.where else ""
    if not columns.unit:
        return f"SELECT {listed} FROM {columns.relation}{where}"  # noqa: S608 - see the module: names are quoted
    return f"SELECT {listed} FROM {columns.relation}{where} GROUP BY {columns.unit}, {columns.arm}"  # noqa: S608


def sums_query(
    plans: Sequence[Plan], columns: Columns, by: Mapping[str, str], shifts: Shifts, complete: Container[str] = ()
) -> tuple[str, list[list[int]]]:
    """Return the query of all sums and products by arm and group, and where in its rows those of each measure are.

    Args:
        plans: From `plan`.
        columns: Where the table has what.
        by: As for `units_query`.
        shifts: Column of the table of units to a number near its mean.
        complete: Columns of the table of units that are never null.
    """
    places: dict[str, int] = {}
    found = []
    for each in plans:
        terms = sum_terms(each, shifts, complete)
        found.append([1 + len(by) + places.setdefault(term, len(places)) for term in terms])
    keys = ", ".join(["arm", *by])
    listed = ", ".join(f"{term} AS t{index}" for term, index in places.items())
    units = units_query(plans, columns, by)
    return f"SELECT {keys}, {listed} FROM ({units}) units GROUP BY {keys}", found  # noqa: S608


def sum_terms(each: Plan, shifts: Shifts, complete: Container[str] = ()) -> list[str]:
    """Return the terms of a measure: the units that count, then sums, then products of pairs, row by row."""
    value, weight = each.value.name, each.weight.name
    there = "" if value in complete else f"{value} IS NOT NULL"
    if not each.weight.is_one:
        there = f"{weight} > 0"
    held = []
    for column in each.columns:
        name = column.name
        shifted = f"({name} - {shifts.get(name, 0.0)!r})"
        if column in each.covariates and name not in complete:  # an unknown one says nothing: it stands at the mean
            shifted = f"COALESCE({shifted}, 0)"
        alone = name == value and each.weight.is_one  # is null itself where it does not count
        held.append(f"(CASE WHEN {there} THEN {shifted} END)" if there and not alone else shifted)
    pairs = [(i, j) for i in range(len(held)) for j in range(i, len(held))]
    return [
        f"COUNT({f'CASE WHEN {there} THEN 1 END' if there else '*'})",
        *(f"SUM({term})" for term in held),
        *(f"SUM({held[i]} * {held[j]})" for i, j in pairs),
    ]


def read_sums(each: Plan, terms: Sequence[float | None], shifts: Shifts) -> tuple[int, list[float], list[list[float]]]:
    """Return units, means of the columns, and sums of products around these, from the terms of a measure.

    Args:
        each: Its plan; the columns are its numerator, its denominator unless that is one, its covariates.
        terms: Values of `sum_terms`.
        shifts: As given to these.

    Returns:
        n, shape (k,), shape (k, k).
    """
    n, k = int(terms[0] or 0), len(each.columns)
    sums = [float(term or 0.0) for term in terms[1 : 1 + k]]
    means = [_mean(shifts.get(column.name, 0.0), total, n) for column, total in zip(each.columns, sums, strict=True)]
    products = [[0.0] * k for _ in range(k)]
    rest = iter(terms[1 + k :])
    for i in range(k):
        for j in range(i, k):
            product = float(next(rest) or 0.0) - (sums[i] * sums[j] / n if n else 0.0)
            products[i][j] = products[j][i] = max(product, 0.0) if i == j else product
    return n, means, products


def _mean(shift: float, total: float, n: int) -> float:
    """Return a mean from shifted values; what is only rounding beside the shift is zero."""
    mean = shift + total / n if n else 0.0
    return 0.0 if abs(mean) <= ROUNDING * abs(shift) else mean
