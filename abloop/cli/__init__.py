"""The `abloop` command. Exit codes: 0 done, 1 refused (with one sentence), 2 wrong usage.

Every command takes `--json` and then prints one object; NaN becomes null.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from abloop.cli.changing import add_changing
from abloop.cli.importing import add_importing
from abloop.cli.keeping import add_keeping
from abloop.cli.predicting import add_predicting
from abloop.cli.reading import add_reading
from abloop.cli.serving import add_serving
from abloop.cli.storing import add_storing
from abloop.cli.terminal import Command, Progress, show
from abloop.cli.tuning import add_tuning
from abloop.errors import AbloopError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        arguments: Command line without the program's name; `sys.argv` where None.

    Returns:
        The exit code.
    """
    options = _parser().parse_args(arguments)
    command: Command = options.command
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

    def add(name: str, command: Command, text: str) -> argparse.ArgumentParser:
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
    add_changing(add)
    add_reading(add)
    add_predicting(add)
    add_importing(add)
    add_storing(add)
    add_keeping(add)
    add_tuning(add)
    add_serving(add)
    return parser


def _demo(options: argparse.Namespace) -> int:
    from abloop.report import replay_text
    from abloop.simulate.replay import run
    from abloop.simulate.trials import load_trial

    arms = tuple(arm.strip() for arm in options.arms.split(",") if arm.strip())
    trial = load_trial(options.trial, options.data, metric=options.metric, arms=arms, seed=options.seed)
    with Progress() as progress:
        replay = run(trial, history=options.history, url=options.url, progress=progress)
    show(options, replay.to_dict(), lambda: replay_text(replay))
    return 0
