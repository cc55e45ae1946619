"""What earlier rounds say of the weights that serve now: each round was measured against what served then."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec

from abloop.blueprint import Blueprint
from abloop.blueprint.parameters import settings, tunable
from abloop.errors import DataError, MissingExtraError
from abloop.optimize.learn import learn
from abloop.optimize.trials import Lift, Point, State, Trial
from abloop.store.workspace import Workspace
from abloop.tuning.plan import search_of

Weights = dict[str, float]
UNLINKED = "measured against other weights than serve now, which no round tried; a model links them where it can"


class Placed(NamedTuple):
    """A trial in the terms of the blueprint that serves.

    Attributes:
        trial: The trial, with every weight that has a range now.
        zero: What served beside it.
        at: All its weights.
    """

    trial: Trial
    zero: Weights
    at: Weights


def known(workspace: Workspace, state: State, blueprint: Blueprint, *, guess: bool = False) -> State:
    """Return a state whose trials tell changes against the weights that serve now; no trial is taken away.

    Where other weights served during a round, its changes are divided by what the weights that serve now changed
    against those: as measured in any round, or as a model of that round's trials expects. The error of that is added to
    each trial's. A trial that cannot be compared has no changes, and says why.

    Args:
        workspace: What `abloop.connect` gave.
        state: All that is known, as it was read.
        blueprint: The version that serves.
        guess: Whether a model may be asked, which takes seconds.
    """
    now, zeros = settings(blueprint), _zeros(workspace, state, blueprint)
    placed = [_place(trial, zeros[trial.round], blueprint) for trial in state.trials]
    those = [each for each in placed if isinstance(each, Placed)]
    offsets: dict[tuple[float, ...], dict[str, Lift]] = {}
    for zero in zeros.values():
        if not isinstance(zero, str) and zero != now and tuple(zero.values()) not in offsets:
            found = _measured(those, zero, now)
            if guess and not found:
                found = _guessed([each.trial for each in those if each.zero == zero], zero, now, blueprint)
            offsets[tuple(zero.values())] = found

    def moved(lifts: Mapping[str, Lift], zero: Weights) -> dict[str, Lift]:
        if zero == now:
            return dict(lifts)
        offset = offsets[tuple(zero.values())]
        return {metric: against(lift, offset[metric]) for metric, lift in lifts.items() if metric in offset}

    trials = []
    for raw, each in zip(state.trials, placed, strict=True):
        if isinstance(each, str):
            trials.append(_without(raw, each))
        elif each.trial.lifts and not (lifts := moved(each.trial.lifts, each.zero)):
            trials.append(msgspec.structs.replace(each.trial, lifts={}, reason=UNLINKED))
        else:
            trials.append(msgspec.structs.replace(each.trial, lifts=lifts if each.trial.lifts else {}))
    asked = zeros.get(-1, zeros.get(0, now))
    scored: tuple[Point, ...] = ()
    if not isinstance(asked, str):
        scored = tuple(
            msgspec.structs.replace(point, weights=_full(point.weights, asked, blueprint), lifts=lifts)
            for point in state.scored
            if (lifts := moved(point.lifts, asked))
        )
    return msgspec.structs.replace(state, trials=tuple(trials), scored=scored)


def left_out(raw: State, told: State) -> dict[str, int]:
    """Return why trials that were read cannot be compared with what serves now, and how many."""
    found: dict[str, int] = {}
    for before, after in zip(raw.trials, told.trials, strict=True):
        if before.status == "read" and before.lifts and not after.lifts:
            found[after.reason] = found.get(after.reason, 0) + 1
    return found


def against(lift: Lift, offset: Lift) -> Lift:
    """Return a change as one against other weights, given what those changed against the same.

    The error is that of a ratio of two independent estimates, by the delta method; `offset` is above -1.

    Example:
        >>> round(against(Lift(0.21, 0.0), Lift(0.1, 0.0)).mean, 9)
        0.1
    """
    base = 1.0 + offset.mean
    ratio = (1.0 + lift.mean) / base
    return Lift(ratio - 1.0, math.hypot(lift.error, ratio * offset.error) / base)


def _zeros(workspace: Workspace, state: State, blueprint: Blueprint) -> dict[int, Weights | str]:
    """Return what served in each round, by the names of today, or why that cannot be said; -1 for the journal."""
    found: dict[int, Weights | str] = {}
    versions = {each.number: each.baseline for each in state.rounds}
    if state.scored and state.scored_by:
        versions[-1] = state.scored_by
    served = {each: workspace.catalogue.blueprint(state.strategy, each)[1] for each in set(versions.values())}
    for number, version in versions.items():
        then = served[version]
        if then.policy.formula.split() != blueprint.policy.formula.split() or then.space.type != blueprint.space.type:
            found[number] = "measured under another policy.formula"
        else:
            found[number] = settings(msgspec.structs.replace(then, tuning=blueprint.tuning))
    return found


def _place(trial: Trial, zero: Weights | str, blueprint: Blueprint) -> Placed | str:
    """Return a trial in the terms of today, or why it has no place there."""
    if isinstance(zero, str):
        return zero
    at = zero | {name: value for name, value in trial.weights.items() if name in zero}
    turned = set(tunable(blueprint)).union(*blueprint.tuning.among)
    for name, value in settings(blueprint).items():
        if name not in turned and at.get(name) != value:
            return f"measured with {name} {at.get(name, math.nan):g}, which is {value:g} now and has no range"
    return Placed(msgspec.structs.replace(trial, weights=_full(trial.weights, zero, blueprint)), zero, at)


def _full(weights: Mapping[str, float], zero: Weights, blueprint: Blueprint) -> Weights:
    """Return weights without those that are gone, and with those that have a range only now."""
    kept = {name: value for name, value in weights.items() if name in zero}
    return kept | {name: zero[name] for name in tunable(blueprint) if name not in kept}


def _measured(those: Sequence[Placed], zero: Weights, now: Weights) -> dict[str, Lift]:
    """Return what the weights of now changed against others, as far as rounds measured it, by inverse variance."""
    seen: dict[str, list[Lift]] = {}
    for each in those:
        if each.trial.status == "read" and (each.zero, each.at) in ((zero, now), (now, zero)):
            for metric, lift in each.trial.lifts.items():
                if lift.mean > -1.0:  # nothing is a share of nothing
                    seen.setdefault(metric, []).append(lift if each.zero == zero else against(Lift(0.0, 0.0), lift))
    found = {}
    for metric, lifts in seen.items():
        precise = [lift.error**-2 for lift in lifts]
        mean = sum(weight * lift.mean for weight, lift in zip(precise, lifts, strict=True)) / sum(precise)
        found[metric] = Lift(mean, sum(precise) ** -0.5)
    return found


def _guessed(trials: Sequence[Trial], zero: Weights, now: Weights, blueprint: Blueprint) -> dict[str, Lift]:
    """Return what a model of the trials beside other weights expects the weights of now to change; nothing if none."""
    try:
        (found,) = learn(msgspec.structs.replace(search_of(blueprint), served=zero), trials).expect([now])
        return {metric: lift for metric, lift in found.items() if lift.mean > -1.0}
    except (DataError, MissingExtraError):
        return {}


def _without(trial: Trial, reason: str) -> Trial:
    """Return a trial that says nothing today."""
    if trial.status != "read":
        return msgspec.structs.replace(trial, lifts={})
    return msgspec.structs.replace(trial, status="failed", lifts={}, reason=reason)
