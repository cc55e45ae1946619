"""The commands that look: readout, drift, hte, history, explain, interleave, overlap, schema."""

from __future__ import annotations

import argparse
import math
from contextlib import closing

import msgspec

from abloop.cli.terminal import Add, Progress, add_url, open_loop, show
from abloop.ids import user


def add_reading(add: Add) -> None:
    """Add the commands."""
    for name, command, text in (
        ("readout", readout, "Print a strategy's readout: every metric, arm by arm, with intervals."),
        ("drift", drift, "Print whether features and metrics are still what the model learned from."),
        ("history", history, "Print a strategy's versions: who, when, why, and what changed."),
    ):
        sub = add(name, command, text)
        sub.add_argument("strategy", help="its name")
        if command is readout:
            sub.add_argument("--sequential", action="store_true", help="intervals that hold however often you look")
        add_url(sub)
    explained = add("explain", explain, "Print why a decision was what it was.")
    explained.add_argument("decision_id", help="its id")
    explained.add_argument("--strategy", default="", help="needed only where several have a decision of this id")
    add_url(explained)
    effects = add("hte", hte, "Print for whom each arm of a strategy works: a tree, segments, what matters, in words.")
    effects.add_argument("strategy", help="its name")
    effects.add_argument("--keep", action="store_true", help="keep the report for the dashboard")
    add_url(effects)
    planned = add("power", power, "Say how many units and days a test needs before it begins.")
    planned.add_argument("--mean", type=float, required=True, help="of the metric now; a rate is a mean of 0 and 1")
    planned.add_argument("--sd", type=float, default=0.0, help="of its values; that of a rate where left out")
    planned.add_argument("--lift", type=float, default=0.05, help="relative lift that matters (default: 0.05)")
    planned.add_argument("--per-day", type=float, default=0.0, help="new units a day, both arms")
    planned.add_argument("--share", type=float, default=0.5, help="of the treatment, of the units (default: 0.5)")
    planned.add_argument("--power", type=float, default=0.8, help="chance to find it (default: 0.8)")
    planned.add_argument(
        "--inference", choices=["fixed", "sequential", "group"], default="fixed", help="how it is read"
    )
    turns = add("interleave", interleave, "Print which of two rankers that took turns got more.")
    turns.add_argument("strategy", help="its name")
    turns.add_argument("--metric", default="", help="what is counted; the first goal where left out")
    add_url(turns)
    add_url(add("overlap", overlap, "Print which running experiments share units."))
    add("schema", schema, "Print the JSON Schema of blueprints, for editors.")


def readout(options: argparse.Namespace) -> int:
    """Print a readout."""
    from abloop.readout import readout as read
    from abloop.readout.text import readout_text

    with closing(open_loop(options)) as loop:
        reading = None
        if options.sequential:
            _, blueprint = loop.catalogue.blueprint(options.strategy, loop.catalogue.serving(options.strategy).version)
            reading = msgspec.structs.replace(blueprint.readout, inference="sequential")
        result = read(loop, options.strategy, reading=reading)
    show(options, result.to_dict(), lambda: readout_text(result))
    return 0


def drift(options: argparse.Namespace) -> int:
    """Print how features and metrics moved."""
    from abloop.readout.drift import drift_text, read_drift

    with closing(open_loop(options)) as loop:
        found = read_drift(loop, options.strategy)
    show(options, found.to_dict(), lambda: drift_text(found))
    return 0


def power(options: argparse.Namespace) -> int:
    """Print what a test needs."""
    from abloop.errors import DataError
    from abloop.stats.power import Design, Kind, planned_variance, required_units

    sd = options.sd or (options.mean * (1.0 - options.mean) if 0 < options.mean < 1 else -1.0) ** 0.5
    if not isinstance(sd, float) or not options.mean:
        raise DataError(f"--mean is {options.mean:g}; allowed without --sd: a rate between 0 and 1. Give its --sd")
    kinds: dict[str, Kind] = {"fixed": "fixed", "sequential": "always_valid", "group": "group_sequential"}
    design = Design(kinds[options.inference], target=options.power)
    units = required_units(abs(options.lift * options.mean), planned_variance(sd**2, sd**2, options.share), design)
    needed = math.ceil(units)
    days = math.ceil(needed / options.per_day) if options.per_day > 0 else None
    took = f", {days:,} days" if days is not None else ""
    text = f"{needed:,} units in both arms{took}: a lift of {options.lift:+.1%} is then found with {options.power:.0%}."
    show(options, {"units": needed, "days": days}, lambda: text)
    return 0


def history(options: argparse.Namespace) -> int:
    """Print the versions of a strategy."""
    from abloop.report import versions_text
    from abloop.rollout.versions import versions

    with closing(open_loop(options)) as loop:
        found = versions(loop, options.strategy)
    show(options, {"versions": msgspec.to_builtins(found)}, lambda: versions_text(found))
    return 0


def explain(options: argparse.Namespace) -> int:
    """Print why a decision was what it was."""
    from abloop.explanation import explain as find
    from abloop.report import explanation_text

    with closing(open_loop(options)) as loop:
        result = find(loop, options.decision_id, options.strategy)
    show(options, result.to_dict(), lambda: explanation_text(result))
    return 0


def hte(options: argparse.Namespace) -> int:
    """Print for whom each arm works."""
    from abloop.hte.kept import keep
    from abloop.hte.strategy import report
    from abloop.hte.words import report_text

    with closing(open_loop(options)) as loop, Progress() as progress:
        result = report(loop, options.strategy, progress=lambda done, total: progress("learn", done, total))
        if options.keep:
            keep(loop, result, who=user())
    show(options, result.to_dict(), lambda: report_text(result))
    return 0


def schema(options: argparse.Namespace) -> int:
    """Print the JSON Schema."""
    from abloop.blueprint.schema import json_schema

    del options
    print(msgspec.json.format(msgspec.json.encode(json_schema()), indent=2).decode())
    return 0


def interleave(options: argparse.Namespace) -> int:
    """Print how a ranking's challenger does."""
    from abloop.interleaving import interleaved

    with closing(open_loop(options)) as loop:
        found = interleaved(loop, options.strategy, options.metric)
    show(options, found.to_dict(), lambda: found.words)
    return 0


def overlap(options: argparse.Namespace) -> int:
    """Print which running experiments share units."""
    from abloop.overlap import overlap as find
    from abloop.report import overlap_text

    with closing(open_loop(options)) as loop:
        found = find(loop)
    show(options, {"overlap": msgspec.to_builtins(found)}, lambda: overlap_text(found))
    return 0
