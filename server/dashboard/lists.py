"""The lists of a ranking: the newest whole, what each place brings, and which of two rankers gets more."""

from __future__ import annotations

import time

from flask import render_template

from abloop.blueprint import Blueprint
from abloop.errors import DataError
from abloop.interleaving import Interleaved, interleaved
from abloop.lists import Candidate, Listed, places_figure, read_lists
from abloop.store.workspace import Workspace
from server.access import allow
from server.dashboard.charts import chart
from server.dashboard.present import PHASES
from server.dashboard.reads import once
from server.dashboard.routes import command, routes, source
from server.numbers import DASH, decimals, interval, moment, number, p_value, percent


@routes.get("/lists/<name:name>")
@allow("read")
def lists(name: str) -> str:
    """Show the lists of a ranking."""
    here, now = source(), time.time()
    workspace = here.workspace()
    serving = workspace.catalogue.serving(name)
    _, blueprint = workspace.catalogue.blueprint(name, serving.version)
    found, refusal = None, ""
    try:
        found = once(workspace, name, "lists", lambda: read_lists(workspace, name))
    except DataError as error:
        refusal = str(error)
    places = found.places if found else ()
    ends = decimals([place.mean for place in places])
    return render_template(
        "lists.html",
        serving=serving,
        ranking=blueprint.ranking,
        ordering=blueprint.space.type == "ordering",
        found=found,
        refusal=refusal,
        metrics=[metric.name for metric in blueprint.metrics],
        places=[
            (
                place.position,
                place.mean.n,
                number(place.mean.mean, ends),
                interval(place.mean, ends),
                percent(place.explored),
            )
            for place in places
        ],
        figure=once(workspace, name, "places", lambda: chart(lambda: places_figure(found))) if found else None,
        newest=[(one, moment(one.time, now), PHASES.get(one.phase), _rows(one)) for one in found.newest]
        if found
        else [],
        taken=once(workspace, name, "interleaved", lambda: _turns(workspace, name, blueprint)),
        cycle=command("cycle", name),
        url=here.url,
        computed=moment(now, now),
    )


def _rows(one: Listed) -> list[tuple[Candidate, str, str, list[str]]]:
    """Return the candidates of a list as lines of a table."""
    return [
        (
            each,
            DASH if each.score is None else f"{each.score:.4g}",
            percent(each.chance) if each.chance < 1 else DASH,
            [DASH if value is None or value != value else f"{value:g}" for value in each.outcomes.values()],
        )
        for each in one.candidates
    ]


def _turns(
    workspace: Workspace, name: str, blueprint: Blueprint
) -> list[tuple[str, Interleaved | None, tuple[str, ...]]]:
    """Return which of two rankers gets more of each metric; nothing where there is one ranker."""
    if not blueprint.ranking.challenger:
        return []
    told: list[tuple[str, Interleaved | None, tuple[str, ...]]] = []
    for metric in blueprint.metrics:
        try:
            each = interleaved(workspace, name, metric.name)
        except DataError:
            told.append((metric.name, None, ()))
            continue
        places = decimals([each.gain])
        cells = (number(each.gain.mean, places, sign=True), interval(each.gain, places, sign=True), p_value(each.p))
        told.append((metric.name, each, cells))
    return told
