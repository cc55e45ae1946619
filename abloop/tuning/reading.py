"""What a round says: read once its units are there, watched while it runs."""

from __future__ import annotations

import math

import msgspec

from abloop.blueprint import Blueprint
from abloop.blueprint.parameters import settings, tunable, with_settings
from abloop.compare import VersionsReadout, abandon_version, read_comparison, stop_comparing
from abloop.errors import AbloopError, DataError
from abloop.optimize.trials import Lift, Round, State, Trial
from abloop.readout import SRM_ALARM, MetricResult
from abloop.stats.compare import Estimate, Side, effect, t_quantile
from abloop.stats.contrast import Arm, Contrast, contrast_of
from abloop.stats.sequential import always_valid
from abloop.store.serving import Comparison
from abloop.store.workspace import Workspace
from abloop.tuning.plan import objectives
from abloop.tuning.steps import changed, status

ALPHA = 0.05  # of abandoning any arm of a round that keeps all limits, however often one looks
LEAST_ERROR = 1e-9
FEWEST_UNITS = 100  # of both arms before an arm may be abandoned: the sequence is asymptotic


def read(workspace: Workspace, strategy: str, *, early: bool = False, who: str) -> State:
    """Read the round that runs, if each of its arms has the units that the blueprint wants, and end it.

    Args:
        workspace: What `abloop.connect` gave.
        strategy: Its name.
        early: Whether to read it whatever the units.
        who: Who reads it.

    Returns:
        The state; the same where units are missing.

    Raises:
        UnknownNameError: There is no such strategy.
        DataError: No round runs.
    """
    state = watch(workspace, strategy, who=who)
    begun = state.open
    if begun is None or begun.status != "running":
        raise DataError(f"no round of {strategy!r} runs; begin one: abloop tune {strategy} propose")
    last, found = workspace.comparisons.last(strategy), read_comparison(workspace, strategy)
    _, blueprint = workspace.catalogue.blueprint(strategy, begun.baseline)
    early = early or not found.running  # somebody ended it, or this process did and was killed
    early = early or all(trial.status == "failed" for trial in state.of(begun.number))  # all were abandoned
    waits = fewest(found, blueprint) < blueprint.tuning.units
    if not early and waits and last is not None and last.draw == begun.comparison:
        return state
    reason = _unusable(last, begun, found, blueprint)
    trials = [_read_trial(trial, found, blueprint, begun, reason) for trial in state.of(begun.number)]
    if not reason and not any(trial.lifts for trial in trials):
        reason = f"no arm of it says anything: {trials[0].reason}"
    status_ = "marked" if reason else "read"
    round_ = msgspec.structs.replace(begun, status=status_, reason=reason)
    if found.running:
        stop_comparing(workspace, strategy, who=who, why=f"tuning: round {begun.number} is read")
    return workspace.tunings.advance(
        changed(state, round_, trials), at=workspace.clock(), who=who, why=reason or "read"
    )


def confirmed(workspace: Workspace, state: State) -> State:
    """Return a state with the newest comparison as one more round, where it confirmed weights; not kept.

    Two versions that differ in their weights alone, compared and ended, say as much as a round of one arm, and link the
    rounds beside the one to those beside the other. One that says nothing, or came before any round, is left out.

    Args:
        workspace: What `abloop.connect` gave.
        state: All that is known; no round is open.
    """
    last = workspace.comparisons.last(state.strategy)
    if (
        not state.rounds
        or last is None
        or len(last.entries) != 2
        or last.draw in {each.comparison for each in state.rounds}
    ):
        return state
    first, second = (workspace.catalogue.blueprint(state.strategy, entry.version)[1] for entry in last.entries)
    before, after = settings(first), settings(second)
    if with_settings(first, after) != second:
        return state
    weights = {name: value for name, value in after.items() if name in tunable(first) or before[name] != value}
    begun = Round(len(state.rounds), last.entries[0].version, "read", last.draw, last.at)
    version = last.entries[1].version
    trial = Trial(len(state.trials), begun.number, weights, version=version, source="confirmed")
    try:
        found = read_comparison(workspace, state.strategy)
        reason = _unusable(last, begun, found, first)
    except AbloopError:  # the table cannot be read: a round is proposed all the same
        return state
    if reason or 2 * fewest(found, first) < FEWEST_UNITS:
        return state
    trial = _read_trial(trial, found, first, begun, "")
    if trial.status != "read":
        return state
    return msgspec.structs.replace(state, rounds=(*state.rounds, begun), trials=(*state.trials, trial))


def fewest(found: VersionsReadout, blueprint: Blueprint) -> int:
    """Return the units of the arm that has the fewest; of a metric with a window, those for which that has ended.

    One whose default is null does not tell an outcome that never came from one that is still waited for.
    """
    those = [metric for metric in blueprint.metrics if metric.window and metric.default is not None]
    late = {metric.name for metric in those} & wanted_of(blueprint)
    ended = [arm.mean.n for metric in found.metrics if metric.metric in late for arm in metric.arms]
    return min([*found.units.values(), *ended], default=0)


def ready(workspace: Workspace, strategy: str) -> tuple[int, int]:
    """Return the units that each arm of the round that runs has at least, and those that it needs; 0 where none runs.

    Raises:
        UnknownNameError: There is no such strategy.
    """
    begun = status(workspace, strategy).open
    if begun is None or begun.status != "running":
        return 0, 0
    _, blueprint = workspace.catalogue.blueprint(strategy, begun.baseline)
    return fewest(read_comparison(workspace, strategy), blueprint), blueprint.tuning.units


def _unusable(last: Comparison | None, begun: Round, found: VersionsReadout, blueprint: Blueprint) -> str:
    """Return why a round says nothing, or an empty text."""
    if last is None or last.draw != begun.comparison:
        return "another comparison took its place before it was read"
    if not found.metrics:
        return "no row of it is complete: was it served, and has its TTL ended?"
    if found.srm < SRM_ALARM:
        return f"its units are not in the shares that were drawn (p = {found.srm:.1g}); find the cause"
    goals = {each.metric for each in objectives(blueprint)}
    for metric in found.metrics:
        means = {each.mean.mean for each in metric.arms if each.mean.n}
        flat = all(each.mean.high == each.mean.low for each in metric.arms if each.mean.n > 1)
        if metric.metric in goals and flat and len(means) == 1:
            return f"objective {metric.metric!r} is {means.pop():g} in every row, so that nothing can make it better"
    return ""


def _read_trial(trial: Trial, found: VersionsReadout, blueprint: Blueprint, begun: Round, reason: str) -> Trial:
    """Return a trial with what its arm changed, or why it says nothing."""
    if trial.status == "failed":
        return msgspec.structs.replace(trial, lifts={}) if reason else trial
    units, lifts = found.units.get(f"v{trial.version}", 0), {}
    if trial.version == begun.baseline:
        reason = reason or "its weights are those that serve"
    elif not reason and not units:
        reason = "no unit got it"
    wanted = wanted_of(blueprint)
    for metric in found.metrics if not reason else ():
        both = _contrast(metric, trial.version)
        if metric.metric in wanted and both is not None:
            seen = effect(both, relative=True)
            if not seen.reason and math.isfinite(seen.error):
                lifts[metric.metric] = Lift(seen.value, max(seen.error, LEAST_ERROR))
            elif seen.reason == "no_variance" and both.baseline:
                lifts[metric.metric] = Lift(both.difference / abs(both.baseline), LEAST_ERROR)
    missing = sorted(wanted - set(lifts))
    if not reason and missing:
        windows = {metric.name for metric in blueprint.metrics if metric.window}
        why = "has its window ended?" if missing[0] in windows else "was it logged?"
        reason = f"metric {missing[0]!r} has no change that could be estimated: {why}"
    if reason:
        return msgspec.structs.replace(trial, status="failed", reason=reason, units=units)
    return msgspec.structs.replace(trial, status="read", lifts=lifts, units=units)


def wanted_of(blueprint: Blueprint) -> set[str]:
    """Return the metrics that tuning reads."""
    return {each.metric for each in objectives(blueprint)} | {each.metric for each in blueprint.tuning.limits}


def _contrast(metric: MetricResult, version: int) -> Contrast | None:
    """Return a version against what serves; None where it has no units."""
    results = {each.arm: each for each in metric.arms}
    arm = results.get(f"v{version}")
    if arm is None or not arm.mean.n:
        return None
    return contrast_of(_arm(arm.mean), _arm(metric.arms[0].mean))


def _arm(mean: Estimate) -> Arm:
    """Return an arm's mean with its variance."""
    if mean.n < 2:
        return Arm(mean.n, mean.mean, math.nan)
    error = (mean.high - mean.low) / 2 / t_quantile(0.975, mean.n - 1)
    return Arm(mean.n, mean.mean, error**2)


def watch(workspace: Workspace, strategy: str, *, who: str) -> State:
    """Abandon the arms of the round that runs which break a limit, by a test that may be asked however often.

    Their units are decided by the version that serves from then on; all others keep their arms, and the round goes on.

    Args:
        workspace: What `abloop.connect` gave.
        strategy: Its name.
        who: Who asks.

    Returns:
        The state; the same where no arm breaks a limit, or no round runs.

    Raises:
        UnknownNameError: There is no such strategy.
    """
    state = status(workspace, strategy)
    begun, last = state.open, workspace.comparisons.last(strategy)
    if begun is None or begun.status != "running" or last is None or last.draw != begun.comparison:
        return state
    _, blueprint = workspace.catalogue.blueprint(strategy, begun.baseline)
    if not blueprint.tuning.limits:
        return state
    found, trials = read_comparison(workspace, strategy), []
    for trial in state.of(begun.number):
        if trial.status != "proposed":
            continue
        gone = trial.version not in {entry.version for entry in last.entries}
        reason = last.why if gone else broken(found, trial.version, blueprint, len(state.of(begun.number)))
        if reason and trial.version != begun.baseline:
            seen = _read_trial(trial, found, blueprint, begun, "")  # what it changed is learned from
            trials.append(msgspec.structs.replace(seen, status="failed", reason=f"abandoned: {reason}"))
    if not trials:
        return state
    for trial in trials:  # served first, kept after: done again where the process ends in between
        if trial.version in {entry.version for entry in last.entries}:
            last = abandon_version(workspace, strategy, trial.version, who=who, why=trial.reason)
    return workspace.tunings.advance(changed(state, begun, trials), at=workspace.clock(), who=who, why="abandoned")


def broken(found: VersionsReadout, version: int, blueprint: Blueprint, arms: int) -> str:
    """Return which limit a version breaks for sure, in words; empty where it breaks none.

    By a one-sided confidence sequence of the lift, see `stats.sequential.always_valid`; all arms and limits of a round
    share one false-alarm rate.

    Args:
        found: What the comparison says.
        version: Whose.
        blueprint: Has the limits, and the units that are planned.
        arms: Of the round.
    """
    limits = blueprint.tuning.limits
    confidence = 1.0 - ALPHA / (arms * sum((each.most is not None) + (each.least is not None) for each in limits))
    planned, read = 2.0 * blueprint.tuning.units, {metric.metric: metric for metric in found.metrics}
    for limit in limits:
        metric = read.get(limit.metric)
        both = _contrast(metric, version) if metric is not None else None
        if both is None or both.n < FEWEST_UNITS:
            continue
        sides: tuple[tuple[float | None, Side], ...] = ((limit.most, "greater"), (limit.least, "less"))
        for bound, side in sides:
            if bound is None:
                continue
            seen = always_valid(both, confidence, relative=True, side=side, tuning=planned, null=bound)
            if not seen.reason and (seen.low > bound if side == "greater" else seen.high < bound):
                words = "at most" if side == "greater" else "at least"
                return f"{limit.metric} {seen.value:+.1%}, allowed {words} {bound:+.1%} (n = {both.n:,}, always valid)"
    return ""
