"""The cold path, in a worker: ship, join, table, gate, promote. Restartable at any point.

Each step is one call into one lower room, and its result is the only input of the next. A refusal is a value
with a sentence in it. Product code never imports this file.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable

import msgspec
import numpy as np

from abloop import join as joining
from abloop.blueprint import Blueprint
from abloop.blueprint.learning import LONG_TERM
from abloop.evaluate.gate import Evidence, judge
from abloop.evaluate.verdict import Verdict, paced, refuse
from abloop.learners.candidates import CONSTANT
from abloop.models.artefact import Artefact
from abloop.readout import SRM_ALARM, Readout, readout
from abloop.readout.harm import beaten_by, why_stop
from abloop.rollout.promote import promote, withdraw
from abloop.store import parquet
from abloop.store.bulk import uncollected
from abloop.store.inspection import Inspector
from abloop.store.manifest import TableFile
from abloop.store.serving import Serving
from abloop.store.ship import Shipped, ship
from abloop.store.tallied import TalliedKeys
from abloop.store.workspace import Workspace
from abloop.train.bandit import cannot_play, play
from abloop.train.fit import constant_release, cross_fit, fit_release
from abloop.train.held_out import judge_predictions
from abloop.train.history import import_trial
from abloop.train.long_term import cannot_follow, judge_long_term
from abloop.train.progress import Progress
from abloop.train.refusal import cannot_judge, cannot_predict
from abloop.train.search import search
from abloop.train.table import TrainingTable, load_table

__all__ = ["Cycle", "Judged", "cycle", "gate", "import_trial", "join_rows", "ship_spool", "stop", "switch"]
FILE_ROWS = 50_000
Told = Callable[["Judged"], object]


class Judged(msgspec.Struct, frozen=True):
    """What the gate said and the models behind it.

    Attributes:
        verdict: What the gate said.
        candidate: The model that would choose each unit's arm, trusted or not; None if nothing could be fitted.
        release: What the verdict lets serve: the candidate, one arm for all, or None.
        learned: The rows and the evidence behind a verdict on effects, from which they can be explained.
    """

    verdict: Verdict
    candidate: Artefact | None
    release: Artefact | None
    learned: tuple[TrainingTable, Evidence] | None = None


class Cycle(msgspec.Struct, frozen=True):
    """One turn of the cold path.

    Attributes:
        shipped: What reached the database.
        joined: Rows that were completed.
        readout: What they say.
        verdict: What the gate says; its last word, while there are too few fresh rows to ask again.
        serving: What is served from now on.
    """

    shipped: Shipped
    joined: int
    readout: Readout
    verdict: Verdict
    serving: Serving


def cycle(workspace: Workspace, strategy: str, *, always_valid: bool = True, told: Told = lambda judged: None) -> Cycle:
    """Turn the cold path once for a strategy; run it as often as you like.

    Args:
        workspace: What `abloop.connect` gave.
        strategy: Its name.
        always_valid: Whether the gate's bound must hold at every turn; False for a single, planned look.
        told: Is given what the gate said, where it was asked, after the switch.

    Raises:
        UnknownNameError: There is no such strategy.
        StoreError: Database or table cannot be used.
    """
    shipped = ship_spool(workspace)
    joined = join_rows(workspace, strategy)
    seen = readout(workspace, strategy)
    stopped = stop(workspace, strategy, seen)
    verdict = stopped or last_word(workspace, strategy, seen.version, seen.rows)
    if verdict is None:
        judged = gate(workspace, strategy, always_valid=always_valid)
        switch(workspace, strategy, judged)
        told(judged)
        verdict = judged.verdict
    return Cycle(shipped, joined, seen, verdict, workspace.catalogue.serving(strategy))


def stop(workspace: Workspace, strategy: str, seen: Readout) -> Verdict | None:
    """Withdraw what is served where its own traffic proves, at every look, that it hurts; else change nothing.

    Args:
        workspace: What `abloop.connect` gave.
        strategy: Its name.
        seen: Its readout.

    Returns:
        The verdict that is kept, after which the gate is asked again when enough rows are fresh; None where nothing
        is stopped, or the blueprint leaves switching to a person.
    """
    serving, arm = workspace.catalogue.serving(strategy), beaten_by(seen.policy)
    _, blueprint = workspace.catalogue.blueprint(strategy, serving.version)
    automatic = serving.phase in ("personalise", "ship") and blueprint.lifecycle.switch == "auto"
    if seen.policy is None or not arm or not automatic:
        return None
    gain, why = seen.policy.gains[arm], why_stop(seen.policy, arm)
    withdraw(workspace, serving, who="gate", why=why)
    verdict = msgspec.structs.replace(
        refuse(why, arm=arm, n=gain.n), rows=seen.rows, gain=gain.mean, low=gain.low, high=gain.high, always_valid=True
    )
    workspace.catalogue.add_verdict(strategy, serving.version, verdict, at=workspace.clock())
    return verdict


def ship_spool(workspace: Workspace) -> Shipped:
    """Bring every record that product processes wrote into the database."""
    inspector = Inspector(workspace.catalogue, workspace.clock)
    tallied, now = TalliedKeys(workspace.catalogue), workspace.clock()
    with uncollected():
        shipped = ship(workspace.spool_directory, workspace.journal, tallied, inspector, now)
    if tallied.some:
        workspace.journal.purge_tallies(workspace.clock())
    return shipped


def join_rows(workspace: Workspace, strategy: str) -> int:
    """Join the decisions whose TTL has ended with their observations and list them in the training table.

    Returns:
        Rows joined.

    Raises:
        UnknownNameError: There is no such strategy.
        StoreError: Database or table cannot be written.
    """
    workspace.catalogue.serving(strategy)
    with uncollected():
        return sum(
            _join_version(workspace, *workspace.catalogue.blueprint(strategy, version))
            for version in workspace.journal.versions_waiting(strategy)
        )


def _join_version(workspace: Workspace, version: int, blueprint: Blueprint) -> int:
    """Join the decisions of a version whose TTL has ended, and return how many rows that made."""
    ttl, rows = blueprint.lifecycle.ttl, 0
    here = [metric for metric in blueprint.metrics if not metric.window]
    costs = {arm.name: arm.cost for arm in blueprint.ordered_arms()}
    labels = [joining.Label(metric.name, metric.combine, metric.default, metric.measured, costs) for metric in here]
    before = workspace.clock() - ttl
    while True:
        due = workspace.journal.due(blueprint.strategy, version, before, FILE_ROWS)
        if not due.decisions:
            return rows
        joined = joining.join(due.decisions, due.seen, labels, ttl)
        table = parquet.to_table(due.decisions, joined, blueprint, due.bodies)
        file = TableFile(
            parquet.write(table, workspace.table_directory, blueprint.strategy, version),
            blueprint.strategy,
            version,
            len(due.decisions),
            {name: int((column.counts > 0).sum()) for name, column in joined.labels.items()},
            workspace.clock(),
            due.decisions[0].time,
            due.decisions[-1].time,
        )
        if workspace.journal.complete(file, due, joined.left.tolist()):
            rows += len(due.decisions)


def gate(
    workspace: Workspace,
    strategy: str,
    *,
    always_valid: bool = False,
    progress: Progress = lambda done, total: None,
) -> Judged:
    """Fit every learner on the training table and say whether personalising, or one arm, is proven better.

    Args:
        workspace: What `abloop.connect` gave.
        strategy: Its name.
        always_valid: Whether the gate will be asked again as rows come in.
        progress: Called with fits done and fits in all.

    Returns:
        The verdict, kept in the database, and the models behind it.

    Raises:
        UnknownNameError: There is no such strategy.
        StoreError: Database or table cannot be used.
    """
    table, seen = load_table(workspace, strategy), readout(workspace, strategy)
    if table.blueprint.lifecycle.switch == "bandit":
        judged = _bandit(table, seen.rows, always_valid=always_valid)
        workspace.catalogue.add_verdict(strategy, table.version, judged.verdict, at=workspace.clock())
        return judged
    mismatch = seen.notes[0] if seen.srm < SRM_ALARM else ""
    reason = cannot_judge(table, mismatch) if table.blueprint.is_choice else cannot_predict(table)
    long_term = table.blueprint.model.learners == (LONG_TERM,)
    reason = reason or (cannot_follow(table) if long_term else "")
    if not reason and table.blueprint.labels and table.blueprint.model.budget:
        table = search(table, time.monotonic, progress)
    if reason:
        judged = Judged(refuse(reason, n=len(np.unique(table.groups))), None, None)
    elif long_term or not table.blueprint.is_choice:
        judging = judge_long_term if long_term else judge_predictions
        verdict = msgspec.structs.replace(judging(table, progress, always_valid=always_valid), rows=seen.rows)
        model = fit_release(table, verdict.learner)
        judged = Judged(verdict, model, model if verdict.verdict == "personalise" else None)
    else:
        evidence = cross_fit(table, progress)
        verdict = judge(evidence, table.blueprint.lifecycle.alpha, always_valid=always_valid)
        judged = _release(table, evidence, paced(verdict, seen.rows, seen.days))
    workspace.catalogue.add_verdict(strategy, table.version, judged.verdict, at=workspace.clock())
    return judged


def _bandit(table: TrainingTable, rows: int, *, always_valid: bool) -> Judged:
    """Fit a bandit, which serves unproven: its own draws explore."""
    if reason := cannot_play(table):
        return Judged(refuse(reason, n=len(np.unique(table.groups))), None, None)
    verdict = msgspec.structs.replace(play(table, always_valid=always_valid), rows=rows)
    model = fit_release(table, verdict.learner)
    return Judged(verdict, model, model)


def _release(table: TrainingTable, evidence: Evidence, verdict: Verdict) -> Judged:
    """Fit what a verdict lets serve, and the model that would choose each unit's arm."""
    means = [arm.mean for arm in verdict.arms.values()]
    trusted = verdict.learner != CONSTANT
    candidate = fit_release(table, verdict.learner if trusted else verdict.closest) if table.has_features else None
    release = None
    if verdict.verdict == "ship":
        release = constant_release(table, means)
    elif verdict.verdict == "personalise":  # a formula may choose by labels although effects are the same for all
        release = candidate if trusted else fit_release(table, CONSTANT, means)
    return Judged(verdict, candidate, release, (table, evidence) if table.has_features else None)


def switch(workspace: Workspace, strategy: str, judged: Judged, *, who: str = "gate") -> Serving:
    """Serve what the gate proved, if the blueprint lets it; otherwise change nothing.

    Args:
        workspace: What `abloop.connect` gave.
        strategy: Its name.
        judged: From `gate`.
        who: `gate`, or the person who switches where the blueprint says `switch: manual`.

    Returns:
        What is served from now on.
    """
    serving = workspace.catalogue.serving(strategy)
    _, blueprint = workspace.catalogue.blueprint(strategy, serving.version)
    manual = blueprint.lifecycle.switch == "manual" and who == "gate"
    if judged.release is None or manual or serving.phase == "paused":
        return serving
    return promote(workspace, serving, judged.verdict, judged.release, who=who)


def last_word(workspace: Workspace, strategy: str, version: int, rows: int) -> Verdict | None:
    """Return the last verdict if it was an estimate and too few rows are fresh since; None to ask the gate.

    Args:
        workspace: What `abloop.connect` gave.
        strategy: Its name.
        version: Blueprint version that is served.
        rows: Its complete rows.
    """
    last = workspace.catalogue.verdicts(strategy, most=1)
    if not last or last[0][1] != version or math.isnan(last[0][2].gain):
        return None
    _, blueprint = workspace.catalogue.blueprint(strategy, version)
    return last[0][2] if rows < last[0][2].rows * (1 + blueprint.lifecycle.refit) else None
