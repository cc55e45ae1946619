"""What must hold within the experiment section of a blueprint."""

from __future__ import annotations

import math
from itertools import pairwise

from abloop import validate
from abloop.blueprint.spec import Blueprint
from abloop.blueprint.target import compile_target
from abloop.errors import BlueprintError, unknown


def check_experiment(blueprint: Blueprint) -> None:
    """Check shares, layer, holdouts, ramp, forced arms and target.

    Raises:
        BlueprintError: With path, value, what is allowed and the fix.
    """
    trial = blueprint.experiment
    validate.in_range("experiment.holdout", trial.holdout, 0, 0.5)
    validate.in_range("experiment.explore", trial.explore, 0.01, 1)
    validate.in_range("experiment.traffic", trial.traffic, 0, 1)
    for index, holdout in enumerate(trial.holdouts):
        validate.text(f"experiment.holdouts[{index}].name", holdout.name)
        validate.in_range(f"experiment.holdouts[{index}].share", holdout.share, 0, 0.5, open_low=True)
    validate.distinct("experiment.holdouts", [holdout.name for holdout in trial.holdouts])
    if trial.layer is not None:
        validate.text("experiment.layer.name", trial.layer.name)
        validate.in_range("experiment.layer.low", trial.layer.low, 0, 1, open_high=True)
        validate.in_range("experiment.layer.high", trial.layer.high, trial.layer.low, 1, open_low=True)
    _check_ramp(blueprint)
    _check_force(blueprint)
    if trial.hash != "xxh3" and not blueprint.is_choice:
        message = f"experiment.hash is {trial.hash!r}, but the space has no arms; remove it"
        raise BlueprintError(message, place="experiment.hash")
    if trial.sticky and not blueprint.is_choice:
        raise BlueprintError("experiment.sticky: the space has no arms to keep; remove it", place="experiment.sticky")
    for name, value in (("margin", trial.margin), ("calm", trial.calm)):
        validate.in_range(f"experiment.{name}", value, 0, math.inf, open_high=True)
        if value and (not blueprint.is_choice or blueprint.policy.formula):
            message = f"experiment.{name} goes with the choice of the best arm; remove it, or use policy.formula alone"
            raise BlueprintError(message, place=f"experiment.{name}")
    if trial.calm and trial.sticky:
        message = "experiment.calm keeps the policy's arms, experiment.sticky those that were drawn; remove one"
        raise BlueprintError(message, place="experiment.calm")
    validate.in_range("experiment.redraw", trial.redraw, 0, 366 * 86_400)
    if trial.redraw and (trial.sticky or trial.calm or trial.hash != "xxh3"):
        message = "experiment.redraw draws arms anew, and sticky, calm or another hash keeps them; remove one"
        raise BlueprintError(message, place="experiment.redraw")
    compile_target(blueprint)


def _check_ramp(blueprint: Blueprint) -> None:
    """Check that a ramp rises with time, and that nothing else gives the traffic."""
    ramp, times = blueprint.experiment.ramp, []
    if ramp and blueprint.experiment.traffic != 1.0:
        message = f"experiment.traffic is {blueprint.experiment.traffic:g}, but experiment.ramp gives it; remove one"
        raise BlueprintError(message, place="experiment.traffic")
    for index, step in enumerate(ramp):
        path = f"experiment.ramp[{index}]"
        validate.in_range(f"{path}.traffic", step.traffic, 0, 1)
        try:
            times.append(step.seconds())
        except ValueError as error:
            message = (
                f"{path}.at is {step.at!r}; allowed: a date or time, e.g. '2026-12-01' or '2026-12-01T08:00+02:00'"
            )
            raise BlueprintError(message, place=f"{path}.at") from error
    for index, (before, after) in enumerate(pairwise(ramp), 1):
        if times[index] <= times[index - 1] or after.traffic <= before.traffic:
            message = (
                f"experiment.ramp[{index}] does not rise: {before.at} {before.traffic:g}, {after.at} {after.traffic:g}"
            )
            raise BlueprintError(f"{message}; allowed: rising times and traffic", place=f"experiment.ramp[{index}]")


def _check_force(blueprint: Blueprint) -> None:
    """Check that forced arms exist."""
    names = [arm.name for arm in blueprint.ordered_arms()]
    for unit, arm in blueprint.experiment.force.items():
        place = f"experiment.force.{unit}"
        if arm not in names:
            raise BlueprintError(unknown(f"arm in {place}:", arm, names), place=place)
