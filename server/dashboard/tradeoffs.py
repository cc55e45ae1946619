"""The page of trade-offs: what each setting of the weights changed, what none beats, and which to serve."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import Any

import msgspec
from flask import flash, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from abloop import tuning
from abloop.blueprint import Blueprint
from abloop.compare import read_comparison
from abloop.errors import DataError, UnknownNameError, unknown
from abloop.optimize.figures import frontier_figure, slices_figure, volume_figure
from abloop.optimize.learn import FEWEST
from abloop.optimize.trials import Lift, State
from server.access import allow, principal
from server.audit import audited
from server.dashboard.charts import chart
from server.dashboard.errands import Shown, shown, start
from server.dashboard.reach import banners, dealt, offered, tried
from server.dashboard.reach import shown as told
from server.dashboard.routes import command, routes, source
from server.dashboard.why import require_why
from server.expected import Expected, newest
from server.numbers import moment, percent


@routes.get("/tradeoffs/<name:name>")
@allow("read")
def tradeoffs(name: str) -> str:
    """Show every trial with what it changed, the rounds, and what may be done next."""
    workspace, now = source().workspace(), time.time()
    serving = workspace.catalogue.serving(name)
    _, blueprint = workspace.catalogue.blueprint(name, serving.version)
    state, bounds = workspace.tunings.state(name), tuning.tunable(blueprint)
    known, gone = tuning.today(workspace, name), tuning.left_out(workspace, name)
    goals, limits = tuning.objectives(blueprint), blueprint.tuning.limits
    best = {trial.number for trial in tuning.best(workspace, name)}
    metrics = list(dict.fromkeys([*(goal.metric for goal in goals), *(limit.metric for limit in limits)]))
    axes = _axes(metrics, state)
    reach, expected = tuning.volumes(workspace, name), newest(workspace, name)
    comparison = workspace.comparisons.current().get(name)
    errand = shown(name, "propose", "foresee", "frontier")
    served = tuning.settings(blueprint)
    return render_template(
        "tradeoffs.html",
        name=name,
        serving=serving,
        bounds=bounds,
        served=served,
        goals=goals,
        limits=limits,
        metrics=metrics,
        axes=axes,
        measured=sorted({metric for trial in state.read() for metric in trial.lifts}),
        state=state,
        open=state.open,
        units=_units(name, state),
        needed=tuning.ready(workspace, name)[1],
        arms=blueprint.tuning.arms,
        tries=[
            tried(*both, best, limits, metrics) for both in zip(state.trials[::-1], known.trials[::-1], strict=True)
        ],
        rounds=[dealt(one, state, reach, now) for one in reversed(state.rounds)],
        best=best,
        learned=len(known.read()),
        banners=banners(state, best, comparison, bounds, gone),
        comparison=comparison,
        drifts=tuning.drift(workspace, name),
        **_offers(expected, metrics, now),
        **_figures(known, blueprint, axes, expected, reach),
        errand=errand,
        foreseen=_foreseen(errand),
        command=command("tune", name, "propose"),
        may="edit" in principal().grants,
        percent=percent,
    )


def _figures(
    known: State, blueprint: Blueprint, axes: tuple[str, str], expected: Expected | None, reach: list[float]
) -> dict[str, Any]:
    """Return what is drawn of trials against what serves now."""
    goals, limits, served = tuning.objectives(blueprint), blueprint.tuning.limits, tuning.settings(blueprint)
    points = expected.points if expected else ()
    drawn = [point for point in points if all(axis in point.lifts for axis in axes if axis)]
    pair = axes if all(axes) else None
    return {
        "figure": chart(lambda: frontier_figure(known.trials, goals, limits, drawn, axes=pair)),
        "slices": chart(lambda: slices_figure(known.trials, axes[1], served)) if tuning.tunable(blueprint) else None,
        "volumes": chart(lambda: volume_figure(reach)) if any(reach) else None,
    }


def _offers(expected: Expected | None, metrics: list[str], now: float) -> dict[str, Any]:
    """Return the frontier that a model expects, as the page shows it."""
    return {
        "expected": expected,
        "believed": tuning.believed,
        "made": moment(expected.at, now) if expected else None,
        "offers": [offered(point, metrics) for point in expected.points] if expected else [],
        "fewest": FEWEST,
    }


@routes.post("/propose/<name:name>")
@allow("edit")
def propose(name: str) -> Response:
    """Propose a round of weights and serve them beside those that serve, in the background."""
    why, workspace = require_why(request.form), source().workspace()
    serving = workspace.catalogue.serving(name)
    _, blueprint = workspace.catalogue.blueprint(name, serving.version)
    open_, arms = workspace.tunings.state(name).open, request.form.get("arms", 0, type=int)
    if open_ is not None and open_.status == "running":
        raise DataError(f"round {open_.number} of {name!r} runs; read it first")
    if not tuning.tunable(blueprint):
        fix = "give policy.weights low and high, or name tuning.parameters"
        raise DataError(f"strategy {name!r} has nothing with a range; {fix}")
    if open_ is None and name in workspace.comparisons.current():
        raise DataError(f"strategy {name!r} compares versions; end that first, on the page of versions")
    if not 0 <= arms <= 100:
        raise DataError(f"arms is {arms}; allowed: 1 to 100, or empty for what the blueprint says")
    start("propose", name, why, {"arms": arms})
    audited("propose round", name, why, {"arms": arms or blueprint.tuning.arms})
    return _done(name, "A round is being proposed. It is served within a minute.")


@routes.post("/read/<name:name>")
@allow("edit")
def read(name: str) -> Response:
    """Read the round that runs and end it."""
    why, workspace = require_why(request.form), source().workspace()
    early = request.form.get("early") == "yes"
    state = tuning.read(workspace, name, early=early, who=principal().name)
    if state.open is not None:
        have, needed = tuning.ready(workspace, name)
        raise DataError(
            f"round {state.rounds[-1].number} has too few units: {have:,} of the {needed:,} that each arm needs. "
            "Wait, or read it early"
        )
    last = state.rounds[-1]
    audited("read round", name, why, {"round": last.number, "status": last.status, "early": early})
    said = f"Round {last.number} says nothing: {last.reason}." if last.reason else f"Round {last.number} is read."
    if len(tuning.today(workspace, name).read()) >= FEWEST and not last.reason:
        with suppress(DataError):  # other work of the strategy is under way; the page has a button for later
            start("frontier", name, "")
        said += " A model of all trials is asked for the frontier."
    return _done(name, said)


@routes.post("/pick/<name:name>")
@allow("edit")
def pick(name: str) -> Response:
    """Serve a trial's weights, or those of an expected point, beside those that serve, alone, to confirm them."""
    why, number, workspace = require_why(request.form), request.form.get("trial", -1, type=int), source().workspace()
    choice: int | dict[str, float] = number if number >= 0 else _weights(name)
    begun = tuning.pick(workspace, name, choice, who=principal().name, why=why)
    audited("pick trial", name, why, {"choice": choice, "versions": [entry.version for entry in begun.entries]})
    versions = " and ".join(str(entry.version) for entry in begun.entries)
    what = f"Trial {number}" if number >= 0 else f"Version {begun.entries[-1].version}, with these weights,"
    said = f"{what} is served to half of the units, against what serves: versions {versions} are compared."
    return _done(name, said)


@routes.post("/frontier/<name:name>")
@allow("edit")
def frontier(name: str) -> Response:
    """Ask a model of all trials which weights it expects nothing to beat; nothing is served."""
    source().workspace().catalogue.serving(name)
    start("frontier", name, "")
    return _done(name, "A model of all trials is being asked; its frontier stands below in a minute.")


@routes.post("/foresee/<name:name>")
@allow("edit")
def foresee(name: str) -> Response:
    """Ask a model of all trials what some weights would change; nothing is kept or served."""
    weights = _weights(name)
    start("foresee", name, "", {"weights": weights})
    return _done(name, "A model of all trials is being asked; its answer stands below in half a minute.")


def _weights(name: str) -> dict[str, float]:
    """Return the weights of the form, all that have a range.

    Raises:
        DataError: One is missing or outside its range.
    """
    workspace = source().workspace()
    serving = workspace.catalogue.serving(name)
    _, blueprint = workspace.catalogue.blueprint(name, serving.version)
    weights = {}
    for weight, (low, high) in tuning.tunable(blueprint).items():
        value = request.form.get(f"weight.{weight}", type=float)
        if value is None or not low <= value <= high:
            raise DataError(
                f"weight {weight!r} is {request.form.get(f'weight.{weight}')!r}; allowed: {low:g} to {high:g}"
            )
        weights[weight] = value
    return weights


def _axes(metrics: list[str], state: State) -> tuple[str, str]:
    """Return the metrics across and upwards that are asked for, or the first two; an empty text where there is one."""
    measured = {metric for trial in state.read() for metric in trial.lifts}
    chosen = [request.args.get(axis, "") for axis in ("across", "upwards")]
    for metric in filter(None, chosen):
        if measured and metric not in measured:
            raise UnknownNameError(unknown("metric", metric, sorted(measured)))
    shown = [metric for metric in metrics if metric in measured] + sorted(measured - set(metrics))
    upwards = chosen[1] or next((metric for metric in shown if metric != chosen[0]), "")
    across = chosen[0] or next((metric for metric in shown if metric != upwards), "")
    return across, upwards


def _units(name: str, state: State) -> dict[str, int]:
    """Return the units of each version of the round that runs."""
    if state.open is None or state.open.status != "running":
        return {}
    return read_comparison(source().workspace(), name).units


def _foreseen(shown: Shown | None) -> dict[str, Any] | None:
    """Return what the model foresaw, the last time it was asked."""
    result = shown.errand.result if shown is not None and shown.errand.kind == "foresee" else None
    if not result:
        return None
    lifts = msgspec.convert(result["lifts"], dict[str, Lift])
    return {"weights": result["weights"], "lifts": [(metric, *told(lift)) for metric, lift in lifts.items()]}


def _done(name: str, said: str) -> Response:
    flash(said)
    return redirect(url_for("dashboard.tradeoffs", name=name))
