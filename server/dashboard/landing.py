"""The page of one strategy: what it does, what is known, what to do next."""

from __future__ import annotations

import time
from typing import Any

from flask import render_template

from abloop.blueprint import Blueprint
from abloop.compare import VersionsReadout, read_comparison
from abloop.overlap import overlap_of
from abloop.readout.figures import arrivals, balance
from abloop.rollout.versions import versions
from abloop.store.manifest import TableFile
from abloop.store.serving import Serving
from abloop.store.status import Custody, read_status
from abloop.store.workspace import Workspace
from server.access import allow
from server.dashboard import present, tables
from server.dashboard.alerts import banners, custody_alerts, spool_alerts, traffic_alerts
from server.dashboard.charts import chart
from server.dashboard.reads import once, read_days, read_readout
from server.dashboard.routes import command, routes, source
from server.dashboard.steps import next_steps
from server.dashboard.summary import blueprint_facts, data_facts, neighbours, traffic_rows, unit_rows, version_rows
from server.numbers import moment

MOST = 50


@routes.get("/strategies/<name:name>")
@allow("read")
def strategy(name: str) -> str:
    """Show one strategy: what is served, what the gate says, what the rows say, what is next."""
    here, now = source(), time.time()
    workspace = here.workspace()
    serving = workspace.catalogue.serving(name)
    _, blueprint = workspace.catalogue.blueprint(name, serving.version)
    judged = workspace.catalogue.verdicts(name)
    seen = read_readout(workspace, name)
    last = judged[0] if judged else None
    return render_template(
        "strategy.html",
        **_records(workspace, serving, blueprint, now),
        serving=serving,
        phase=present.phase(serving, blueprint, judged, now),
        gate=present.gate(last, serving, blueprint, now),
        notes=banners(seen),
        recommendation=seen.recommendation,
        steps=next_steps(seen, serving, blueprint, last, command),
        traffic=tables.traffic(seen, blueprint),
        facts=blueprint_facts(blueprint),
        tables=tables.metrics(seen, blueprint)[:1],
        measures=len(seen.metrics),
        policy=tables.policy(seen),
        compared=_compared(workspace, name),
        overlaps=neighbours(overlap_of(workspace, name)),
        versions=version_rows(versions(workspace, name), now),
        history=present.history(workspace.catalogue.history(name, MOST), judged, now, MOST),
        url=here.url,
        computed=moment(now, now),
    )


def _records(workspace: Workspace, serving: Serving, blueprint: Blueprint, now: float) -> dict[str, Any]:
    """Return what the page shows of the strategy's records: alerts, days, where they are."""
    name = serving.strategy
    status = read_status(workspace, name)
    (custody,) = status.strategies
    files, days = workspace.manifest.files(name), read_days(workspace, name)
    planned = dict(zip((arm.name for arm in blueprint.ordered_arms()), blueprint.weights(), strict=True))
    drawn = serving.phase == "randomise" and blueprint.is_choice
    return {
        "alerts": (
            *custody_alerts(custody, serving.phase, _newest(custody, files), now),
            *spool_alerts(status, custody),
            *traffic_alerts(days, blueprint),
        ),
        "arrivals": once(workspace, name, "arrivals", lambda: chart(lambda: arrivals(days, list(planned)))),
        "balance": once(workspace, name, "balance", lambda: chart(lambda: balance(days, planned))) if drawn else None,
        "days": traffic_rows(days),
        "units": unit_rows(days),
        "data": data_facts(custody, files, now),
    }


def _newest(custody: Custody, files: list[TableFile]) -> float | None:
    """Return the time of the newest decision that is known; None where none is."""
    times = [file.newest for file in files if file.newest is not None]
    return max(times, default=custody.oldest) if not custody.waiting else None


def _compared(workspace: Workspace, name: str) -> tuple[VersionsReadout, tuple[tables.Table, ...]] | None:
    """Return the newest comparison of versions with its tables; None where there never was one."""
    if workspace.comparisons.last(name) is None:
        return None
    found = once(workspace, name, "comparison", lambda: read_comparison(workspace, name))
    return found, tuple(tables.table(metric) for metric in found.metrics)
