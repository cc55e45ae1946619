"""A blueprint, its data, its neighbours and its versions in a few lines each. Pure: no store, no HTML."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from abloop.blueprint import Blueprint
from abloop.overlap import Overlap
from abloop.readout.traffic import Traffic
from abloop.rollout.versions import Version
from abloop.store.manifest import TableFile
from abloop.store.status import Custody
from server.dashboard.tables import duration
from server.numbers import DASH, Moment, count, moment, percent, share

Facts = tuple[tuple[str, tuple[str, ...]], ...]
MOST_NEIGHBOURS = 20
MOST_CHANGES = 12


class VersionRow(msgspec.Struct, frozen=True):
    """One version of a blueprint in the list of versions."""

    version: int
    at: Moment
    who: str
    why: str
    served: bool
    changes: tuple[tuple[str, str, str], ...]
    more: int


class Neighbours(msgspec.Struct, frozen=True):
    """The experiments that run beside one.

    Attributes:
        rows: Name, planned share of units in both, and what to know of it; the greatest first.
        apart: Experiments that share no unit.
        more: Experiments that share some and are not listed.
    """

    rows: tuple[tuple[str, str, str], ...]
    apart: int
    more: int


def blueprint_facts(blueprint: Blueprint) -> Facts:
    """Return what a blueprint says, for somebody who has not read it."""
    trial = blueprint.experiment
    arms = [
        f"{arm.name}: {share(round(weight, 3))}{f', costs {arm.cost:g}' if arm.cost else ''}"
        for arm, weight in zip(blueprint.ordered_arms(), blueprint.weights(), strict=True)
    ]
    what = "one of these arms" if blueprint.is_choice else f"the {blueprint.space.type} of a formula, or the default"
    facts: list[tuple[str, tuple[str, ...]]] = [("Decides", (what,))]
    if blueprint.is_choice:
        facts.append(("Arms, control first", tuple(arms)))
    metrics = [f"{metric.name} ({metric.role}{_worth(metric.role, metric.value)})" for metric in blueprint.metrics]
    facts.append(("Metrics", tuple(metrics)))
    drawn = [f"unit {blueprint.unit}"]
    drawn += [f"{share(trial.traffic)} of traffic"] if trial.traffic < 1 else []
    drawn += [f"ramp of {count(len(trial.ramp), 'step')}"] if trial.ramp else []
    drawn += [f"only where {trial.target}"] if trial.target else []
    drawn += [f"layer {trial.layer.name}, {trial.layer.low:g} to {trial.layer.high:g}"] if trial.layer else []
    drawn += [f"holdout of {share(trial.holdout)}"] if trial.holdout else []
    facts.append(("Randomised", tuple(drawn)))
    learned = [feature.name for feature in blueprint.features if feature.learn]
    facts.append(("Features", (", ".join(learned) or "none: units cannot be told apart",)))
    if blueprint.labels:
        facts.append(("Predicts", (", ".join(label.name for label in blueprint.labels),)))
    if blueprint.policy.formula:
        facts.append(("Formula", (blueprint.policy.formula,)))
    if blueprint.is_choice:
        facts.append(("Learners", (", ".join(blueprint.model.learners),)))
    switch = {"auto": "by the gate alone", "manual": "by a person", "bandit": "with every fit, unproven"}
    complete = f"rows are complete after {duration(blueprint.lifecycle.ttl)}"
    facts.append(("Switches", (switch[blueprint.lifecycle.switch], complete)))
    return tuple(facts)


def _worth(role: str, value: float) -> str:
    return f", worth {value:g}" if role == "goal" and value != 1 else ""


def data_facts(custody: Custody, files: Sequence[TableFile], now: float) -> Facts:
    """Return where the strategy's records are."""
    first = min((file.oldest for file in files if file.oldest is not None), default=None)
    last = max((file.newest for file in files if file.newest is not None), default=None)
    span = (DASH,) if first is None or last is None else (moment(first, now).text, f"to {moment(last, now).text}")
    by_version: dict[int, int] = {}
    for file in files:
        by_version[file.version] = by_version.get(file.version, 0) + file.rows
    rows = [f"version {version}: {count(number, 'row')}" for version, number in sorted(by_version.items())]
    fates = [f"{name} {number:,}" for name, number in custody.fates.items() if number]
    observed = [f"{name} on {percent(part)}" for name, part in custody.observed.items()]
    return (
        ("Training table", (f"version {custody.table_version}, {count(len(files), 'file')}", *rows)),
        ("Decisions in it made", span),
        ("Decisions received", (f"{custody.decisions:,}, of which {custody.waiting:,} wait",)),
        ("Observations received", (f"{custody.observations:,}", *([", ".join(fates)] if fates else []))),
        ("Metrics observed", (", ".join(observed) or DASH,)),
        ("Dead letters", (f"{custody.dead:,}",)),
    )


def traffic_rows(traffic: Traffic) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Return the days of the figure as rows of a table: the day, then the decisions of each arm, newest first."""
    arms = sorted({arm for day in traffic.days for arm in day.decisions})
    rows = [(day.day, tuple(f"{day.decisions.get(arm, 0):,}" for arm in arms)) for day in reversed(traffic.days)]
    return (("Day", tuple(arms)), *rows) if rows else ()


def unit_rows(traffic: Traffic) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Return the units that were new on each day as rows of a table: the day, then those of each arm, newest first."""
    arms = sorted({arm for day in traffic.days for arm in day.units})
    rows = [(day.day, tuple(f"{day.units.get(arm, 0):,}" for arm in arms)) for day in reversed(traffic.days)]
    return (("Day", tuple(arms)), *rows) if arms else ()


def neighbours(found: Sequence[Overlap]) -> Neighbours:
    """Return the experiments that share units with one."""
    sharing = [pair for pair in found if pair.share > 0]
    rows = tuple((pair.second, percent(pair.share), pair.why) for pair in sharing[:MOST_NEIGHBOURS])
    return Neighbours(rows, len(found) - len(sharing), max(0, len(sharing) - MOST_NEIGHBOURS))


def version_rows(found: Sequence[Version], now: float) -> tuple[VersionRow, ...]:
    """Return the versions of a strategy, newest first."""
    rows = []
    for version in reversed(found):
        changes = tuple((each.path, _said(each.before), _said(each.after)) for each in version.changes[:MOST_CHANGES])
        more = max(0, len(version.changes) - MOST_CHANGES)
        at = moment(version.at, now)
        rows.append(VersionRow(version.version, at, version.who or DASH, version.why, version.served, changes, more))
    return tuple(rows)


def _said(value: object) -> str:
    """Return a value of a blueprint as it is written in one."""
    text = "nothing" if value is None else msgspec.json.encode(value).decode()
    return text if len(text) <= 120 else f"{text[:119]}\u2026"
