"""The model of a strategy: its releases, what was promised of them and what they do, and what the gate said."""

from __future__ import annotations

import time

from flask import render_template

from abloop.errors import StoreError
from abloop.figures import gains
from abloop.hte.kept import newest
from abloop.models.artefact import pack
from abloop.readout.labels import read_labels
from abloop.store.workspace import Workspace
from server.access import allow
from server.dashboard.charts import chart
from server.dashboard.effect_tables import importance_rows
from server.dashboard.reads import lasting, once, read_readout
from server.dashboard.release_tables import MOST, Model, label_rows, model_of, promised, releases, verdicts
from server.dashboard.routes import routes, source
from server.numbers import moment, percent

HISTORY = 500


@routes.get("/models/<name:name>")
@allow("read")
def model(name: str) -> str:
    """Show the model of a strategy."""
    here, now = source(), time.time()
    workspace = here.workspace()
    serving = workspace.catalogue.serving(name)
    _, blueprint = workspace.catalogue.blueprint(name, serving.version)
    history, judged = workspace.catalogue.history(name, HISTORY), workspace.catalogue.verdicts(name)
    names = list(dict.fromkeys(each.release for each in history if each.release))
    known = {release: found for release in names[:MOST] if (found := _model(workspace, release)) is not None}
    kept = newest(workspace, name)
    labels = once(workspace, name, "labels", lambda: read_labels(workspace, name)) if blueprint.labels else ()
    current = known.get(serving.release)
    return render_template(
        "model.html",
        serving=serving,
        blueprint=blueprint,
        model=current,
        reads=tuple((feature, percent(part)) for feature, part in current.reads.items()) if current else (),
        releases=releases(history, known, serving.release, now),
        promised=promised(judged, serving, read_readout(workspace, name)),
        labels=label_rows(labels, names),
        verdicts=verdicts(judged, now),
        gains=chart(lambda: gains(judged)) if len(judged) > 1 else None,
        importance=importance_rows(kept.report) if kept else {},
        url=here.url,
        computed=moment(now, now),
    )


def _model(workspace: Workspace, release: str) -> Model | None:
    """Return what is known of a release, which never changes; None where its artefact is gone."""

    def read() -> Model:
        artefact = workspace.catalogue.artefact(release)
        return model_of(artefact, len(pack(artefact)[1]))

    try:
        return lasting(("model", release), read)
    except StoreError:
        return None
