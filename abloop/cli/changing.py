"""The commands that change what is served."""

from __future__ import annotations

import argparse
from contextlib import closing
from typing import TYPE_CHECKING

import msgspec

from abloop.cli.terminal import Add, add_url, open_loop, show
from abloop.errors import DataError
from abloop.ids import user

if TYPE_CHECKING:
    from abloop.loop import Loop
    from abloop.offline import Judged


def add_changing(add: Add) -> None:
    """Add the commands."""
    applied = add("apply", apply, "Register a blueprint file; a changed one becomes a new version.")
    applied.add_argument("file", help="YAML or JSON file")
    applied.add_argument("--why", default="", help="why it changes")
    add_url(applied)
    turned = add("cycle", cycle, "Turn the cold path once: ship, join, learn, ask the gate, switch if proven.")
    turned.add_argument("strategy", help="its name")
    add_url(turned)
    for name, command, text in (
        ("withdraw", withdraw, "Stop serving a strategy's release at once: every unit is randomised again."),
        ("pause", pause, "Give every unit control from now on."),
        ("resume", resume, "Serve a paused strategy again."),
        ("rollback", rollback, "Serve an earlier version again."),
    ):
        sub = add(name, command, text)
        sub.add_argument("strategy", help="its name")
        if command is rollback:
            sub.add_argument("version", type=int, help="the version to serve")
        sub.add_argument("--why", required=True, help="why")
        add_url(sub)
    compared = add("compare", compare, "Let versions decide side by side, or print how they do.")
    compared.add_argument("strategy", help="its name")
    compared.add_argument("versions", type=int, nargs="*", help="two or more versions; none prints the readout")
    compared.add_argument("--shares", default="", help="share of units of each, separated by commas (default: equal)")
    compared.add_argument("--stop", action="store_true", help="end the comparison")
    compared.add_argument("--why", default="", help="why")
    add_url(compared)


def apply(options: argparse.Namespace) -> int:
    """Register a blueprint file."""
    from abloop.blueprint import load

    blueprint = load(options.file)
    with closing(open_loop(options)) as loop:
        version = loop.register(blueprint, why=options.why)
        served = loop.catalogue.serving(blueprint.strategy).version
    data = {"strategy": blueprint.strategy, "version": version, "served": served}
    known = f"{blueprint.strategy} knows this as version {version}, and serves version {served}. To go back to it: "
    known += f"abloop rollback {blueprint.strategy} {version} --why ..."
    show(options, data, lambda: f"{blueprint.strategy} serves version {version}." if served == version else known)
    return 0


def cycle(options: argparse.Namespace) -> int:
    """Turn the cold path once."""
    from abloop import offline
    from abloop.report import cycle_text

    with closing(open_loop(options)) as loop:
        result = offline.cycle(loop, options.strategy, told=lambda judged: _explain(loop, judged))
    show(options, msgspec.to_builtins(result), lambda: cycle_text(result))
    return 0


def _explain(loop: Loop, judged: Judged) -> None:
    """Keep for whom each arm works, for the dashboard."""
    if judged.learned is not None:
        from abloop.hte.kept import keep
        from abloop.hte.strategy import explain

        keep(loop, explain(*judged.learned, judged.verdict), who="cycle")


def withdraw(options: argparse.Namespace) -> int:
    """Stop serving a release."""
    from abloop.rollout.promote import withdraw as stop

    with closing(open_loop(options)) as loop:
        serving = stop(loop, loop.catalogue.serving(options.strategy), who=user(), why=options.why)
    text = f"{serving.strategy} {'is randomised' if serving.phase == 'randomise' else 'gives its default'} again."
    show(options, msgspec.to_builtins(serving), lambda: text)
    return 0


def rollback(options: argparse.Namespace) -> int:
    """Serve an earlier version again."""
    from abloop.rollout.versions import rollback as go_back

    with closing(open_loop(options)) as loop:
        serving = go_back(loop, options.strategy, options.version, who=user(), why=options.why)
    text = f"{serving.strategy} serves version {serving.version}, phase {serving.phase}."
    show(options, msgspec.to_builtins(serving), lambda: text)
    return 0


def compare(options: argparse.Namespace) -> int:
    """Begin, end or print a comparison of versions."""
    from abloop.compare import check_no_round, read_comparison, stop_comparing
    from abloop.compare import compare as begin
    from abloop.report import comparison_text

    with closing(open_loop(options)) as loop:
        if options.versions or options.stop:
            check_no_round(loop, options.strategy)
        if options.versions:
            shares = _numbers(options.shares) or None
            begun = begin(loop, options.strategy, options.versions, shares=shares, who=user(), why=options.why)
            named = ", ".join(f"{entry.version} ({entry.share:.0%}, {entry.phase})" for entry in begun.entries)
            show(options, msgspec.to_builtins(begun), lambda: f"{options.strategy} compares versions {named}.")
            return 0
        if options.stop:
            stop_comparing(loop, options.strategy, who=user(), why=options.why)
            show(options, {"strategy": options.strategy}, lambda: f"{options.strategy} compares nothing any more.")
            return 0
        result = read_comparison(loop, options.strategy)
    show(options, result.to_dict(), lambda: comparison_text(result))
    return 0


def _numbers(text: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",") if part.strip()]
    except ValueError as error:
        raise DataError(f"--shares is {text!r}; allowed: numbers separated by commas, e.g. 0.5,0.5") from error


def pause(options: argparse.Namespace) -> int:
    """Give every unit control from now on."""
    from abloop.rollout.pause import pause as stop

    with closing(open_loop(options)) as loop:
        serving = stop(loop, options.strategy, who=user(), why=options.why)
    show(options, msgspec.to_builtins(serving), lambda: f"{serving.strategy} is paused: every unit gets control.")
    return 0


def resume(options: argparse.Namespace) -> int:
    """Serve a paused strategy again."""
    from abloop.rollout.pause import resume as go_on

    with closing(open_loop(options)) as loop:
        serving = go_on(loop, options.strategy, who=user(), why=options.why)
    text = f"{serving.strategy} serves version {serving.version}, phase {serving.phase}."
    show(options, msgspec.to_builtins(serving), lambda: text)
    return 0
