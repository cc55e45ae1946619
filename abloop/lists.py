"""The lists that a ranking made: the newest whole, with what became of each candidate, and what each place brings."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from abloop.errors import DataError
from abloop.evaluate.ope import clustered_mean
from abloop.readout.figures import COLOURS
from abloop.records import Decision, decode_many
from abloop.stats.compare import Estimate
from abloop.store import parquet
from abloop.store.workspace import Workspace

if TYPE_CHECKING:
    import plotly.graph_objects as go

MOST_ROWS = 100_000  # candidates that are looked at, the newest
PLACES = 20
Z = 1.96  # 95 %


class Candidate(msgspec.Struct, frozen=True):
    """One candidate of a list.

    Attributes:
        position: Its place, from 0.
        index: Its place in what the product gave.
        score: What the policy said of it; None where it said nothing.
        team: Who placed it, of two rankers: `policy` or `challenger`; empty of one.
        chance: Probability with which it was placed there; 1 where nothing explores.
        outcomes: Metric to what was observed; None where nothing was.
    """

    position: int
    index: int
    score: float | None
    team: str
    chance: float
    outcomes: dict[str, float | None]


class Listed(msgspec.Struct, frozen=True):
    """One list.

    Attributes:
        list_id: Its id.
        unit: Whose it is.
        time: When it was made, in seconds since 1970.
        version: Blueprint version that made it.
        phase: Why.
        candidates: In the order that was given back.
    """

    list_id: str
    unit: str
    time: float
    version: int
    phase: str
    candidates: tuple[Candidate, ...]


class Place(msgspec.Struct, frozen=True):
    """What one place brings.

    Attributes:
        position: From 0.
        mean: Mean of the metric there, with its 95 % interval by unit.
        explored: Share of candidates there that exploration put there.
    """

    position: int
    mean: Estimate
    explored: float


class Lists(msgspec.Struct, frozen=True):
    """Lists of a strategy.

    Attributes:
        strategy: Its name.
        metric: What places are measured by: the first goal.
        lists: Complete lists looked at, the newest.
        candidates: Candidates in them.
        newest: The newest few, whole.
        places: The first places.
    """

    strategy: str
    metric: str
    lists: int
    candidates: int
    newest: tuple[Listed, ...]
    places: tuple[Place, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data."""
        found: dict[str, Any] = msgspec.to_builtins(self)
        return found


def read_lists(workspace: Workspace, strategy: str, *, most: int = 10) -> Lists:
    """Return the newest complete lists of a ranking, and what each place brings.

    Args:
        workspace: What `abloop.connect` gave.
        strategy: Its name.
        most: How many lists are given whole.

    Raises:
        UnknownNameError: There is no such strategy.
        DataError: It orders no lists, or none is complete.
        StoreError: Database or table cannot be read.
    """
    _, blueprint = workspace.catalogue.blueprint(strategy, workspace.catalogue.serving(strategy).version)
    if blueprint.space.type != "ordering":
        raise DataError(f"strategy {strategy!r} decides a {blueprint.space.type}; only an ordering has lists")
    metrics, goal = [metric.name for metric in blueprint.metrics], blueprint.goals()[0].name
    chosen: list[str] = []
    rows = 0
    for file in sorted(workspace.manifest.files(strategy), key=lambda file: file.newest or 0.0, reverse=True):
        if rows < MOST_ROWS and file.rows:
            chosen.append(file.name)
            rows += file.rows
    if not chosen:
        raise DataError(f"strategy {strategy!r} has no complete list yet; lists are complete after their TTL")
    table = parquet.read(
        parquet.paths(workspace.table_directory, chosen), ["record", *(f"y.{name}" for name in metrics)]
    )
    made = [each for each in decode_many(table["record"].to_pylist()) if isinstance(each, Decision)]
    outcomes = {name: table[f"y.{name}"].to_pylist() for name in metrics}
    heads: dict[str, list[int]] = {}
    for row, decision in enumerate(made):
        heads.setdefault(decision.decision_id.rpartition("/")[0], []).append(row)
    newest = sorted(heads, key=lambda head: -made[heads[head][0]].time)[:most]
    return Lists(
        strategy,
        goal,
        len(heads),
        len(made),
        tuple(_listed(head, [(made[row], row) for row in heads[head]], outcomes) for head in newest),
        _places(made, outcomes[goal]),
    )


def _said(decision: Decision) -> dict[str, Any]:
    return decision.decision if isinstance(decision.decision, dict) else {}


def _listed(head: str, rows: Sequence[tuple[Decision, int]], outcomes: dict[str, list[float | None]]) -> Listed:
    """Return one list."""
    candidates = []
    for decision, row in rows:
        said = _said(decision)
        candidates.append(
            Candidate(
                int(said.get("position", 0)),
                int(decision.decision_id.rpartition("/")[2]),
                said.get("score"),
                str(said.get("team", "")),
                float(said.get("chance", 1.0)),
                {name: values[row] for name, values in outcomes.items()},
            )
        )
    first = rows[0][0]
    ordered = tuple(sorted(candidates, key=lambda candidate: candidate.position))
    return Listed(head, first.unit, first.time, first.version, first.phase, ordered)


def _places(made: Sequence[Decision], values: Sequence[float | None]) -> tuple[Place, ...]:
    """Return what each of the first places brings; what was not observed counts as nothing."""
    positions = np.array([int(_said(decision).get("position", 0)) for decision in made])
    chances = np.array([float(_said(decision).get("chance", 1.0)) for decision in made])
    seen = np.array([0.0 if value is None or math.isnan(value) else value for value in values], dtype=np.float64)
    _, units = np.unique([decision.unit for decision in made], return_inverse=True)
    found = []
    for position in range(min(PLACES, int(positions.max()) + 1)):
        here = positions == position
        _, groups = np.unique(units[here], return_inverse=True)
        mean, error = clustered_mean(seen[here], groups)
        ends = Estimate(int(here.sum()), mean, mean - Z * error, mean + Z * error)
        found.append(Place(position, ends, float((chances[here] < 0.5).mean()) if here.any() else 0.0))
    return tuple(found)


def places_figure(lists: Lists) -> go.Figure:
    """Return what each place brings, with intervals."""
    import plotly.graph_objects as go

    means = [place.mean for place in lists.places]
    figure = go.Figure(
        go.Scatter(
            x=[place.position for place in lists.places],
            y=[each.mean for each in means],
            error_y={"array": [each.high - each.mean for each in means]},
            mode="lines+markers",
            line_color=COLOURS[0],
            customdata=[each.n for each in means],
            hovertemplate="place %{x}: %{y:.4g}, n = %{customdata:,}<extra></extra>",
        )
    )
    figure.update_layout(title=f"{lists.metric} by place in the list", template="plotly_white")
    figure.update_layout(xaxis_title="place, from 0", yaxis_title=f"mean {lists.metric}", yaxis_rangemode="tozero")
    return figure
