"""Who came when, and why they got their arm: decisions and new units by day, phases, propensities, missing features."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import msgspec

from abloop.blueprint import Blueprint
from abloop.readout.strategy import RANDOMISED, listed_files
from abloop.store.measures import literal, quoted

if TYPE_CHECKING:
    from abloop.store.warehouse import Duck
    from abloop.store.workspace import Workspace

DAY = 86_400.0
BINS = 10
MOST_DAYS = 120


class Day(msgspec.Struct, frozen=True):
    """One day of traffic.

    Attributes:
        day: ISO date, UTC.
        decisions: Complete decisions of that day, by arm.
        units: Units whose first randomised decision is of that day, by arm.
    """

    day: str
    decisions: dict[str, int]
    units: dict[str, int]


class Traffic(msgspec.Struct, frozen=True):
    """The complete rows of what is served, before any outcome.

    Attributes:
        days: The last days with a decision, oldest first.
        phases: Phase to decisions.
        propensities: Arm to decisions by the probability they were drawn with, in tenths from 0 to 1.
        least: Least probability that any randomised decision was drawn with; 1 where there is none.
        missing: Feature to the share of rows that lack it.
        rows: Complete rows.
    """

    days: tuple[Day, ...] = ()
    phases: dict[str, int] = {}
    propensities: dict[str, tuple[int, ...]] = {}
    least: float = 1.0
    missing: dict[str, float] = {}
    rows: int = 0

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data."""
        found: dict[str, Any] = msgspec.to_builtins(self)
        return found


def read_traffic(workspace: Workspace, strategy: str) -> Traffic:
    """Return the traffic of a strategy's served version, and of versions that differ in nothing but what is read.

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
    listed = listed_files(workspace, strategy, blueprint)
    if not sum(file.rows for file in listed):
        return Traffic()
    with open_files(paths(workspace.table_directory, [file.name for file in listed])) as (warehouse, relation):
        return _read(warehouse, relation, blueprint)


def _read(warehouse: Duck, relation: str, blueprint: Blueprint) -> Traffic:
    """Return the traffic of a table."""
    drawn = f"phase IN ({', '.join(map(literal, RANDOMISED))})"
    day = f"FLOOR(time / {DAY!r})"
    days: dict[float, Day] = {}

    def of(number: float) -> Day:
        iso = datetime.fromtimestamp(number * DAY, UTC).date().isoformat()
        return days.setdefault(number, Day(iso, {}, {}))

    for number, arm, count in warehouse.rows(
        f"SELECT {day} AS d, arm, COUNT(*) FROM {relation} GROUP BY d, arm ORDER BY d, arm"  # noqa: S608
    ):
        of(number).decisions[arm] = count
    first = f"SELECT unit, MIN(arm) AS arm, MIN({day}) AS d FROM {relation} WHERE {drawn} GROUP BY unit"  # noqa: S608
    for number, arm, count in warehouse.rows(f"SELECT d, arm, COUNT(*) FROM ({first}) x GROUP BY d, arm ORDER BY d"):  # noqa: S608
        of(number).units[arm] = count
    counted = f"SELECT phase, COUNT(*) FROM {relation} GROUP BY phase ORDER BY 2 DESC"  # noqa: S608
    phases: dict[str, int] = dict(warehouse.rows(counted))
    place = f"LEAST({BINS - 1}, FLOOR(propensity * {BINS}))"
    spread: dict[str, list[int]] = {}
    for arm, number, count in warehouse.rows(
        f"SELECT arm, {place} AS p, COUNT(*) FROM {relation} GROUP BY arm, p ORDER BY arm, p"  # noqa: S608
    ):
        spread.setdefault(arm, [0] * BINS)[int(number)] = count
    names = [feature.name for feature in blueprint.sourced()]
    there = set(warehouse.columns(relation))
    listed = [f"COUNT({quoted(f'x.{name}')})" if f"x.{name}" in there else "0" for name in names]
    ((rows, least, *known),) = warehouse.rows(
        f"SELECT {', '.join(['COUNT(*)', f'MIN(propensity) FILTER (WHERE {drawn})', *listed])} FROM {relation}"  # noqa: S608
    )
    return Traffic(
        tuple(days[number] for number in sorted(days))[-MOST_DAYS:],
        phases,
        {arm: tuple(counts) for arm, counts in spread.items()},
        1.0 if least is None else least,
        {name: 1.0 - number / rows for name, number in zip(names, known, strict=True)},
        rows,
    )
