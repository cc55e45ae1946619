"""The page of trade-offs: what each setting of the weights changed, what none beats, and which to serve."""

from __future__ import annotations

import time
from typing import Any

import msgspec
from flask import flash, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from abloop import tuning
from abloop.compare import read_comparison
from abloop.errors import AbloopError, DataError, UnknownNameError, unknown
from abloop.optimize.figures import frontier_figure, volume_figure
from abloop.optimize.trials import Lift, State
from server.access import allow, principal
from server.audit import audited
from server.dashboard.charts import chart
from server.dashboard.reach import Dealt, Tried, Z, banners, dealt, tried
from server.dashboard.routes import command, errands, routes, source
from server.dashboard.why import require_why
from server.errands import Errand
from server.numbers import moment, percent


@routes.get("/tradeoffs/<name:name>")
@allow("read")
def tradeoffs(name: str) -> str:
    """Show every trial with what it changed, the rounds, and what may be done next."""
    workspace, now = source().workspace(), time.time()
    serving = workspace.catalogue.serving(name)
    _, blueprint = workspace.catalogue.blueprint(name, serving.version)
    state, bounds = workspace.tunings.state(name), tuning.tunable(blueprint)
    goals, limits = tuning.objectives(blueprint), blueprint.tuning.limits
    best = {trial.number for trial in tuning.best(workspace, name)}
    metrics = list(dict.fromkeys([*(goal.metric for goal in goals), *(limit.metric for limit in limits)]))
    axes = _axes(metrics, state)
    reach, unread = _reach(name)
    comparison = workspace.comparisons.current().get(name)
    units = _units(name, state)
    served = tuning.settings(blueprint)
    last = errands().last(name)
    tries: list[Tried] = [tried(trial, best, limits, metrics) for trial in reversed(state.trials)]
    rounds: list[Dealt] = [dealt(one, state, reach, now) for one in reversed(state.rounds)]
    drawn = [each for each in axes if each]
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
        units=units,
        needed=blueprint.tuning.units,
        arms=blueprint.tuning.arms,
        tries=tries,
        rounds=rounds,
        best=best,
        banners=banners(state, best, comparison, bounds),
        comparison=comparison,
        figure=chart(lambda: frontier_figure(state.trials, goals, limits, axes=axes if len(drawn) == 2 else None)),
        volumes=chart(lambda: volume_figure(reach)) if any(reach) else None,
        unread=unread,
        errand=last if last and last.kind in ("propose", "foresee") else None,
        asked=moment(last.at, now) if last else None,
        foreseen=_foreseen(last),
        command=command("tune", name, "propose"),
        may="edit" in principal().grants,
        percent=percent,
    )


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
    errands().start(Errand("propose", name, principal().name, why, time.time(), {"arms": arms}))
    audited("propose round", name, why, {"arms": arms or blueprint.tuning.arms})
    return _done(name, "A round is being proposed. It is served within a minute.")


@routes.post("/read/<name:name>")
@allow("edit")
def read(name: str) -> Response:
    """Read the round that runs and end it."""
    why, workspace = require_why(request.form), source().workspace()
    early = request.form.get("early") == "yes"
    before = tuning.status(workspace, name)
    state = tuning.read(workspace, name, early=early, who=principal().name)
    if state == before:
        raise DataError(
            f"round {state.rounds[-1].number} has too few units: {_fewest(name):,} of the "
            f"{_wanted(name):,} that each arm needs. Wait, or read it early"
        )
    last = state.rounds[-1]
    audited("read round", name, why, {"round": last.number, "status": last.status, "early": early})
    said = f"Round {last.number} says nothing: {last.reason}." if last.reason else f"Round {last.number} is read."
    return _done(name, said)


@routes.post("/pick/<name:name>")
@allow("edit")
def pick(name: str) -> Response:
    """Serve a trial's weights beside those that serve, alone, to confirm them."""
    why, number = require_why(request.form), request.form.get("trial", -1, type=int)
    begun = tuning.pick(source().workspace(), name, number, who=principal().name, why=why)
    audited("pick trial", name, why, {"trial": number, "versions": [entry.version for entry in begun.entries]})
    versions = " and ".join(str(entry.version) for entry in begun.entries)
    said = f"Trial {number} is served to half of the units, against what serves: versions {versions} are compared."
    return _done(name, said)


@routes.post("/foresee/<name:name>")
@allow("edit")
def foresee(name: str) -> Response:
    """Ask a model of all trials what some weights would change; nothing is kept or served."""
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
    errands().start(Errand("foresee", name, principal().name, "", time.time(), {"weights": weights}))
    return _done(name, "A model of all trials is being asked; its answer stands below in half a minute.")


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


def _reach(name: str) -> tuple[list[float], str]:
    """Return the hypervolume after each round, and why it could not be computed."""
    try:
        return tuning.volumes(source().workspace(), name), ""
    except AbloopError as error:
        return [], str(error)


def _units(name: str, state: State) -> dict[str, int]:
    """Return the units of each version of the round that runs."""
    if state.open is None or state.open.status != "running":
        return {}
    return read_comparison(source().workspace(), name).units


def _fewest(name: str) -> int:
    return min(read_comparison(source().workspace(), name).units.values(), default=0)


def _wanted(name: str) -> int:
    workspace = source().workspace()
    return workspace.catalogue.blueprint(name, workspace.catalogue.serving(name).version)[1].tuning.units


def _foreseen(last: Errand | None) -> dict[str, Any] | None:
    """Return what the model foresaw, the last time it was asked."""
    if last is None or last.kind != "foresee" or last.status != "done" or not last.result:
        return None
    lifts = msgspec.convert(last.result["lifts"], dict[str, Lift])
    return {"weights": last.result["weights"], "lifts": [(metric, *_ends(lift)) for metric, lift in lifts.items()]}


def _ends(lift: Lift) -> tuple[str, str, str]:
    """Return a change with its 95 % interval, as text."""
    low, high = lift.mean - Z * lift.error, lift.mean + Z * lift.error
    return percent(lift.mean, sign=True), percent(low, sign=True), percent(high, sign=True)


def _done(name: str, said: str) -> Response:
    flash(said)
    return redirect(url_for("dashboard.tradeoffs", name=name))
