"""Tuning by rounds: weights are proposed, served beside those that serve, read, and learned from.

Every step is kept before the next begins, and each may be repeated: a process that is killed anywhere goes on where it
was, on any machine, and no trial is lost or doubled.
"""

from __future__ import annotations

import msgspec

from abloop.blueprint import Blueprint
from abloop.blueprint.tuning import Objective
from abloop.compare import VersionsReadout, compare, read_comparison, stop_comparing
from abloop.errors import DataError
from abloop.optimize.propose import foresee
from abloop.optimize.propose import propose as suggest
from abloop.optimize.trials import Lift, Round, State, Trial, frontier
from abloop.optimize.volume import volume
from abloop.readout import SRM_ALARM
from abloop.store.serving import Comparison
from abloop.store.workspace import Workspace

Z = 1.96
LEAST_ERROR = 1e-9

__all__ = ["best", "expect", "objectives", "pick", "propose", "read", "status", "tunable", "volumes"]


def tunable(blueprint: Blueprint) -> dict[str, tuple[float, float]]:
    """Return the weights that have a range.

    Example:
        >>> from abloop.blueprint import Metric, Policy, Space, Weight
        >>> weights = (Weight(name="w", value=1, low=0, high=2), Weight(name="fixed", value=3))
        >>> policy = Policy(formula="w * fixed", weights=weights)
        >>> metrics = (Metric(name="m"),)
        >>> tunable(Blueprint(strategy="s", metrics=metrics, space=Space(type="number"), policy=policy))
        {'w': (0.0, 2.0)}
    """
    ranges = {
        weight.name: (
            float(weight.value if weight.low is None else weight.low),
            float(weight.value if weight.high is None else weight.high),
        )
        for weight in blueprint.policy.weights
    }
    return {name: (low, high) for name, (low, high) in ranges.items() if low < high}


def objectives(blueprint: Blueprint) -> tuple[Objective, ...]:
    """Return what tuning makes better: as given, or the goals."""
    return blueprint.tuning.objectives or tuple(Objective(metric=goal.name) for goal in blueprint.goals())


def status(workspace: Workspace, strategy: str) -> State:
    """Return all that is known of a strategy's tuning.

    Raises:
        UnknownNameError: There is no such strategy.
    """
    workspace.catalogue.serving(strategy)
    return workspace.tunings.state(strategy)


def propose(workspace: Workspace, strategy: str, *, count: int = 0, who: str, why: str = "") -> State:
    """Propose the weights of a round and serve them beside those that serve, each for its share of the units.

    A round that was proposed and not begun, because the process ended, is begun; nothing is proposed twice.

    Args:
        workspace: What `abloop.connect` gave.
        strategy: Its name.
        count: How many; what the blueprint says where 0.
        who: Who proposes it.
        why: Why.

    Raises:
        UnknownNameError: There is no such strategy.
        DataError: A round runs already, nothing can be tuned, or the strategy cannot be compared.
        MissingExtraError: ax-platform is not installed.
    """
    state, serving = status(workspace, strategy), workspace.catalogue.serving(strategy)
    version, blueprint = workspace.catalogue.blueprint(strategy, serving.version)
    if state.open is None:
        bounds = tunable(blueprint)
        if not bounds:
            raise DataError(f"strategy {strategy!r} has no weight with a range; give policy.weights low and high")
        if workspace.comparisons.current().get(strategy):
            raise DataError(
                f"strategy {strategy!r} compares versions; end that first: abloop compare {strategy} --stop"
            )
        served = {weight.name: float(weight.value) for weight in blueprint.policy.weights}
        plan, number = blueprint.tuning, len(state.rounds)
        found = suggest(
            bounds, served, state.trials, objectives(blueprint), plan.limits, count or plan.arms, plan.seed + number
        )
        trials = tuple(
            Trial(len(state.trials) + at, number, weights, source=source) for at, (weights, source) in enumerate(found)
        )
        begun = Round(number, version, at=workspace.clock())
        new = msgspec.structs.replace(state, rounds=(*state.rounds, begun), trials=(*state.trials, *trials))
        state = workspace.tunings.advance(new, at=workspace.clock(), who=who, why=why)
    elif state.open.status == "running":
        raise DataError(f"round {state.open.number} of {strategy!r} runs; read it first: abloop tune {strategy} read")
    return _begin(workspace, state, who=who, why=why)


def _begin(workspace: Workspace, state: State, *, who: str, why: str) -> State:
    """Make the versions of a proposed round and compare them; what is there already is taken as it is."""
    begun = state.rounds[-1]
    _, base = workspace.catalogue.blueprint(state.strategy, begun.baseline)
    trials = []
    for trial in state.of(begun.number):
        said = f"tuning: trial {trial.number}"
        made = workspace.catalogue.add_blueprint(
            weighed(base, trial.weights), at=workspace.clock(), who=who, why=said, serve=False
        )
        trials.append(msgspec.structs.replace(trial, version=made))
    versions = list(dict.fromkeys([begun.baseline, *(trial.version for trial in trials)]))
    running = workspace.comparisons.current().get(state.strategy)
    if running is None or [entry.version for entry in running.entries] != versions:
        running = compare(workspace, state.strategy, versions, who=who, why=why or f"tuning: round {begun.number}")
    round_ = msgspec.structs.replace(begun, status="running", comparison=running.id)
    return workspace.tunings.advance(_changed(state, round_, trials), at=workspace.clock(), who=who, why="begun")


def weighed(blueprint: Blueprint, values: dict[str, float]) -> Blueprint:
    """Return a blueprint with other values of some weights."""
    weights = tuple(
        msgspec.structs.replace(weight, value=values.get(weight.name, weight.value))
        for weight in blueprint.policy.weights
    )
    return msgspec.structs.replace(blueprint, policy=msgspec.structs.replace(blueprint.policy, weights=weights))


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
    state = status(workspace, strategy)
    begun = state.open
    if begun is None or begun.status != "running":
        raise DataError(f"no round of {strategy!r} runs; begin one: abloop tune {strategy} propose")
    last, found = workspace.comparisons.last(strategy), read_comparison(workspace, strategy)
    _, blueprint = workspace.catalogue.blueprint(strategy, begun.baseline)
    if not early and last is not None and last.id == begun.comparison and fewest(found) < blueprint.tuning.units:
        return state
    reason = _unusable(last, begun, found)
    trials = [_read_trial(trial, found, blueprint, begun, reason) for trial in state.of(begun.number)]
    status_ = "marked" if reason else "read"
    round_ = msgspec.structs.replace(begun, status=status_, reason=reason)
    if found.running:
        stop_comparing(workspace, strategy, who=who, why=f"tuning: round {begun.number} is read")
    return workspace.tunings.advance(
        _changed(state, round_, trials), at=workspace.clock(), who=who, why=reason or "read"
    )


def fewest(found: VersionsReadout) -> int:
    """Return the units of the arm that has the fewest."""
    return min(found.units.values(), default=0)


def _unusable(last: Comparison | None, begun: Round, found: VersionsReadout) -> str:
    """Return why a round says nothing, or an empty text."""
    if last is None or last.id != begun.comparison:
        return "another comparison took its place before it was read"
    if not found.metrics:
        return "no row of it is complete: was it served, and has its TTL ended?"
    if found.srm < SRM_ALARM:
        return f"its units are not in the shares that were drawn (p = {found.srm:.1g}); find the cause"
    return ""


def _read_trial(trial: Trial, found: VersionsReadout, blueprint: Blueprint, begun: Round, reason: str) -> Trial:
    """Return a trial with what its arm changed, or why it says nothing."""
    arm, lifts = f"v{trial.version}", {}
    units = found.units.get(arm, 0)
    if trial.version == begun.baseline:
        reason = reason or "its weights are those that serve"
    elif not reason and not units:
        reason = "no unit got it"
    wanted = {each.metric for each in objectives(blueprint)} | {each.metric for each in blueprint.tuning.limits}
    for metric in found.metrics if not reason else ():
        control, result = metric.arms[0], {each.arm: each for each in metric.arms}.get(arm)
        if metric.metric in wanted and result is not None and result.lift is not None and result.relative is not None:
            error = (result.lift.high - result.lift.low) / 2 / Z / abs(control.mean.mean)
            if error == error:
                lifts[metric.metric] = Lift(result.relative, max(error, LEAST_ERROR))
    missing = sorted(wanted - set(lifts))
    if not reason and missing:
        reason = f"metric {missing[0]!r} has no change that could be estimated"
    if reason:
        return msgspec.structs.replace(trial, status="failed", reason=reason, units=units)
    return msgspec.structs.replace(trial, status="read", lifts=lifts, units=units)


def best(workspace: Workspace, strategy: str) -> list[Trial]:
    """Return the trials that none beats: the measured trade-offs, best at the first objective first."""
    state = status(workspace, strategy)
    _, blueprint = workspace.catalogue.blueprint(strategy, workspace.catalogue.serving(strategy).version)
    return frontier(state.trials, objectives(blueprint), blueprint.tuning.limits)


def expect(workspace: Workspace, strategy: str, weights: list[dict[str, float]]) -> list[dict[str, Lift]]:
    """Return what weights that were never tried are expected to change, by a model of all that were.

    Args:
        workspace: What `abloop.connect` gave.
        strategy: Its name.
        weights: Weight to value, all that have a range, one mapping for each question.

    Raises:
        UnknownNameError: There is no such strategy.
        DataError: A weight is missing or outside its range, or too few trials were read.
        MissingExtraError: ax-platform is not installed.
    """
    state = status(workspace, strategy)
    _, blueprint = workspace.catalogue.blueprint(strategy, workspace.catalogue.serving(strategy).version)
    bounds = tunable(blueprint)
    for point in weights:
        for name, (low, high) in bounds.items():
            if name not in point or not low <= point[name] <= high:
                raise DataError(f"weight {name!r} is {point.get(name)}; allowed: {low:g} to {high:g}")
    served = {weight.name: float(weight.value) for weight in blueprint.policy.weights}
    plan = blueprint.tuning
    return foresee(bounds, served, state.trials, objectives(blueprint), plan.limits, weights, plan.seed)


def volumes(workspace: Workspace, strategy: str) -> list[float]:
    """Return, round by round, how much of the space of trade-offs all trials so far reach; see `optimize.volume`.

    Raises:
        UnknownNameError: There is no such strategy.
        MissingExtraError: botorch is not installed.
    """
    state = status(workspace, strategy)
    _, blueprint = workspace.catalogue.blueprint(strategy, workspace.catalogue.serving(strategy).version)
    goals, limits = objectives(blueprint), blueprint.tuning.limits
    done = range(len(state.rounds))
    return [volume([trial for trial in state.trials if trial.round <= at], goals, limits) for at in done]


def pick(workspace: Workspace, strategy: str, number: int, *, who: str, why: str) -> Comparison:
    """Serve a trial's weights beside those that serve, alone, to confirm them.

    Args:
        workspace: What `abloop.connect` gave.
        strategy: Its name.
        number: Of the trial.
        who: Who picks it.
        why: Why.

    Raises:
        UnknownNameError: There is no such strategy.
        DataError: There is no such trial that was read, or a round runs.
    """
    state = status(workspace, strategy)
    chosen = [trial for trial in state.read() if trial.number == number]
    if not chosen:
        known = ", ".join(str(trial.number) for trial in state.read()) or "none"
        raise DataError(f"trial {number} of {strategy!r} was not read; those that were: {known}")
    if state.open is not None:
        raise DataError(
            f"round {state.open.number} of {strategy!r} is open; read it first: abloop tune {strategy} read"
        )
    serving = workspace.catalogue.serving(strategy)
    return compare(workspace, strategy, [serving.version, chosen[0].version], who=who, why=why)


def _changed(state: State, round_: Round, trials: list[Trial]) -> State:
    """Return a state with a round and its trials replaced."""
    new = {trial.number: trial for trial in trials}
    return msgspec.structs.replace(
        state,
        rounds=(*state.rounds[:-1], round_),
        trials=tuple(new.get(trial.number, trial) for trial in state.trials),
    )
