"""The `abloop` command. Exit codes: 0 done, 1 refused (with one sentence), 2 wrong usage.

Every command takes `--json` and then prints one object; NaN becomes null.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from abloop.errors import AbloopError, DataError, MissingExtraError, StoreError
from abloop.ids import user

if TYPE_CHECKING:
    from abloop.loop import Loop

DEFAULT_URL = "sqlite:///abloop.db"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        arguments: Command line without the program's name; `sys.argv` where None.

    Returns:
        The exit code.
    """
    options = _parser().parse_args(arguments)
    command: Callable[[argparse.Namespace], int] = options.command
    try:
        return command(options)
    except AbloopError as error:
        print(f"abloop: {error}", file=sys.stderr)
    except ModuleNotFoundError as error:
        print(f"abloop: package {error.name!r} is not installed: pip install 'abloop[all]'", file=sys.stderr)
    except BrokenPipeError:
        sys.stderr.close()
    return 1


def _parser() -> argparse.ArgumentParser:
    """Return the grammar of the command line."""
    parser = argparse.ArgumentParser(prog="abloop", description="From an A/B test to a personalised product.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(name: str, command: Callable[[argparse.Namespace], int], text: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=text, description=text)
        sub.set_defaults(command=command)
        sub.add_argument("--json", action="store_true", help="print one JSON object")
        return sub

    demo = add("demo", _demo, "Run the whole loop on a randomised trial: learn from its first part, replay the rest.")
    demo.add_argument("--trial", default="thornton", help="thornton (default), hillstrom, starbucks or simulated")
    demo.add_argument("--data", type=Path, default=None, help="the trial's CSV file, or the folder it is in")
    demo.add_argument("--history", type=float, default=0.6, help="share of the rows to learn from (default: 0.6)")
    demo.add_argument("--metric", default="", help="hillstrom: spend (default), visit or conversion")
    demo.add_argument("--arms", default="", help="hillstrom: arms to keep, control first, separated by commas")
    demo.add_argument("--seed", type=int, default=0, help="simulated: seed of the world (default: 0)")
    demo.add_argument("--url", default="", help="database to leave the strategy in (default: a temporary one)")
    apply = add("apply", _apply, "Register a blueprint file; a changed one becomes a new version.")
    apply.add_argument("file", help="YAML or JSON file")
    apply.add_argument("--why", default="", help="why it changes")
    _add_url(apply)
    for name, command, text in (
        ("readout", _readout, "Print a strategy's readout: every metric, arm by arm, with intervals."),
        ("cycle", _cycle, "Turn the cold path once: ship, join, learn, ask the gate, switch if proven."),
        ("withdraw", _withdraw, "Stop serving a strategy's release at once: every unit is randomised again."),
    ):
        sub = add(name, command, text)
        sub.add_argument("strategy", help="its name")
        _add_url(sub)
        if command is _withdraw:
            sub.add_argument("--why", required=True, help="why it is withdrawn")
    add("schema", _schema, "Print the JSON Schema of blueprints, for editors.")
    history = add("history", _history, "Print a strategy's versions: who, when, why, and what changed.")
    history.add_argument("strategy", help="its name")
    _add_url(history)
    _add_questions(add)
    rollback = add("rollback", _rollback, "Serve an earlier version again.")
    rollback.add_argument("strategy", help="its name")
    rollback.add_argument("version", type=int, help="the version to serve")
    rollback.add_argument("--why", required=True, help="why it goes back")
    _add_url(rollback)
    serve = add("serve", _serve, "Serve the dashboard.")
    serve.add_argument("--host", default="127.0.0.1", help="address to listen on (default: 127.0.0.1)")
    serve.add_argument("--port", type=int, default=8765, help="port (default: 8765)")
    _add_url(serve)
    return parser


def _add_questions(add: Callable[..., argparse.ArgumentParser]) -> None:
    """Add the commands that compare versions and explain decisions."""
    compare = add("compare", _compare, "Let versions decide side by side, or print how they do.")
    compare.add_argument("strategy", help="its name")
    compare.add_argument("versions", type=int, nargs="*", help="two or more versions; none prints the readout")
    compare.add_argument("--shares", default="", help="share of units of each, separated by commas (default: equal)")
    compare.add_argument("--stop", action="store_true", help="end the comparison")
    compare.add_argument("--why", default="", help="why")
    _add_url(compare)
    explain = add("explain", _explain, "Print why a decision was what it was.")
    explain.add_argument("decision_id", help="its id")
    explain.add_argument("--strategy", default="", help="needed only where several have a decision of this id")
    _add_url(explain)


def _add_url(sub: argparse.ArgumentParser) -> None:
    """Add the options that say where an installation is."""
    sub.add_argument("--url", default=DEFAULT_URL, help=f"database (default: {DEFAULT_URL})")
    sub.add_argument("--directory", default=None, help="where spool and tables are (default: beside the database)")


def _demo(options: argparse.Namespace) -> int:
    from abloop.report import replay_text
    from abloop.simulate.replay import run
    from abloop.simulate.trials import load_trial

    arms = tuple(arm.strip() for arm in options.arms.split(",") if arm.strip())
    trial = load_trial(options.trial, options.data, metric=options.metric, arms=arms, seed=options.seed)
    with Progress() as progress:
        replay = run(trial, history=options.history, url=options.url, progress=progress)
    _print(options, replay.to_dict(), lambda: replay_text(replay))
    return 0


def _apply(options: argparse.Namespace) -> int:
    from abloop.blueprint import load

    blueprint = load(options.file)
    with closing(_open(options)) as loop:
        version = loop.register(blueprint, why=options.why)
        served = loop.catalogue.serving(blueprint.strategy).version
    data = {"strategy": blueprint.strategy, "version": version, "served": served}
    known = f"{blueprint.strategy} knows this as version {version}, and serves version {served}. To go back to it: "
    known += f"abloop rollback {blueprint.strategy} {version} --why ..."
    _print(options, data, lambda: f"{blueprint.strategy} serves version {version}." if served == version else known)
    return 0


def _readout(options: argparse.Namespace) -> int:
    from abloop.readout import readout
    from abloop.report import readout_text

    with closing(_open(options)) as loop:
        result = readout(loop, options.strategy)
    _print(options, result.to_dict(), lambda: readout_text(result))
    return 0


def _cycle(options: argparse.Namespace) -> int:
    from abloop import offline
    from abloop.report import cycle_text

    with closing(_open(options)) as loop:
        result = offline.cycle(loop, options.strategy)
    _print(options, msgspec.to_builtins(result), lambda: cycle_text(result))
    return 0


def _withdraw(options: argparse.Namespace) -> int:
    from abloop.rollout.promote import withdraw

    with closing(_open(options)) as loop:
        serving = withdraw(loop, loop.catalogue.serving(options.strategy), who=user(), why=options.why)
    text = f"{serving.strategy} {'is randomised' if serving.phase == 'randomise' else 'gives its default'} again."
    _print(options, msgspec.to_builtins(serving), lambda: text)
    return 0


def _schema(options: argparse.Namespace) -> int:
    from abloop.blueprint.schema import json_schema

    del options
    print(msgspec.json.format(msgspec.json.encode(json_schema()), indent=2).decode())
    return 0


def _history(options: argparse.Namespace) -> int:
    from abloop.report import versions_text
    from abloop.rollout.versions import versions

    with closing(_open(options)) as loop:
        found = versions(loop, options.strategy)
    _print(options, {"versions": msgspec.to_builtins(found)}, lambda: versions_text(found))
    return 0


def _compare(options: argparse.Namespace) -> int:
    from abloop.compare import compare, read_comparison, stop_comparing
    from abloop.report import comparison_text

    with closing(_open(options)) as loop:
        if options.versions:
            shares = _numbers(options.shares) or None
            begun = compare(loop, options.strategy, options.versions, shares=shares, who=user(), why=options.why)
            named = ", ".join(f"{entry.version} ({entry.share:.0%}, {entry.phase})" for entry in begun.entries)
            _print(options, msgspec.to_builtins(begun), lambda: f"{options.strategy} compares versions {named}.")
            return 0
        if options.stop:
            stop_comparing(loop, options.strategy, who=user(), why=options.why)
            _print(options, {"strategy": options.strategy}, lambda: f"{options.strategy} compares nothing any more.")
            return 0
        result = read_comparison(loop, options.strategy)
    _print(options, result.to_dict(), lambda: comparison_text(result))
    return 0


def _numbers(text: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",") if part.strip()]
    except ValueError as error:
        raise DataError(f"--shares is {text!r}; allowed: numbers separated by commas, e.g. 0.5,0.5") from error


def _explain(options: argparse.Namespace) -> int:
    from abloop.explanation import explain
    from abloop.report import explanation_text

    with closing(_open(options)) as loop:
        result = explain(loop, options.decision_id, options.strategy)
    _print(options, result.to_dict(), lambda: explanation_text(result))
    return 0


def _rollback(options: argparse.Namespace) -> int:
    from abloop.rollout.versions import rollback

    with closing(_open(options)) as loop:
        serving = rollback(loop, options.strategy, options.version, who=user(), why=options.why)
    text = f"{serving.strategy} serves version {serving.version}, phase {serving.phase}."
    _print(options, msgspec.to_builtins(serving), lambda: text)
    return 0


def _serve(options: argparse.Namespace) -> int:
    try:
        import server
    except ModuleNotFoundError as error:
        raise MissingExtraError("the dashboard needs its packages: pip install 'abloop[server]'") from error
    server.run(options.url, options.directory, options.host, options.port)
    return 0


def _open(options: argparse.Namespace) -> Loop:
    from abloop.loop import Loop
    from abloop.store.sql import sqlite_file

    file = sqlite_file(options.url)
    if file is not None and options.command is not _apply and not file.exists():
        raise StoreError(
            f"database {file} is not there. Name yours with --url, or register a blueprint: abloop apply FILE"
        )
    return Loop(options.url, options.directory)


def _print(options: argparse.Namespace, data: dict[str, Any], text: Callable[[], str]) -> None:
    """Print the object or the text; msgspec writes numbers that could not be estimated as null."""
    print(msgspec.json.format(msgspec.json.encode(data), indent=2).decode() if options.json else text())


class Progress:
    """A bar on standard error for each step, where that is a terminal."""

    def __init__(self) -> None:
        """Open none yet."""
        self._bar: Any = None
        self._step = ""

    def __call__(self, step: str, done: int, total: int) -> None:
        """Show that `done` of `total` parts of a step are done."""
        if not sys.stderr.isatty():
            return
        if step != self._step:
            from tqdm import tqdm

            self.__exit__()
            self._bar, self._step = tqdm(total=total, desc=step, leave=False), step
        self._bar.update(done - self._bar.n)

    def __enter__(self) -> Progress:
        """Begin."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the bar that is open."""
        if self._bar is not None:
            self._bar.close()
