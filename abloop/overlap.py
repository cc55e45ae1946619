"""Experiments beside each other: what may not be, and which units two of them share."""

from __future__ import annotations

import msgspec

from abloop.blueprint import Blueprint, Layer
from abloop.errors import BlueprintError
from abloop.store.overview import Brief, read_briefs
from abloop.store.workspace import Workspace


class Overlap(msgspec.Struct, frozen=True):
    """Two running experiments and the units that are in both, as planned.

    Attributes:
        first: A strategy.
        second: Another one.
        share: Share of units that both randomise or personalise, in [0, 1]; conditions of target count as everybody.
        why: Why none are shared, or where more is to be known.
    """

    first: str
    second: str
    share: float
    why: str = ""


def check_neighbours(workspace: Workspace, blueprint: Blueprint) -> None:
    """Refuse an experiment that contradicts another one that is served: in its layer, or in a shared holdout.

    Raises:
        BlueprintError: With both strategies, what is allowed and the fix.
    """
    trial = blueprint.experiment
    if trial.layer is None and not trial.holdouts:
        return
    for name, other in running(workspace).items():
        if name == blueprint.strategy:
            continue
        layer, theirs = trial.layer, other.experiment.layer
        if layer and theirs and layer.name == theirs.name:
            _check_layer(blueprint, layer, other, theirs)
            _check_hidden(blueprint, other, "experiment.layer", f"layer {layer.name!r}")
        shares = {holdout.name: holdout.share for holdout in other.experiment.holdouts}
        for index, holdout in enumerate(trial.holdouts):
            if holdout.name in shares and blueprint.unit == other.unit:
                _check_hidden(blueprint, other, f"experiment.holdouts[{index}]", f"holdout {holdout.name!r}")
            if shares.get(holdout.name, holdout.share) != holdout.share:
                place = f"experiment.holdouts[{index}].share"
                raise BlueprintError(
                    f"{place} is {holdout.share:g}, but strategy {name!r} has {shares[holdout.name]:g} for holdout "
                    f"{holdout.name!r}; allowed: one share for one holdout",
                    place=place,
                )


def _check_layer(blueprint: Blueprint, layer: Layer, other: Blueprint, theirs: Layer) -> None:
    """Refuse parts of one layer that overlap, or that hash other things."""
    alike = (blueprint.unit, blueprint.experiment.hash) == (other.unit, other.experiment.hash)
    if not alike:
        raise BlueprintError(
            f"experiment.layer: strategy {other.strategy!r} in layer {layer.name!r} has unit {other.unit!r} and hash "
            f"{other.experiment.hash!r}, this one {blueprint.unit!r} and {blueprint.experiment.hash!r}; allowed: the "
            "same in a whole layer. Use another layer",
            place="experiment.layer",
        )
    if layer.low < theirs.high and theirs.low < layer.high:
        raise BlueprintError(
            f"experiment.layer has {layer.low:g} to {layer.high:g} of layer {layer.name!r}, but strategy "
            f"{other.strategy!r} has {theirs.low:g} to {theirs.high:g}; allowed: parts that do not overlap",
            place="experiment.layer",
        )


def _check_hidden(blueprint: Blueprint, other: Blueprint, place: str, shared: str) -> None:
    """Refuse to share units where one hashes them as they are and one by their pseudonyms: these are others."""
    mine, theirs = blueprint.unit in blueprint.pseudonymise, other.unit in other.pseudonymise
    if mine != theirs:
        here, there = ("pseudonyms", "units as they are") if mine else ("units as they are", "pseudonyms")
        raise BlueprintError(
            f"{place}: {shared} hashes {here}, but {there} in strategy {other.strategy!r}; allowed: the same in all "
            "that share it. Name the unit in pseudonymise of all or of none, or use another",
            place=place,
        )


def running(workspace: Workspace) -> dict[str, Blueprint]:
    """Return the served blueprint of each strategy that is not paused."""
    servings = workspace.catalogue.servings().values()
    return {
        serving.strategy: workspace.catalogue.blueprint(serving.strategy, serving.version)[1]
        for serving in servings
        if serving.phase != "paused"
    }


def overlap(workspace: Workspace) -> tuple[Overlap, ...]:
    """Return the planned overlap of all pairs of running experiments.

    Draws of traffic, holdouts and layers of different names are independent, so that shares multiply; parts of one
    layer are disjoint, and units of a shared holdout are in neither.

    Args:
        workspace: What `abloop.connect` gave.
    """
    found = running(workspace)
    names, now = list(found), workspace.clock()
    pairs = [(one, two) for index, one in enumerate(names) for two in names[index + 1 :]]
    return tuple(_overlap(found[one], found[two], now) for one, two in pairs)


def overlap_of(workspace: Workspace, strategy: str) -> tuple[Overlap, ...]:
    """Return the planned overlap of one strategy with each other running experiment, the greatest first.

    Args:
        workspace: What `abloop.connect` gave.
        strategy: Its name; comes first in each pair.

    Raises:
        UnknownNameError: There is no such strategy.
    """
    workspace.catalogue.serving(strategy)
    briefs, now = read_briefs(workspace), workspace.clock()
    off = {name for name, serving in workspace.catalogue.servings().items() if serving.phase == "paused"}
    pairs = [_overlap(briefs[strategy], brief, now) for name, brief in briefs.items() if name not in {strategy, *off}]
    return tuple(sorted(pairs, key=lambda pair: -pair.share))


def share(blueprint: Blueprint | Brief, now: float) -> float:
    """Return the planned share of units in an experiment at a time, holdouts left out, layer and traffic counted."""
    trial = blueprint.experiment
    begun = [step.traffic for step in trial.ramp if step.seconds() <= now]
    traffic = (begun[-1] if begun else 0.0) if trial.ramp else trial.traffic
    width = trial.layer.high - trial.layer.low if trial.layer else 1.0
    return traffic * width * (1.0 - trial.holdout)


def _overlap(one: Blueprint | Brief, two: Blueprint | Brief, now: float) -> Overlap:
    first, second = one.experiment, two.experiment
    if one.unit != two.unit:
        return Overlap(one.strategy, two.strategy, 0.0, f"units differ: {one.unit!r} and {two.unit!r}")
    if first.layer and second.layer and first.layer.name == second.layer.name:
        return Overlap(one.strategy, two.strategy, 0.0, f"exclude each other in layer {first.layer.name!r}")
    out = 1.0
    for holdout in {holdout.name: holdout for holdout in (*first.holdouts, *second.holdouts)}.values():
        out *= 1.0 - holdout.share
    aimed = [blueprint.strategy for blueprint in (one, two) if blueprint.experiment.target]
    why = f"at most: {' and '.join(map(repr, aimed))} aim at some units only" if aimed else ""
    return Overlap(one.strategy, two.strategy, share(one, now) * share(two, now) * out, why)
