"""From rows to products: one query for all measures, one record for each arm, group and measure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from abloop.blueprint.reading import Measure
from abloop.errors import DataError
from abloop.stats.moments import Products
from abloop.store.measures import Columns, Plan, plan, read_sums, row_value, sums_query, units_query

if TYPE_CHECKING:
    from abloop.store.warehouse import Warehouse

SAMPLE = 1_000
VALUE, WEIGHT = "s", "m"
Group = tuple[str, ...]
Found = dict[str, dict[Group, dict[str, Products]]]


def covariate(place: int) -> str:
    """Return the column of a covariate in products.

    Example:
        >>> covariate(0)
        'c0'
    """
    return f"c{place}"


def read_products(
    warehouse: Warehouse,
    columns: Columns,
    measures: Sequence[Measure],
    covariates: Sequence[str] = (),
    by: Mapping[str, str] | None = None,
    complete: Collection[str] = (),
) -> Found:
    """Return the products of each measure, by measure, group and arm.

    Args:
        warehouse: Runs the query.
        columns: Where the table has what.
        measures: Of kind mean, total or share; one or more.
        covariates: Features by which estimates are made more precise.
        by: Name to SQL of what units are grouped by, besides the arm; of a unit with several values, the least.
        complete: Columns of the table that are never null, as SQL; what is known saves time.

    Raises:
        StoreError: The table cannot be read.
        DataError: A value is not finite, or not a number.
    """
    groups = dict(by or {})
    caps = _caps(warehouse, columns, measures)
    plans = [plan(each, place, columns, covariates, caps) for place, each in enumerate(measures)]
    shifts = _shifts(warehouse, plans, columns)
    query, places = sums_query(plans, columns, groups, shifts, _complete(plans, columns, complete))
    found: Found = {each.name: {} for each in measures}
    for row in warehouse.rows(query):
        arm, group = str(row[0]), tuple(str(value) for value in row[1 : 1 + len(groups)])
        for each, terms in zip(plans, places, strict=True):
            there = found[each.measure.name].setdefault(group, {})
            there[arm] = _products(each, [row[index] for index in terms], shifts, arm)
    return found


def merged(found: Mapping[Group, Mapping[str, Products]]) -> dict[str, Products]:
    """Return the products of each arm over all groups."""
    whole: dict[str, Products] = {}
    for group in sorted(found):
        for arm, part in found[group].items():
            whole[arm] = whole[arm].merge(part) if arm in whole else part
    return whole


def _products(each: Plan, terms: Sequence[Any], shifts: Mapping[str, float], arm: str) -> Products:
    """Return the record of one measure in one arm."""
    units, means, around = read_sums(each, terms, shifts)
    if any(mean - mean for mean in means):
        came = f"measure {each.measure.name!r} has NaN or infinite values in arm {arm!r}, of {units:,} units"
        raise DataError(f"{came}; allowed: finite numbers, or null where there is none")
    names = [VALUE, *([] if each.weight.is_one else [WEIGHT])]
    names += [covariate(place) for place in range(len(each.covariates))]
    return Products(tuple(names), units, tuple(means), tuple(map(tuple, around)))


def _complete(plans: Sequence[Plan], columns: Columns, known: Collection[str]) -> set[str]:
    """Return the columns of the table of units that are never null."""
    found: set[str] = set()
    if columns.unit:
        return found
    for each in plans:
        if columns.values[each.measure.metric] in known and not (each.measure.where or each.measure.per):
            found.add(each.value.name)
        found |= {column.name for column in each.covariates if column.expression in known}
    return found


def _shifts(warehouse: Warehouse, plans: Sequence[Plan], columns: Columns) -> dict[str, float]:
    """Return a number near the mean of each column of the table of units, from the first rows."""
    made = {column.name: column for each in plans for column in each.columns}
    few = msgspec.structs.replace(columns, relation=f"(SELECT * FROM {columns.relation} LIMIT {SAMPLE}) AS few")  # noqa: S608
    listed = ", ".join(f"AVG({name})" for name in made)
    (row,) = warehouse.rows(f"SELECT {listed} FROM ({units_query(plans, few, {})}) units")  # noqa: S608
    return {
        name: float(value) for name, value in zip(made, row, strict=True) if value is not None and value - value == 0
    }


def _caps(warehouse: Warehouse, columns: Columns, measures: Sequence[Measure]) -> dict[str, float]:
    """Return the value at each measure's `cap_level`, over all arms."""
    found = {}
    where = f" WHERE {columns.where}" if columns.where else ""
    for each in measures:
        if each.cap_level is None:
            continue
        if not warehouse.quantiles:
            message = f"measure {each.name!r} has a cap_level, which this database cannot compute"
            raise DataError(f"{message}; allowed: cap, a number, or data as a frame or Parquet")
        value = row_value(each, columns)
        if each.kind == "total" and columns.unit:
            inner = f"SELECT SUM({value}) AS v FROM {columns.relation}{where} GROUP BY {columns.unit}"  # noqa: S608
        else:
            inner = f"SELECT {value} AS v FROM {columns.relation}{where}"  # noqa: S608
        ((level,),) = warehouse.rows(f"SELECT QUANTILE_CONT(v, {each.cap_level!r}) FROM ({inner}) x")  # noqa: S608
        if level is not None:
            found[each.name] = float(level)
    return found
