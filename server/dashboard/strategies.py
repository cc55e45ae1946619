"""The list of strategies and the page of each: read, hand to `present`, render."""

from __future__ import annotations

import shlex
import time

from flask import render_template

from abloop.readout import readout
from server.access import allow
from server.dashboard import present, tables
from server.dashboard.routes import command, routes, source
from server.numbers import moment

MOST = 50


@routes.get("/")
@allow("read")
def strategies() -> str:
    """List the strategies, or say how to make the first one."""
    here, now = source(), time.time()
    workspace = here.workspace()
    cards = []
    for name, serving in workspace.catalogue.servings().items():
        rows = sum(file.rows for file in workspace.manifest.files(name) if file.version == serving.version)
        waiting = workspace.journal.backlog(name).waiting
        judged = workspace.catalogue.verdicts(name)
        cards.append(present.card(serving, rows, waiting, judged[0] if judged else None, now))
    return render_template(
        "strategies.html",
        cards=cards,
        url=here.url,
        demo=f"abloop demo --url {shlex.quote(here.url)}",
        connect=here.connect,
        cycle=command("cycle", "banner"),
        directory=here.directory,
        computed=moment(now, now),
    )


@routes.get("/strategies/<name:name>")
@allow("read")
def strategy(name: str) -> str:
    """Show one strategy: what is served, what the gate says, what the rows say."""
    here, now = source(), time.time()
    workspace = here.workspace()
    serving = workspace.catalogue.serving(name)
    _, blueprint = workspace.catalogue.blueprint(name, serving.version)
    judged = workspace.catalogue.verdicts(name)
    seen = readout(workspace, name)
    return render_template(
        "strategy.html",
        serving=serving,
        phase=present.phase(serving, blueprint, judged, now),
        gate=present.gate(judged[0] if judged else None, serving, blueprint, now),
        cycle=command("cycle", name),
        banners=tables.banners(seen),
        traffic=tables.traffic(seen, blueprint),
        tables=tables.metrics(seen, blueprint),
        policy=tables.policy(seen),
        history=present.history(workspace.catalogue.history(name, MOST), judged, now, MOST),
        url=here.url,
        computed=moment(now, now),
    )
