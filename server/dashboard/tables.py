"""A readout to tables, plots and banners. Pure: no store, no clock, no HTML."""

from __future__ import annotations

import msgspec

from abloop.blueprint import Blueprint
from abloop.readout import NET_VALUE, SRM_ALARM, MetricResult, Readout
from server.dashboard.forest import Forest, forest
from server.numbers import count, decimals, interval, number, p_value, percent


class Line(msgspec.Struct, frozen=True):
    """One line of a table of estimates; empty texts where there is nothing to compare."""

    name: str
    n: str
    mean: str
    interval: str
    lift: str = ""
    lift_interval: str = ""
    relative: str = ""


class Table(msgspec.Struct, frozen=True):
    """Estimates side by side, and their plot."""

    title: str
    role: str
    note: str
    versus: str
    lines: tuple[Line, ...]
    forest: Forest | None


def traffic(seen: Readout, blueprint: Blueprint) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Return how much there is, and whether its split is the planned one."""
    ttl = f"a decision is complete {duration(blueprint.lifecycle.ttl)} after it was made"
    facts = [("Complete rows", (f"{seen.rows:,}",)), ("Decisions waiting", (f"{seen.waiting:,}", ttl))]
    total = sum(seen.units.values())
    if total:
        split = tuple(f"{name}: {units:,} ({percent(units / total)})" for name, units in seen.units.items())
        fine = "does not fit" if seen.srm < SRM_ALARM else "fits"
        ratio = f"{fine} the logged propensities ({p_value(seen.srm)})"
        facts += [("Randomised units", split), ("Sample ratio", (ratio,))]
    return tuple(facts)


def duration(seconds: float) -> str:
    """Return seconds in the largest unit that fits.

    Example:
        >>> duration(86_400), duration(90), duration(0)
        ('1 day', '90 seconds', '0 seconds')
    """
    for size, name in ((86_400, "day"), (3_600, "hour"), (60, "minute")):
        if seconds and seconds % size == 0:
            return count(int(seconds // size), name)
    return count(int(seconds), "second") if seconds == int(seconds) else f"{seconds:g} seconds"


def made_of(blueprint: Blueprint) -> dict[str, str]:
    """Return measure to what it is made of, where its name does not say so."""
    worth = " + ".join(
        goal.name if goal.value == 1 else f"{goal.value:g} \u00d7 {goal.name}" for goal in blueprint.goals()
    )
    costs = ", less the cost of the arm" if any(arm.cost for arm in blueprint.arms) else ""
    return {NET_VALUE: f"{worth}{costs}"}


def metrics(seen: Readout, blueprint: Blueprint) -> tuple[Table, ...]:
    """Return each metric as a table and a plot of its lifts."""
    notes = made_of(blueprint)
    return tuple(table(metric, notes.get(metric.metric, "")) for metric in seen.metrics)


def table(metric: MetricResult, note: str = "") -> Table:
    """Return one measure as a table with its plot.

    Args:
        metric: The measure; control first.
        note: What it is made of.
    """
    control = metric.arms[0].arm
    means, lifts = decimals(arm.mean for arm in metric.arms), decimals(arm.lift for arm in metric.arms)
    lines = []
    for arm in metric.arms:
        line = Line(arm.arm, f"{arm.mean.n:,}", number(arm.mean.mean, means), interval(arm.mean, means))
        if arm.lift:
            lift, ends = number(arm.lift.mean, lifts, sign=True), interval(arm.lift, lifts, sign=True)
            relative = f"{percent(arm.relative, sign=True)} of control" if arm.relative is not None else ""
            line = msgspec.structs.replace(line, lift=lift, lift_interval=ends, relative=relative)
        lines.append(line)
    drawn = {arm.arm: arm.lift for arm in metric.arms if arm.lift}
    plot = forest(drawn, f"Lift of each arm over {control} on {metric.metric}; the table has the same numbers.")
    role = "" if metric.metric == NET_VALUE else metric.role
    return Table(metric.metric, role, note, f"'{control}'", tuple(lines), plot)


def policy(seen: Readout) -> Table | None:
    """Return the served release against each arm; None while everything is randomised."""
    if seen.policy is None:
        return None
    found = seen.policy
    means, gains = decimals([found.policy, *found.arms.values()]), decimals(found.gains.values())
    title = {"personalise": "personalised", "ship": "shipped arm"}.get(found.phase, found.phase)
    first = Line(title, f"{found.policy.n:,}", number(found.policy.mean, means), interval(found.policy, means))
    lines = [first]
    for name, arm in found.arms.items():
        gain = found.gains[name]
        ends = interval(gain, gains, sign=True)
        mean = number(arm.mean, means)
        lines.append(Line(name, f"{arm.n:,}", mean, interval(arm, means), number(gain.mean, gains, sign=True), ends))
    against = {f"vs {name}": gain for name, gain in found.gains.items()}
    plot = forest(against, "Net value of the served release minus each arm; the table has the same numbers.")
    return Table(title, "", "", "", tuple(lines), plot)
