"""Quantiles of a metric by arm, from order statistics that one query gives, and a second where units have many rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from abloop.blueprint.reading import Measure
from abloop.errors import DataError
from abloop.stats.moments import Moments
from abloop.stats.quantile import HALVINGS, QuantileSummary, rungs, summarise
from abloop.store.measures import Columns, literal, row_value
from abloop.store.products import VALUE, WEIGHT, merged, read_products

if TYPE_CHECKING:
    from abloop.store.warehouse import Warehouse


def read_quantiles(warehouse: Warehouse, columns: Columns, measure: Measure) -> dict[str, QuantileSummary]:
    """Return what is known of a quantile in each arm.

    Args:
        warehouse: Runs the queries.
        columns: Where the table has what.
        measure: Of kind quantile.

    Raises:
        StoreError: The table cannot be read.
        DataError: The database has no quantiles, or a value is not finite.
    """
    if not warehouse.quantiles:
        came = f"measure {measure.name!r} is a quantile, which this database cannot compute"
        raise DataError(f"{came}; allowed: other kinds, or data as a frame or Parquet")
    value, levels = row_value(measure, columns), rungs(measure.level)
    where = f" WHERE {columns.where}" if columns.where else ""
    listed = ", ".join(map(repr, levels))
    rows = warehouse.rows(
        f"SELECT arm, COUNT(v), QUANTILE_DISC(v, [{listed}]) FROM "  # noqa: S608 - names are quoted, numbers ours
        f"(SELECT {columns.arm} AS arm, {value} AS v FROM {columns.relation}{where}) x GROUP BY arm"
    )
    known: dict[str, tuple[int, list[Any]]] = {str(arm): (int(n), list(found or [])) for arm, n, found in rows}
    known = {arm: (n, found) for arm, (n, found) in known.items() if n}
    shares = _shares(warehouse, columns, measure, known) if columns.unit else {}
    return {arm: summarise(measure.level, n, found, shares.get(arm)) for arm, (n, found) in known.items()}


def _shares(
    warehouse: Warehouse, columns: Columns, measure: Measure, known: Mapping[str, tuple[int, list[Any]]]
) -> dict[str, Moments]:
    """Return the moments over units of rows at or below their arm's quantile, and of rows."""
    if not known:
        return {}
    value = row_value(measure, columns)
    cases = " ".join(f"WHEN {literal(arm)} THEN {float(found[HALVINGS])!r}" for arm, (_, found) in known.items())
    below = f"CASE WHEN {value} IS NULL THEN NULL WHEN {value} <= CASE {columns.arm} {cases} END THEN 1.0 ELSE 0.0 END"
    there = msgspec.structs.replace(columns, values={**columns.values, measure.metric: below})
    plain = Measure(name=measure.name, of=measure.metric)
    found = merged(read_products(warehouse, there, [plain])[plain.name])
    shares = {}
    for arm, each in found.items():
        (ss, sm), (_, mm) = each.products
        s, m = each.means[each.index(VALUE)], each.means[each.index(WEIGHT)]
        shares[arm] = Moments(each.units, s * each.units, m * each.units, ss, sm, mm)
    return shares
