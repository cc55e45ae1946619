"""The command that tunes policy weights, round by round."""

from __future__ import annotations

import argparse
from contextlib import closing
from typing import TYPE_CHECKING

import msgspec

from abloop.cli.terminal import Add, add_url, open_loop, show
from abloop.errors import DataError
from abloop.ids import user

if TYPE_CHECKING:
    from collections.abc import Sequence

    from abloop.optimize.trials import State, Trial

ACTIONS = ("propose", "status", "read", "frontier", "pick")


def add_tuning(add: Add) -> None:
    """Add the command."""
    tuned = add("tune", tune, "Tune a strategy's weights by A/B tests: propose, status, read, frontier, pick.")
    tuned.add_argument("strategy", help="its name")
    tuned.add_argument("action", choices=ACTIONS, help="what to do")
    tuned.add_argument("--arms", type=int, default=0, help="of a proposal: how many (default: the blueprint's)")
    tuned.add_argument("--early", action="store_true", help="read a round although units are missing")
    tuned.add_argument("--trial", type=int, default=None, help="of a pick: the trial to serve beside what serves")
    tuned.add_argument("--why", default="", help="why")
    add_url(tuned)


def tune(options: argparse.Namespace) -> int:
    """Run one action."""
    from abloop import tuning

    name, who = options.strategy, user()
    with closing(open_loop(options)) as loop:
        if options.action == "frontier":
            trials = tuning.best(loop, name)
            show(options, {"strategy": name, "trials": msgspec.to_builtins(trials)}, lambda: _table(trials))
            return 0
        if options.action == "pick":
            if options.trial is None or not options.why:
                raise DataError("name what to serve, and why: --trial NUMBER --why TEXT")
            begun = tuning.pick(loop, name, options.trial, who=who, why=options.why)
            said = f"{name} compares trial {options.trial} with what serves: abloop compare {name}"
            show(options, msgspec.to_builtins(begun), lambda: said)
            return 0
        if options.action == "propose":
            state = tuning.propose(loop, name, count=options.arms, who=who, why=options.why)
        elif options.action == "read":
            state = tuning.read(loop, name, early=options.early, who=who)
        else:
            state = tuning.status(loop, name)
    show(options, msgspec.to_builtins(state), lambda: _words(state))
    return 0


def _words(state: State) -> str:
    """Return a state as text."""
    if not state.rounds:
        return f"{state.strategy} was never tuned. Begin: abloop tune {state.strategy} propose"
    last = state.rounds[-1]
    said = {
        "proposed": f"Round {last.number} is proposed and not begun: abloop tune {state.strategy} propose",
        "running": f"Round {last.number} runs: abloop tune {state.strategy} read, once its units are there",
        "read": f"Round {last.number} is read: abloop tune {state.strategy} frontier, or propose the next",
        "marked": f"Round {last.number} says nothing: {last.reason}. Propose the next",
    }[last.status]
    return f"{said}.\n\n{_table(state.of(last.number))}"


def _table(trials: Sequence[Trial]) -> str:
    """Return trials with their weights and what they changed."""
    from abloop.readout.text import table

    rows = []
    for trial in trials:
        weights = ", ".join(f"{name} {value:.4g}" for name, value in trial.weights.items())
        changes = ", ".join(
            f"{metric} {lift.mean:+.1%} ({lift.mean - 1.96 * lift.error:+.1%} to {lift.mean + 1.96 * lift.error:+.1%})"
            for metric, lift in trial.lifts.items()
        )
        rows.append([str(trial.number), f"{trial.units:,}", weights, changes or trial.reason or trial.status])
    return table(["trial", "units", "weights", "change against what serves (95 %)"], rows)
