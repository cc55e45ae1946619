"""The pages: read, hand to `present`, render."""

from __future__ import annotations

import shlex
import time

from flask import Blueprint as Routes
from flask import current_app, render_template

from abloop.readout import readout
from server import present, tables
from server.access import allow
from server.numbers import moment
from server.source import Source

routes = Routes("pages", __name__)
MOST = 50


@routes.get("/")
@allow("read")
def strategies() -> str:
    """List the strategies, or say how to make the first one."""
    source, now = _source(), time.time()
    workspace = source.workspace()
    cards = []
    for name, serving in workspace.catalogue.servings().items():
        rows = sum(file.rows for file in workspace.manifest.files(name) if file.version == serving.version)
        waiting = workspace.journal.backlog(name).waiting
        judged = workspace.catalogue.verdicts(name)
        cards.append(present.card(serving, rows, waiting, judged[0] if judged else None, now))
    return render_template(
        "strategies.html",
        cards=cards,
        url=source.url,
        demo=f"abloop demo --url {shlex.quote(source.url)}",
        connect=source.connect,
        cycle=_cycle(source, "banner"),
        directory=source.directory,
        computed=moment(now, now),
    )


@routes.get("/strategies/<name:name>")
@allow("read")
def strategy(name: str) -> str:
    """Show one strategy: what is served, what the gate says, what the rows say."""
    source, now = _source(), time.time()
    workspace = source.workspace()
    serving = workspace.catalogue.serving(name)
    _, blueprint = workspace.catalogue.blueprint(name, serving.version)
    judged = workspace.catalogue.verdicts(name)
    seen = readout(workspace, name)
    return render_template(
        "strategy.html",
        serving=serving,
        phase=present.phase(serving, blueprint, judged, now),
        gate=present.gate(judged[0] if judged else None, serving, blueprint, now),
        cycle=_cycle(source, name),
        banners=tables.banners(seen),
        traffic=tables.traffic(seen, blueprint),
        tables=tables.metrics(seen, blueprint),
        policy=tables.policy(seen),
        history=present.history(workspace.catalogue.history(name, MOST), judged, now, MOST),
        url=source.url,
        computed=moment(now, now),
    )


def _cycle(source: Source, name: str) -> str:
    """Return the command that turns the cold path once."""
    parts = ["abloop", "cycle", name, "--url", source.url]
    return shlex.join([*parts, "--directory", str(source.directory)] if source.directory else parts)


def _source() -> Source:
    """Return where this app reads from."""
    source: Source = current_app.extensions["abloop"]
    return source
