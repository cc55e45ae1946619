"""The readout of a strategy: every measure, day by day, by segment, as it may be read; and to take along."""

from __future__ import annotations

import csv
import io
import time
from typing import Any, get_args

import msgspec
from flask import Response, render_template, request

from abloop.blueprint import Blueprint, Reading
from abloop.blueprint.reading import Inference
from abloop.errors import UnknownNameError, unknown
from abloop.readout import MetricResult, Readout
from abloop.readout.figures import balance
from abloop.readout.text import MEANINGS
from abloop.store.workspace import Workspace
from server.access import allow, principal
from server.dashboard import tables
from server.dashboard.alerts import banners
from server.dashboard.charts import Chart, chart
from server.dashboard.reads import once, read_days, read_readout
from server.dashboard.routes import routes, source
from server.dashboard.scorecard import day_rows, detail_rows, groups, masked, segments
from server.dashboard.summary import unit_rows
from server.numbers import moment

TITLES = {
    "fixed": "fixed: read once, at the planned end",
    "sequential": "sequential: holds at every look",
    "group": "group sequential: at each day's look",
    "bayes": "Bayesian: chances",
}


@routes.get("/readouts/<name:name>")
@allow("read")
def readout(name: str) -> str:
    """Show the readout of a strategy."""
    here, now = source(), time.time()
    workspace = here.workspace()
    serving = workspace.catalogue.serving(name)
    _, blueprint = workspace.catalogue.blueprint(name, serving.version)
    reading = _reading(blueprint)
    seen = read_readout(workspace, name, reading)
    metric = _metric(seen)
    how = msgspec.json.encode((reading, metric.metric if metric else "")).decode()
    drawn = once(workspace, name, f"figures {how}", lambda: _figures(workspace, blueprint, seen, metric))
    wanted = {key: value for key, value in request.args.items() if key in ("inference", "by", "metric") and value}
    return render_template(
        "readout.html",
        serving=serving,
        seen=seen,
        notes=banners(seen),
        traffic=tables.traffic(seen, blueprint),
        groups=groups(seen, tables.made_of(blueprint)),
        **drawn,
        units=unit_rows(read_days(workspace, name)) if blueprint.is_choice else (),
        policy=tables.policy(seen),
        reading=reading,
        inferences=TITLES,
        meaning=MEANINGS[reading.inference],
        features=_categories(blueprint),
        metric=metric,
        days=day_rows(metric) if metric else (),
        details=detail_rows(metric) if metric else (),
        segments=segments(metric, all_cells="edit" in principal().grants) if metric else (),
        wanted=wanted,
        url=here.url,
        computed=moment(now, now),
    )


def _figures(
    workspace: Workspace, blueprint: Blueprint, seen: Readout, metric: MetricResult | None
) -> dict[str, Chart | None]:
    """Return the figures of the page."""
    planned = dict(zip((arm.name for arm in blueprint.ordered_arms()), blueprint.weights(), strict=True))
    days = read_days(workspace, blueprint.strategy)
    return {
        "balance": chart(lambda: balance(days, planned)) if blueprint.is_choice else None,
        "forest": chart(lambda: seen.plot("forest")),
        "over_time": chart(lambda: seen.plot("time", metric.metric)) if metric else None,
        "spread": chart(lambda: seen.plot("distribution", metric.metric)) if metric else None,
    }


@routes.get("/readouts.json/<name:name>")
@allow("read")
def readout_json(name: str) -> Response:
    """Give the readout as JSON; numbers that could not be estimated are null."""
    seen = _taken(name)
    return _file(msgspec.json.encode(seen), "application/json", f"{_stem(name)}-readout.json")


@routes.get("/readouts.csv/<name:name>")
@allow("read")
def readout_csv(name: str) -> Response:
    """Give the readout as CSV: a line for each measure and arm."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(HEADER)
    for metric in _taken(name).metrics:
        writer.writerows(_lines(metric))
    return _file(text.getvalue().encode(), "text/csv; charset=utf-8", f"{_stem(name)}-readout.csv")


HEADER = (
    "metric", "role", "kind", "arm", "n", "mean", "mean_low", "mean_high", "difference", "low", "high",
    "relative", "relative_low", "relative_high", "p_value", "adjusted_p", "significant", "guardrail", "reason",
)  # fmt: skip


def _lines(metric: MetricResult) -> list[list[Any]]:
    """Return the lines of one measure."""
    lines = []
    for arm in metric.arms:
        line: list[Any] = [metric.metric, metric.role, metric.kind, arm.arm, arm.mean.n]
        line += [arm.mean.mean, arm.mean.low, arm.mean.high]
        found = arm.comparison
        if found is not None:
            plain, share = found.difference, found.relative
            line += [plain.value, plain.low, plain.high, share.value, share.low, share.high]
            line += [plain.p_value, found.adjusted, found.significant, found.guardrail, plain.reason]
        cells = ["" if isinstance(cell, float) and cell != cell else cell for cell in line]
        lines.append([_inert(cell) for cell in cells] + [""] * (len(HEADER) - len(cells)))
    return lines


def _inert(cell: Any) -> Any:
    """Return a text that a spreadsheet takes for a text, whatever it begins with."""
    return f"'{cell}" if isinstance(cell, str) and cell[:1] in ("=", "+", "-", "@", "\t", "\r") else cell


def _taken(name: str) -> Readout:
    """Return the readout to take along, as the page would show it to who asks."""
    workspace = source().workspace()
    _, blueprint = workspace.catalogue.blueprint(name, workspace.catalogue.serving(name).version)
    seen = read_readout(workspace, name, _reading(blueprint))
    return seen if "edit" in principal().grants else masked(seen)


def _reading(blueprint: Blueprint) -> Reading:
    """Return how the blueprint is read, with what the address asks for instead."""
    reading = blueprint.readout
    inference, by = request.args.get("inference", ""), request.args.get("by", "")
    if inference:
        if inference not in get_args(Inference):
            raise UnknownNameError(unknown("inference", inference, get_args(Inference)))
        reading = msgspec.structs.replace(reading, inference=inference)
    if by:
        if by not in (known := _categories(blueprint)):
            raise UnknownNameError(unknown("categorical feature", by, known))
        reading = msgspec.structs.replace(reading, segments=(by,))
    return reading


def _categories(blueprint: Blueprint) -> list[str]:
    """Return the features by which lifts can be shown apart."""
    return [feature.name for feature in blueprint.sourced() if feature.type == "categorical"]


def _metric(seen: Readout) -> MetricResult | None:
    """Return the measure that is looked into; the first where none is named."""
    found = {metric.metric: metric for metric in seen.metrics}
    name = request.args.get("metric", "")
    if name and found and name not in found:
        raise UnknownNameError(unknown("measure", name, found))
    return found.get(name) or (seen.metrics[0] if seen.metrics else None)


def _stem(name: str) -> str:
    return "".join(letter if letter.isascii() and letter.isalnum() else "_" for letter in name[:80])


def _file(body: bytes, kind: str, name: str) -> Response:
    return Response(body, headers={"Content-Type": kind, "Content-Disposition": f'attachment; filename="{name}"'})
