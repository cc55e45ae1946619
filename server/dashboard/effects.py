"""Who gets what, and why: the newest report of a strategy's effects, and its making."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING

from flask import redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from abloop.blueprint import Blueprint
from abloop.hte.kept import KeptReport, newest
from abloop.hte.results import EffectReport
from abloop.store.serving import Serving
from server.access import allow, principal
from server.audit import audited
from server.dashboard import present
from server.dashboard.charts import Chart, chart
from server.dashboard.effect_tables import (
    calibration_rows,
    curve_rows,
    given_tables,
    histogram_rows,
    importance_rows,
    metric_rows,
    policy_rows,
    segment_tables,
    tree_rows,
)
from server.dashboard.errands import errands, shown, start
from server.dashboard.reads import lasting
from server.dashboard.routes import command, routes, source
from server.numbers import moment

if TYPE_CHECKING:
    from abloop.store.workspace import Workspace

KINDS = ("effects", "parts", "calibration", "gain", "more", "importance")


@routes.get("/effects/<name:name>")
@allow("read")
def effects(name: str) -> str:
    """Show who gets what of a strategy."""
    here, now = source(), time.time()
    workspace = here.workspace()
    serving = workspace.catalogue.serving(name)
    _, blueprint = workspace.catalogue.blueprint(name, serving.version)
    kept = newest(workspace, name)
    judged = workspace.catalogue.verdicts(name, most=1)
    return render_template(
        "effects.html",
        serving=serving,
        kept=kept,
        made=moment(kept.at, now) if kept else None,
        stale=_stale(workspace, serving, kept),
        errand=shown(name, "effects"),
        refusal=_refusal(blueprint),
        may="edit" in principal().grants,
        gate=present.gate(judged[0] if judged else None, serving, blueprint, now),
        command=command("hte", name, "--keep"),
        **(_shown(kept) if kept else {}),
        url=here.url,
        computed=moment(now, now),
    )


@routes.post("/effects/<name:name>")
@allow("edit")
def compute_effects(name: str) -> Response:
    """Have the report made anew, in the background."""
    workspace = source().workspace()
    _, blueprint = workspace.catalogue.blueprint(name, workspace.catalogue.serving(name).version)
    why = request.form.get("why", "").strip()[:500]
    under_way = errands().last(name, "effects")
    if not _refusal(blueprint) and not (under_way is not None and under_way.runs):
        start("effects", name, why)
        audited("compute effects", name, why or "asked for on the page")
    return redirect(url_for("dashboard.effects", name=name), 303)


def _refusal(blueprint: Blueprint) -> str:
    """Return why a strategy can have no report; empty where it can."""
    if not blueprint.is_choice:
        kind = blueprint.space.type
        return f"This strategy decides a {kind}, not one of some arms, so there are no arms whose effects could differ."
    if blueprint.model.is_bandit:
        return (
            "This strategy is a bandit: it draws arms by what it believes of each unit, and explores by its own draws. "
            "What it earned beside each arm is on its overview, how it learned on the page of its model."
        )
    if not any(feature.learn for feature in blueprint.features):
        return "The blueprint has no feature, so nothing tells units apart. Add features, and pass them."
    return ""


def _stale(workspace: Workspace, serving: Serving, kept: KeptReport | None) -> str:
    """Return how old the report is beside what there is now; empty where it is fresh."""
    if kept is None:
        return ""
    if kept.report.version != serving.version:
        return f"It is of version {kept.report.version}; version {serving.version} is served now."
    rows = sum(f.rows for f in workspace.manifest.files(serving.strategy) if f.version == serving.version)
    fresh = rows - kept.report.verdict.rows
    return f"{fresh:,} of {rows:,} complete rows came since." if fresh > 0 else ""


def _figures(report: EffectReport) -> tuple[dict[str, dict[str, Chart | None]], Chart | None]:
    """Return the figures of each treatment, and that of all ways of giving arms."""
    drawn = {
        arm: {kind: chart(partial(report.plot, kind, arm)) for kind in KINDS}  # type: ignore[arg-type]
        for arm in report.predicted
    }
    return drawn, chart(partial(report.plot, "policies"))


def _shown(kept: KeptReport) -> dict[str, object]:
    """Return the report as tables and figures."""
    report = kept.report
    drawn, policies = lasting(("effects", report.strategy, kept.at, kept.who, report.rows), lambda: _figures(report))
    arms = [
        (
            arm,
            drawn[arm],
            {
                "effects": histogram_rows(report, arm),
                "parts": calibration_rows(report, arm),
                "gain": curve_rows(report, arm),
            },
        )
        for arm in report.predicted
    ]
    return {
        "report": report,
        "arms": arms,
        "policies": policies,
        "policy_rows": policy_rows(report),
        "metric_rows": metric_rows(report),
        "importance": importance_rows(report),
        "given": given_tables(report),
        "segments": segment_tables(report, all_cells="edit" in principal().grants),
        "tree": tree_rows(report.tree, report.tree.n),
    }
