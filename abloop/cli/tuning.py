"""The command that tunes policy weights, round by round."""

from __future__ import annotations

import argparse
import re
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING

import msgspec

from abloop.cli.terminal import Add, Progress, add_url, open_loop, show
from abloop.cli.tuned import (
    beside_text,
    beyond_text,
    expected_text,
    gone_text,
    point_text,
    state_text,
    trials_text,
    unmeasured_text,
)
from abloop.errors import DataError, MissingExtraError
from abloop.ids import user

if TYPE_CHECKING:
    from abloop.blueprint.tuning import Limit
    from abloop.loop import Loop
    from abloop.optimize.trials import Point, State

ACTIONS = {
    "propose": "serve new weights beside those that serve",
    "status": "say what runs, and what it waits for",
    "read": "end the round once its units are there (exit code 1 before)",
    "frontier": "the trade-offs that nothing beats, measured and expected",
    "pick": "serve one beside what serves, to confirm it",
}

OPTIONS = {
    "arms": ("propose",),
    "early": ("read",),
    "trial": ("pick",),
    "weights": ("pick",),
    "keep": ("frontier", "pick"),
    "least": ("frontier", "pick"),
    "most": ("frontier", "pick"),
    "why": ("propose", "pick"),
}


def add_tuning(add: Add) -> None:
    """Add the command."""
    tuned = add("tune", tune, "Tune a strategy's weights by A/B tests: propose, status, read, frontier, pick.")
    tuned.add_argument("strategy", help="its name")
    tuned.add_argument("action", choices=tuple(ACTIONS), help="; ".join(": ".join(each) for each in ACTIONS.items()))
    tuned.add_argument("--arms", type=int, default=0, help="of a proposal: how many (default: the blueprint's)")
    tuned.add_argument("--early", action="store_true", help="read a round although units are missing, or give it up")
    tuned.add_argument("--trial", type=int, default=None, help="of a pick: the trial to serve beside what serves")
    tuned.add_argument("--weights", default="", metavar="NAME=VALUE,...", help="of a pick: these weights instead")
    tuned.add_argument(
        "--keep", action="append", default=[], metavar="METRIC>=X%", help="choose the expected point that keeps this"
    )
    tuned.add_argument("--least", default="", metavar="METRIC", help="... and has the least of this")
    tuned.add_argument("--most", default="", metavar="METRIC", help="... or the most of this")
    tuned.add_argument("--why", default="", help="why")
    tuned.set_defaults(refuse=tuned.error, unset={name: tuned.get_default(name) for name in OPTIONS})
    add_url(tuned)


def tune(options: argparse.Namespace) -> int:
    """Run one action."""
    from abloop import tuning

    for option, actions in OPTIONS.items():
        if options.action not in actions and getattr(options, option) != options.unset[option]:
            options.refuse(f"--{option} belongs to {' and '.join(actions)}, not to {options.action}")
    name, who = options.strategy, user()
    with closing(open_loop(options)) as loop:
        if options.action == "frontier":
            return _frontier(options, loop)
        if options.action == "pick":
            return _pick(options, loop)
        if options.action == "propose":
            with Progress() as bar:
                bar_of = partial(bar, "proposing weights")
                state = tuning.propose(loop, name, count=options.arms, who=who, why=options.why, progress=bar_of)
        elif options.action == "read":
            state = _read(options, loop, who)
        else:
            state = tuning.status(loop, name)
        drifts, gone = tuning.drift(loop, name), tuning.left_out(loop, name)
        ready, needed = tuning.ready(loop, name)
        beside = beside_text(state, loop.comparisons.current().get(name))
    more = {"drift": msgspec.to_builtins(drifts), "left_out": gone, "ready": ready, "needed": needed}
    lines = [state_text(state, ready, needed), *beside, *(each.words for each in drifts), *gone_text(gone)]
    show(options, {**msgspec.to_builtins(state), **more}, lambda: "\n".join(lines))
    return 0


def _read(options: argparse.Namespace, loop: Loop, who: str) -> State:
    """Read the round that runs; refuse while its units are missing."""
    from abloop import tuning

    state = tuning.read(loop, options.strategy, early=options.early, who=who)
    if state.open is not None:
        ready, needed = tuning.ready(loop, options.strategy)
        raise DataError(
            f"round {state.open.number} of {options.strategy!r} has too few units with complete outcomes: {ready:,} of "
            f"the {needed:,} that each arm needs. Wait, or read it with --early"
        )
    return state


def _frontier(options: argparse.Namespace, loop: Loop) -> int:
    """Show what was measured and what is expected, or the expected point that is wanted."""
    from abloop import tuning

    name = options.strategy
    if options.keep or options.least or options.most:
        point = _wanted(options, loop)
        show(options, {"strategy": name, "point": msgspec.to_builtins(point)}, lambda: point_text(point, name))
        return 0
    state, trials, missing = tuning.today(loop, name), tuning.best(loop, name), ""
    points: tuple[Point, ...] = ()
    trusted: dict[str, float] = {}
    try:
        points, trusted = tuning.outlook(loop, name)
        missing = "" if points else "no weights are expected to keep the limits; widen tuning.limits, or the ranges"
    except (DataError, MissingExtraError) as error:
        missing = str(error)
    volumes, gone = tuning.volumes(loop, name), tuning.left_out(loop, name)
    data = {
        "trials": trials,
        "expected": points,
        "volumes": volumes,
        "missing": missing,
        "left_out": gone,
        "trusted": trusted,
    }
    measured = f"Measured, beaten by none:\n{trials_text(trials, 'what serves')}"
    foreseen = f"Expected, beaten by none:\n{expected_text(points)}" if points else f"Nothing is expected: {missing}"
    text = [measured if trials else f"Nothing is measured: {unmeasured_text(state)}", *beyond_text(state, trials, loop)]
    text += [f"\n{foreseen}", *([f"\n{tuning.believed(trusted)}"] if trusted else [])]
    if any(volumes):
        text.append(f"\nHypervolume, round by round: {', '.join(f'{each:.4g}' for each in volumes)}")
    show(options, {"strategy": name, **msgspec.to_builtins(data)}, lambda: "\n".join([*text, *gone_text(gone)]))
    return 0


def _pick(options: argparse.Namespace, loop: Loop) -> int:
    """Serve what was chosen beside what serves."""
    from abloop import tuning

    asked = bool(options.keep or options.least or options.most)
    if (options.trial is not None) + bool(options.weights) + asked != 1 or not options.why:
        raise DataError(
            "name what to serve, in one way, and why: --trial NUMBER (or --weights, or --keep and --least) --why TEXT"
        )
    choice: int | Point | dict[str, float] = options.trial
    if options.weights:
        choice = parse_weights(options.weights)
    elif asked:
        choice = _wanted(options, loop)
    begun = tuning.pick(loop, options.strategy, choice, who=user(), why=options.why)
    name, version = options.strategy, begun.entries[1].version
    what = f"version {version}" + (f" (trial {choice})" if isinstance(choice, int) else "")
    said = (
        f"{name} compares {what} with what serves. Read it: abloop compare {name}\n"
        f"If it holds, serve it: abloop compare {name} --stop, then abloop rollback {name} {version} --why TEXT"
    )
    show(options, msgspec.to_builtins(begun), lambda: said)
    return 0


def _wanted(options: argparse.Namespace, loop: Loop) -> Point:
    """Return the expected point that the options ask for."""
    from abloop import tuning
    from abloop.blueprint.tuning import Objective

    if bool(options.least) == bool(options.most):
        raise DataError("say what it is to be best at, once: --least METRIC or --most METRIC")
    goal = Objective(metric=options.least or options.most, better="lower" if options.least else "higher")
    return tuning.choose(loop, options.strategy, [parse_limit(text) for text in options.keep], goal)


def parse_limit(text: str) -> Limit:
    """Return a limit as it is typed.

    Raises:
        DataError: It is none.

    Example:
        >>> parse_limit("orders>=-1%")
        Limit(metric='orders', most=None, least=-0.01)
    """
    from abloop.blueprint.tuning import Limit

    found = re.fullmatch(r"\s*(.+?)\s*(<=|>=)\s*([-+]?(?:\d+\.?\d*|\.\d+))\s*(%?)\s*", text)
    if found is None:
        raise DataError(f"--keep {text!r}; allowed: METRIC>=X% or METRIC<=X%, e.g. 'orders>=-1%'")
    bound = float(found[3]) / (100.0 if found[4] else 1.0)
    return Limit(metric=found[1], most=bound) if found[2] == "<=" else Limit(metric=found[1], least=bound)


def parse_weights(text: str) -> dict[str, float]:
    """Return weights as they are typed.

    Raises:
        DataError: They are none.

    Example:
        >>> parse_weights("a=1, b=0.5")
        {'a': 1.0, 'b': 0.5}
    """
    found: dict[str, float] = {}
    for part in text.split(","):
        name, _, value = (each.strip() for each in part.partition("="))
        if not name or name in found:
            raise DataError(f"--weights {text!r}; allowed: NAME=VALUE,..., each once, e.g. fresh=0.4,price=1")
        try:
            found[name] = float(value)
        except ValueError as error:
            message = f"--weights: {name!r} is {value!r}; allowed: NAME=VALUE,... with numbers, e.g. fresh=0.4,price=1"
            raise DataError(message) from error
    return found
