"""Result objects as text for the terminal. Every number with its interval and its n; no arithmetic here."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from abloop.readout.text import interval, metric_text, number, paragraph, readout_text, table
from abloop.records import FeatureValue

if TYPE_CHECKING:
    from abloop.compare import VersionsReadout
    from abloop.explanation import Explanation
    from abloop.offline import Cycle
    from abloop.overlap import Overlap
    from abloop.rollout.versions import Version
    from abloop.simulate.replay import Heldout, Replay


def cycle_text(cycle: Cycle) -> str:
    """Return one turn of the cold path: the readout, then the gate."""
    moved = f"{cycle.shipped.records:,} records shipped, {cycle.joined:,} rows completed."
    serving = f"{cycle.serving.strategy} is served version {cycle.serving.version}, phase {cycle.serving.phase}."
    return "\n\n".join([moved, readout_text(cycle.readout), paragraph(cycle.verdict.reason), serving])


def versions_text(versions: Sequence[Version]) -> str:
    """Return the versions of a strategy, each with what changed."""
    parts = []
    for version in versions:
        at = datetime.fromtimestamp(version.at, UTC).strftime("%Y-%m-%d %H:%M UTC")
        why = f": {version.why}" if version.why else ""
        lines = [f"version {version.version}{' (served)' if version.served else ''}, {at}, by {version.who}{why}"]
        lines += [f"    {change.path}: {change.before!r} -> {change.after!r}" for change in version.changes]
        parts.append("\n".join(lines))
    return "\n".join(parts)


def comparison_text(readout: VersionsReadout) -> str:
    """Return a comparison of versions as tables, each version against the first."""
    counts = ", ".join(f"{name} {count:,}" for name, count in readout.units.items())
    began = datetime.fromtimestamp(readout.since, UTC).strftime("%Y-%m-%d %H:%M UTC")
    state = "running" if readout.running else "ended"
    head = f"{readout.strategy}, versions compared since {began} ({state}). "
    head += f"Units with complete rows: {counts}; sample ratio p = {readout.srm:.3g}."
    return "\n\n".join([paragraph(head), *(metric_text(metric) for metric in readout.metrics)])


def explanation_text(found: Explanation) -> str:
    """Return why a decision was what it was."""
    record = found.decision
    at = datetime.fromtimestamp(record.time, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    head = f"Decision {record.decision_id} of {record.strategy}, version {record.version}, {at}: {record.decision!r}."
    parts = [paragraph(head), paragraph(found.reason)]
    if found.features:
        rows = [
            [feature.name, _shown(feature.value), feature.source, "" if feature.age is None else f"{feature.age:.3g} s"]
            for feature in found.features
        ]
        parts.append(table(["feature", "value", "from", "age"], rows))
    if found.predictions:
        rows = [[name, f"{value:.6g}"] for name, value in found.predictions.items()]
        parts.append(table([f"predicted by release {record.release[:12]}", "value"], rows))
    if found.formula:
        parts.append(f"formula   {found.formula}\n        = {found.filled}")
    again = "Computed again from its record: the same to the last bit."
    parts.append(again if found.repeated else "Computed again from its record, it differs: it was drawn elsewhere.")
    return "\n\n".join(parts)


def _shown(value: FeatureValue) -> str:
    """Return a feature's value, long ones cut."""
    return "missing" if value is None else textwrap.shorten(repr(value), 40, placeholder=" ...")


def replay_text(replay: Replay) -> str:
    """Return the story of a trial: history, gate, held-out comparison."""
    verdict = replay.verdict
    parts = [
        paragraph(
            f"Trial {replay.trial}: {replay.n_history:,} units of history, {replay.n_replay:,} replayed after. "
            f"{replay.note}"
        ),
        "1. What the history says\n",
        readout_text(replay.readout),
        "2. What the gate says\n",
        paragraph(verdict.reason),
    ]
    if verdict.heterogeneity:
        rows = [
            [name, number(slope.mean), interval(slope), "yes" if slope.low > 0 else "not shown"]
            for name, slope in verdict.heterogeneity.items()
        ]
        parts.append(table(["effect of", "slope", "95 % interval", "units differ"], rows))
    if replay.heldout:
        parts += ["3. What happened on the units it never saw\n", _heldout_text(replay, replay.heldout)]
    return "\n\n".join(part.rstrip("\n") for part in parts) + f"\n\n{replay.seconds:g} s"


def _heldout_text(replay: Replay, heldout: Heldout) -> str:
    """Return the held-out comparison, and what ignoring the gate would have cost."""
    verdict = replay.verdict
    ways = [
        ("best arm for each unit", heldout.policy, "policy"),
        (f"{verdict.arm!r} for all", heldout.best_arm, "best_arm"),
        ("randomised, as it was", heldout.random, "random"),
    ]
    rows = [[way, f"{worth.n:,}", number(worth.mean), interval(worth)] for way, worth, _ in ways]
    header = ["net value per unit", "n", "mean", "95 % interval"]
    if replay.regret:
        header.append("true regret")
        for row, (_, _, name) in zip(rows, ways, strict=True):
            row.append(number(getattr(replay.regret, name)))
    gap = heldout.policy_minus_best_arm
    served = f"{number(heldout.served.mean)} {interval(heldout.served)}, n {heldout.served.n:,}"
    told = (
        "Personalising against that arm"
        if verdict.verdict == "personalise"
        else "Personalising against the gate's word"
    )
    said = f"{told}: {number(gap.mean, True)} per unit, 95 % interval {interval(gap, True)}. "
    said += f"What was served, as the gate decided: {served}."
    return f"{table(header, rows)}\n\n{paragraph(said)}"


def overlap_text(found: Sequence[Overlap]) -> str:
    """Return the pairs of running experiments that share units."""
    if not found:
        return "Fewer than two experiments are running."
    rows = [[pair.first, pair.second, f"{pair.share:.1%}", pair.why] for pair in found]
    return table(["experiment", "and", "share of units in both", ""], rows)
