"""Whether features and outcomes are still what the model learned from: each one's values now beside those before."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from abloop.blueprint import Blueprint
from abloop.errors import DataError
from abloop.readout.figures import COLOURS, GREY, dated
from abloop.readout.strategy import listed_files
from abloop.readout.text import table
from abloop.stats.drift import stability_index, stability_p_value
from abloop.store.measures import literal, quoted

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from abloop.store.warehouse import Duck
    from abloop.store.workspace import Workspace

State = Literal["stable", "moves", "drifts"]
MOVES, DRIFTS = 0.1, 0.25  # stability indices
ALPHA = 0.001  # by all columns together
TENTHS, CATEGORIES = 10, 12
LONGEST = 20  # letters of a name in a figure
FEWEST = 200  # rows of a period in the course
DAY = 86_400.0
HISTORY = 1_000
LACKING = "missing"
REST = "all others"


class Part(msgspec.Struct, frozen=True):
    """One part of a column's values: a tenth of the numbers before, or a category.

    Attributes:
        name: What is in it.
        before: Share of rows before, in [0, 1].
        now: Share of rows now.
    """

    name: str
    before: float
    now: float


class Shift(msgspec.Struct, frozen=True):
    """How one column moved.

    Attributes:
        name: Of the feature or metric.
        role: `feature` or `metric`.
        index: Its population stability index; see `stats.drift`.
        p_value: Of nothing having changed, by units.
        state: `drifts` at an index of 0.25 or more, `moves` from 0.1 on, both only where that is no chance.
        lacking: Share of rows without a value, before and now.
        unseen: Share of rows now whose category was never there before; 0 of numbers with many values.
        parts: Its values: tenths of numbers before, or each value where they are few.
        course: Day and index of the rows since the day before, over time.
    """

    name: str
    role: Literal["feature", "metric"]
    index: float
    p_value: float
    state: State
    lacking: tuple[float, float]
    unseen: float
    parts: tuple[Part, ...]
    course: tuple[tuple[str, float], ...]


class Drift(msgspec.Struct, frozen=True):
    """How all columns of a strategy moved.

    Attributes:
        strategy: Its name.
        version: Blueprint version that serves.
        since: Where before ends and now begins, in seconds since 1970.
        trained: Whether that is when the release that serves began; else the rows are cut in halves by time.
        rows: Complete rows before and now.
        units: Units of them.
        columns: Those that moved most first.
    """

    strategy: str
    version: int
    since: float
    trained: bool
    rows: tuple[int, int]
    units: tuple[int, int]
    columns: tuple[Shift, ...]

    @property
    def words(self) -> str:
        """It in a sentence or two."""
        before = "the release that serves was trained" if self.trained else "the older half of the rows was logged"
        gone = [each for each in self.columns if each.state != "stable"]
        if not gone:
            return f"Nothing has moved since {before}: {len(self.columns)} columns, {self.rows[1]:,} rows since."
        listed = ", ".join(f"{each.name!r} {each.state} ({each.index:.2f})" for each in gone[:6])
        more = f" and {len(gone) - 6} more" if len(gone) > 6 else ""
        advice = " Train again, or see why." if self.trained else ""
        return f"Since {before}, these have moved: {listed}{more}.{advice}"

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data."""
        found: dict[str, Any] = msgspec.to_builtins(self)
        return found


def read_drift(workspace: Workspace, strategy: str) -> Drift:
    """Return how features and metrics moved since the release that serves began, or else between older and newer rows.

    Args:
        workspace: What `abloop.connect` gave.
        strategy: Its name.

    Raises:
        UnknownNameError: There is no such strategy.
        DataError: There are too few complete rows before or since.
        StoreError: Database or table cannot be read.
    """
    from abloop.store.parquet import paths
    from abloop.store.warehouse import open_files

    serving = workspace.catalogue.serving(strategy)
    version, blueprint = workspace.catalogue.blueprint(strategy, serving.version)
    listed = listed_files(workspace, strategy, blueprint)
    if not sum(file.rows for file in listed):
        raise DataError(f"strategy {strategy!r} has no complete row yet; there is nothing to compare")
    began = [each.at for each in workspace.catalogue.history(strategy, HISTORY) if each.release == serving.release]
    with open_files(paths(workspace.table_directory, [file.name for file in listed])) as (warehouse, relation):
        since, trained = _cut(warehouse, relation, min(began) if serving.release and began else None)
        counted = f"SELECT time >= {since!r}, COUNT(*), COUNT(DISTINCT unit) FROM {relation} GROUP BY 1"  # noqa: S608 - numbers, quoted names
        sizes = {bool(now): (rows, units) for now, rows, units in warehouse.rows(counted)}
        (old, olds), (new, news) = sizes.get(False, (0, 0)), sizes.get(True, (0, 0))
        if min(old, new) < FEWEST:
            raise DataError(
                f"drift needs {FEWEST} complete rows before and since; strategy {strategy!r} has {old:,} and {new:,}"
            )
        columns = _columns(warehouse, relation, blueprint, since, (olds, news))
    return Drift(strategy, version, since, trained, (old, new), (olds, news), columns)


def _cut(warehouse: Duck, relation: str, began: float | None) -> tuple[float, bool]:
    """Return when now begins, and whether that is the beginning of a release."""
    if began is not None:
        sides = ", ".join(f"COUNT(*) FILTER (WHERE time {sign} {began!r})" for sign in ("<", ">="))
        ((before, since),) = warehouse.rows(f"SELECT {sides} FROM {relation}")  # noqa: S608 - numbers, quoted names
        if min(before, since) >= FEWEST:
            return began, True
    ((middle,),) = warehouse.rows(f"SELECT QUANTILE_CONT(time, 0.5) FROM {relation}")  # noqa: S608 - numbers, quoted names
    return float(middle), False


def _columns(
    warehouse: Duck, relation: str, blueprint: Blueprint, since: float, units: tuple[int, int]
) -> tuple[Shift, ...]:
    """Return how each column moved, those that moved most first."""
    there = set(warehouse.columns(relation))
    wanted = [(f"x.{each.name}", each.name, "feature", each.type) for each in blueprint.sourced()]
    wanted += [(f"y.{each.name}", each.name, "metric", "numeric") for each in blueprint.metrics]
    found = []
    for column, name, role, kind in wanted:
        if column not in there or kind == "time":  # which moves by itself
            continue
        part, names, unseen = _parts(warehouse, relation, quoted(column), kind, since)
        query = f"SELECT {part}, FLOOR(time / {DAY!r}), time >= {since!r}, COUNT(*) FROM {relation} GROUP BY ALL"  # noqa: S608 - numbers, quoted names
        cells = [(int(at), float(day), bool(now), int(count)) for at, day, now, count in warehouse.rows(query)]
        found.append(_shift(name, role, names, cells, units, unseen, ALPHA / len(wanted)))
    return tuple(sorted(found, key=lambda each: -each.index))


def _parts(warehouse: Duck, relation: str, column: str, kind: str, since: float) -> tuple[str, list[str], float]:
    """Return SQL for the number of a row's part, the names of the parts, and the share of categories never seen."""
    before = f"FROM {relation} WHERE time < {since!r} AND {column} IS NOT NULL"
    distinct = f"SELECT DISTINCT {column} {before} LIMIT {CATEGORIES + 1}"
    few = sorted(_values(warehouse, distinct)) if kind == "numeric" else []
    if kind == "numeric" and len(few) > CATEGORIES:
        tenths = [number / TENTHS for number in range(1, TENTHS)]
        ((found,),) = warehouse.rows(f"SELECT QUANTILE_DISC({column}, {tenths!r}) {before}")
        edges = sorted(set(found or ()))
        cases = " ".join(f"WHEN {column} <= {edge!r} THEN {at}" for at, edge in enumerate(edges, 1))
        names = [f"to {edges[0]:.4g}", *(f"{a:.4g} to {b:.4g}" for a, b in pairwise(edges))]
        names.append(f"above {edges[-1]:.4g}")
        return f"CASE WHEN {column} IS NULL THEN 0 {cases} ELSE {len(edges) + 1} END", [LACKING, *names], 0.0
    if kind not in ("numeric", "categorical"):  # sparse values and embeddings: only whether they are there
        return f"CASE WHEN {column} IS NULL THEN 0 ELSE 1 END", [LACKING, "there"], 0.0
    often = f"SELECT {column} {before} GROUP BY 1 ORDER BY COUNT(*) DESC, 1 LIMIT {CATEGORIES}"
    most = few if kind == "numeric" else _values(warehouse, often)
    cases = " ".join(f"WHEN {column} = {literal(name)} THEN {at}" for at, name in enumerate(most, 1))
    ((unseen,),) = warehouse.rows(
        f"SELECT COALESCE(AVG(CASE WHEN {column} IN (SELECT {column} {before}) THEN 0.0 ELSE 1.0 END), 0.0) "  # noqa: S608 - numbers, quoted names
        f"FROM {relation} WHERE time >= {since!r} AND {column} IS NOT NULL"
    )
    names = [f"{value:g}" if kind == "numeric" else value for value in most]
    return f"CASE WHEN {column} IS NULL THEN 0 {cases} ELSE {len(most) + 1} END", [LACKING, *names, REST], float(unseen)


def _values(warehouse: Duck, query: str) -> list[Any]:
    """Return the only column of a query."""
    return [value for (value,) in warehouse.rows(query)]


def _shift(
    name: str,
    role: Any,
    names: list[str],
    cells: list[tuple[int, float, bool, int]],
    units: tuple[int, int],
    unseen: float,
    alpha: float,
) -> Shift:
    """Return how one column moved, from rows by part, day and period."""
    old, new = [0] * len(names), [0] * len(names)
    days: dict[float, list[int]] = {}
    for at, day, now, count in cells:
        (new if now else old)[at] += count
        if now:
            days.setdefault(day, [0] * len(names))[at] += count
    kept = [at for at in range(len(names)) if old[at] or new[at]]
    before = [old[at] for at in kept]
    index = stability_index(before, [new[at] for at in kept])
    p_value = stability_p_value(index, len(kept), *units)
    state: State = "stable" if p_value > alpha or index < MOVES else "drifts" if index >= DRIFTS else "moves"
    course, waiting = [], [0] * len(kept)
    for day in sorted(days):
        waiting = [count + days[day][at] for count, at in zip(waiting, kept, strict=True)]
        if sum(waiting) >= FEWEST:
            iso = datetime.fromtimestamp(day * DAY, UTC).date().isoformat()
            course.append((iso, stability_index(before, waiting)))
            waiting = [0] * len(kept)
    all_old, all_new = sum(old) or 1, sum(new) or 1
    parts = tuple(Part(names[at], old[at] / all_old, new[at] / all_new) for at in kept)
    lacking = (old[0] / all_old, new[0] / all_new)
    return Shift(name, role, index, p_value, state, lacking, unseen, parts, tuple(course))


def drift_text(drift: Drift) -> str:
    """Return it as text: in words, then each column."""
    rows = [
        [
            each.name,
            each.role,
            each.state,
            f"{each.index:.3f}",
            f"{each.p_value:.2g}",
            f"{each.lacking[0]:.1%} -> {each.lacking[1]:.1%}",
            f"{each.unseen:.1%}" if each.unseen else "",
        ]
        for each in drift.columns
    ]
    return f"{drift.words}\n\n{table(['column', 'role', 'state', 'index', 'p', 'missing', 'never seen'], rows)}"


def course_figure(drift: Drift, most: int = 6) -> go.Figure:
    """Return the stability index over time of the columns that moved most.

    Raises:
        DataError: No period has enough rows.
    """
    import plotly.graph_objects as go

    drawn = [each for each in drift.columns if each.course][:most]
    if not drawn:
        raise DataError(f"the course of drift needs {FEWEST} rows since; wait for more")
    figure = go.Figure()
    for shift, colour in zip(drawn, COLOURS, strict=False):
        days, values = zip(*shift.course, strict=True)
        figure.add_trace(go.Scatter(x=days, y=values, name=shift.name, mode="lines+markers", line_color=colour))
    for bound in (MOVES, DRIFTS):
        figure.add_hline(y=bound, line_color=GREY, line_dash="dot")
    figure.update_layout(title="How far values are from those before; dotted: moves, drifts", template="plotly_white")
    figure.update_layout(yaxis_title="stability index", yaxis_rangemode="tozero")
    return dated(figure, len({day for each in drawn for day, _ in each.course}))


def parts_figure(shift: Shift) -> go.Figure:
    """Return the values of one column, before and now."""
    import plotly.graph_objects as go

    names = [part.name if len(part.name) <= LONGEST else f"{part.name[: LONGEST - 1]}…" for part in shift.parts]
    before = go.Bar(x=names, y=[part.before for part in shift.parts], name="before", marker_color=GREY)
    now = go.Bar(x=names, y=[part.now for part in shift.parts], name="now", marker_color=COLOURS[0])
    figure = go.Figure([before, now])
    figure.update_layout(title=f"{shift.name}, before and now", template="plotly_white", barmode="group")
    figure.update_layout(yaxis_title="share of rows", yaxis_tickformat=".0%", xaxis_type="category")
    return figure
