"""Rounds: weights are proposed, and served beside those that serve; what is chosen is served to be confirmed.

Every step is kept before the next begins, and each may be repeated: a process that is killed anywhere goes on where it
was, on any machine, and no trial is lost or doubled.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from contextlib import suppress

import msgspec

from abloop.blueprint import Blueprint
from abloop.blueprint.check import check
from abloop.blueprint.parameters import WHOLE, settings, tunable, with_settings
from abloop.compare import compare
from abloop.errors import BlueprintError, DataError, UnknownNameError, unknown
from abloop.optimize.drift import again_of, widened
from abloop.optimize.propose import draw
from abloop.optimize.propose import propose as suggest
from abloop.optimize.search import Progress, Search, silent
from abloop.optimize.trials import Point, Round, State, Trial
from abloop.store.serving import Comparison
from abloop.store.workspace import Workspace
from abloop.tuning.known import known
from abloop.tuning.logs import score
from abloop.tuning.plan import search_of
from abloop.tuning.reading import confirmed
from abloop.tuning.steps import changed, status

MOST_ARMS = 100  # of a round
MORE = 16  # points that are looked at for each that is missing, where counts are rounded
ROUNDED = 1e-6  # by how much a sum of weights may miss its bounds: weights are shown with six digits


def propose(
    workspace: Workspace, strategy: str, *, count: int = 0, who: str, why: str = "", progress: Progress = silent
) -> State:
    """Propose the weights of a round and serve them beside those that serve, each for its share of the units.

    A round that was proposed and not begun, because the process ended, is begun; nothing is proposed twice.

    Args:
        workspace: What `abloop.connect` gave.
        strategy: Its name.
        count: How many; what the blueprint says where 0.
        who: Who proposes it.
        why: Why.
        progress: Called with steps done and steps in all, where logs are asked, then for each of the weights.

    Raises:
        UnknownNameError: There is no such strategy.
        DataError: A round runs already, nothing can be tuned, or the strategy cannot be compared.
        MissingExtraError: botorch is not installed.
    """
    if not 0 <= count <= MOST_ARMS:
        raise DataError(f"a round of {count} arms; allowed: 1 to {MOST_ARMS}, or 0 for what the blueprint says")
    state, serving = status(workspace, strategy), workspace.catalogue.serving(strategy)
    version, blueprint = workspace.catalogue.blueprint(strategy, serving.version)
    overtaken = state.open is not None and state.open.status == "proposed" and state.open.baseline != version
    if overtaken and not workspace.comparisons.current().get(strategy):
        state = _mark(workspace, state, f"version {version} came to serve before it began", who)
    if state.open is None:
        if not tunable(blueprint):
            fix = "give policy.weights low and high, or name tuning.parameters"
            raise DataError(f"strategy {strategy!r} has nothing with a range; {fix}")
        check_free(workspace, strategy)
        state = confirmed(workspace, state)
        number = len(state.rounds)
        if blueprint.tuning.logs and not state.scored and not state.read():
            scored = _scored(workspace, strategy, blueprint, progress)
            state = msgspec.structs.replace(state, scored=scored, scored_by=version)
        told = known(workspace, state, blueprint, guess=True)
        found = _proposed(blueprint, told, count or blueprint.tuning.arms, progress)
        trials = tuple(
            Trial(len(state.trials) + at, number, weights, source=source) for at, (weights, source) in enumerate(found)
        )
        begun = Round(number, version, at=workspace.clock())
        new = msgspec.structs.replace(state, rounds=(*state.rounds, begun), trials=(*state.trials, *trials))
        state = workspace.tunings.advance(new, at=workspace.clock(), who=who, why=why)
    elif state.open.status == "running":
        raise DataError(f"round {state.open.number} of {strategy!r} runs; read it first: abloop tune {strategy} read")
    return _begin(workspace, state, who=who, why=why)


def _scored(workspace: Workspace, strategy: str, blueprint: Blueprint, progress: Progress) -> tuple[Point, ...]:
    """Return what the journal says of weights; nothing where it cannot be asked, which costs a hint and no round."""
    try:
        return score(workspace, strategy, blueprint, progress)
    except Exception as error:
        logging.getLogger(__name__).warning("the journal of %r could not be asked about weights: %s", strategy, error)
        return ()


def _proposed(blueprint: Blueprint, state: State, count: int, progress: Progress) -> list[tuple[dict[str, float], str]]:
    """Return the weights of the next round, those that are tried again first; none twice, and not those that serve."""
    plan, search = blueprint.tuning, search_of(blueprint, len(state.rounds))
    if plan.among:
        among = [search.served | each for each in plan.among]
        among = [each for at, each in enumerate(among) if each != search.served and each not in among[:at]]
        return _some([(among[at], "among") for at in draw(search, state.trials, among, count)])
    again = again_of(state, search, min(plan.repeat, count - 1))
    trials = widened(state.trials)
    found = again + (suggest(search, trials, count - len(again), state.scored, progress) if count > len(again) else [])
    kept = _distinct(found, search)
    if len(kept) < count:  # counts were rounded to the same weights
        with suppress(DataError):
            more = search.weights(search.spread(MORE * count, len(trials) + count))
            kept = _distinct([*kept, *((weights, "spread") for weights in more)], search)
    return _some(kept[:count])


def _distinct(found: Sequence[tuple[dict[str, float], str]], search: Search) -> list[tuple[dict[str, float], str]]:
    """Return the weights that differ from those that serve, and from all before."""
    seen, kept = [{name: search.served[name] for name in search.bounds}], []
    for weights, source in found:
        if weights not in seen:
            seen.append(weights)
            kept.append((weights, source))
    return kept


def _some(found: list[tuple[dict[str, float], str]]) -> list[tuple[dict[str, float], str]]:
    """Refuse a round without weights to try, before it is kept."""
    if not found:
        raise DataError("nothing is left to try but the weights that serve; give others in tuning.among, or more range")
    return found


def _begin(workspace: Workspace, state: State, *, who: str, why: str) -> State:
    """Make the versions of a proposed round and compare them; what is there already is taken as it is.

    Weights that make no valid blueprint fail alone; a round of which nothing is left to compare is marked.
    """
    begun = state.rounds[-1]
    _, base = workspace.catalogue.blueprint(state.strategy, begun.baseline)
    trials = [_with_version(workspace, base, trial, who) for trial in state.of(begun.number)]
    versions = list(dict.fromkeys([begun.baseline, *(each.version for each in trials if each.status == "proposed")]))
    if len(versions) == 1:
        reason = next((each.reason for each in trials if each.reason), "it has no weights but those that serve")
        return _mark(workspace, changed(state, begun, trials), reason, who)
    running = workspace.comparisons.current().get(state.strategy)
    if running is None or [entry.version for entry in running.entries] != versions:
        running = compare(workspace, state.strategy, versions, who=who, why=why or f"tuning: round {begun.number}")
    round_ = msgspec.structs.replace(begun, status="running", comparison=running.id)
    return workspace.tunings.advance(changed(state, round_, trials), at=workspace.clock(), who=who, why="begun")


def _mark(workspace: Workspace, state: State, reason: str, who: str) -> State:
    """Mark the round that is open, which never began."""
    begun = state.rounds[-1]
    trials = [
        msgspec.structs.replace(each, status="failed", reason=each.reason or reason) for each in state.of(begun.number)
    ]
    round_ = msgspec.structs.replace(begun, status="marked", reason=reason)
    return workspace.tunings.advance(changed(state, round_, trials), at=workspace.clock(), who=who, why=reason)


def _with_version(workspace: Workspace, base: Blueprint, trial: Trial, who: str) -> Trial:
    """Return a trial with the version that has its weights, or why there can be none."""
    try:
        made = check(with_settings(base, trial.weights))
    except BlueprintError as error:
        return msgspec.structs.replace(trial, status="failed", reason=str(error).removeprefix("blueprint: "))
    said = f"tuning: trial {trial.number}"
    version = workspace.catalogue.add_blueprint(made, at=workspace.clock(), who=who, why=said, serve=False)
    return msgspec.structs.replace(trial, version=version)


def pick(
    workspace: Workspace, strategy: str, choice: int | Point | Mapping[str, float], *, who: str, why: str
) -> Comparison:
    """Serve chosen weights beside those that serve, alone, to confirm them.

    The blueprint that serves gets the weights, so that nothing else of it changes.

    Args:
        workspace: What `abloop.connect` gave.
        strategy: Its name.
        choice: Number of a trial that was read, a point of `pareto`, or weights.
        who: Who picks it.
        why: Why.

    Raises:
        UnknownNameError: There is no such strategy or weight.
        DataError: There is no such trial that was read, a weight is outside its range, a sum is not kept, the weights
            serve already, or a round or a comparison runs.
    """
    state = status(workspace, strategy)
    serving = workspace.catalogue.serving(strategy)
    _, base = workspace.catalogue.blueprint(strategy, serving.version)
    if isinstance(choice, int):
        weights = _weights_of(workspace, state, base, choice)
    else:
        weights = dict(choice.weights if isinstance(choice, Point) else choice)
    if state.open is not None:
        fix = "read" if state.open.status == "running" else "propose"
        raise DataError(
            f"round {state.open.number} of {strategy!r} is open; end it first: abloop tune {strategy} {fix}"
        )
    check_free(workspace, strategy)
    check_weights(base, weights)
    made = check(with_settings(base, weights))
    if made == base:
        raise DataError(f"strategy {strategy!r} serves these weights already, as version {serving.version}")
    version = workspace.catalogue.add_blueprint(made, at=workspace.clock(), who=who, why=why, serve=False)
    return compare(workspace, strategy, [serving.version, version], who=who, why=why)


def _weights_of(workspace: Workspace, state: State, base: Blueprint, number: int) -> dict[str, float]:
    """Return the weights of a trial that was read, in the terms of the blueprint that serves."""
    read = [trial.number for trial in state.read()]
    if number not in read:
        listed = ", ".join(map(str, read)) or f"none; begin with abloop tune {state.strategy} propose"
        why = next((f" ({each.reason})" for each in state.trials if each.number == number and each.reason), "")
        raise DataError(f"trial {number} of {state.strategy!r} was not read{why}; those that were: {listed}")
    trial = known(workspace, state, base).trials[number]
    if trial.status != "read":
        raise DataError(f"trial {number} of {state.strategy!r} cannot be served any more: it was {trial.reason}")
    return trial.weights


def check_free(workspace: Workspace, strategy: str) -> None:
    """Refuse to begin a comparison while another one runs.

    Raises:
        DataError: One does.
    """
    running = workspace.comparisons.current().get(strategy)
    if running is not None:
        those = ", ".join(str(entry.version) for entry in running.entries)
        raise DataError(
            f"strategy {strategy!r} compares versions {those}; "
            f"read them with abloop compare {strategy}, then end that: abloop compare {strategy} --stop"
        )


def check_weights(blueprint: Blueprint, weights: Mapping[str, float]) -> None:
    """Refuse weights that miss one with a range, are outside it, do not keep the sums, or are not there.

    Raises:
        DataError: They are.
        UnknownNameError: There is no such weight.
    """
    there, bounds = settings(blueprint), tunable(blueprint)
    for name in weights:
        if name not in there:
            raise UnknownNameError(unknown("weight", name, sorted(there)))
    for name, (low, high) in bounds.items():
        kind = "parameter" if "." in name else "weight"
        if name not in weights:
            raise DataError(
                f"{kind} {name!r} is not given; allowed: {low:g} to {high:g}. Name all: {', '.join(bounds)}"
            )
        if not low <= weights[name] <= high or (name in WHOLE and weights[name] != round(weights[name])):
            whole = "whole numbers from " if name in WHOLE else ""
            raise DataError(f"{kind} {name!r} is {weights[name]:g}; allowed: {whole}{low:g} to {high:g}")
    given = {**there, **weights}
    for index, each in enumerate(blueprint.tuning.sums):
        total = sum(factor * given[name] for name, factor in each.weights.items())
        low_, high_ = (-math.inf if each.least is None else each.least, math.inf if each.most is None else each.most)
        if not low_ - ROUNDED <= total <= high_ + ROUNDED:
            ends = ((each.least, "at least"), (each.most, "at most"))
            allowed = " and ".join(f"{words} {end:g}" for end, words in ends if end is not None)
            terms = " + ".join(f"{factor:g} {name}" for name, factor in each.weights.items())
            raise DataError(f"tuning.sums[{index}], {terms}, is {total:g} with these weights; allowed: {allowed}")
