"""What must hold of outcomes that come late, and of how long and in what shape records are kept."""

from __future__ import annotations

from abloop import validate
from abloop.blueprint.spec import Blueprint, Metric
from abloop.errors import BlueprintError, unknown

LONGEST = 732 * 86_400.0


def check_outcomes(path: str, metric: Metric, ttl: float) -> None:
    """Check where and for how long the outcomes of a metric are waited for.

    Args:
        path: Where it stands.
        metric: The metric.
        ttl: The blueprint's TTL, in seconds.

    Raises:
        BlueprintError: With path, value, what is allowed and the fix.
    """
    if metric.source and not metric.query:
        _refuse(f"{path}.query", "is empty, but a source is named", "SQL that selects unit, time and value")
    if metric.query:
        for name in (":start", ":end"):
            if name not in metric.query:
                _refuse(f"{path}.query", f"names no {name}", "... WHERE paid_at >= :start AND paid_at < :end")
        if not metric.source:
            _refuse(f"{path}.source", "is empty, but there is a query", "a database URL, or a name given to connect")
        if metric.by != "unit":
            _refuse(f"{path}.by", f"is {metric.by!r}, but a query gives outcomes of units", "unit")
    if metric.window:
        low = 0.0 if metric.by == "unit" else ttl
        validate.in_range(f"{path}.window", metric.window, low, LONGEST, open_low=True)
    elif metric.by == "unit":
        _refuse(f"{path}.window", "is not given, but outcomes of a unit have no other end", "seconds, e.g. 28d")


def check_measured(path: str, metric: Metric, blueprint: Blueprint) -> None:
    """Check a metric that decisions themselves tell.

    Args:
        path: Where it stands.
        metric: The metric.
        blueprint: Has the arms.

    Raises:
        BlueprintError: With path, value, what is allowed and the fix.
    """
    if not metric.measured:
        return
    for name in ("by", "window", "source", "query", "combine"):
        if getattr(metric, name) != getattr(Metric(name=metric.name), name):
            _refuse(f"{path}.{name}", f"belongs to what is logged, but measured is {metric.measured!r}", "one of them")
    if metric.role == "goal":
        what = f"is 'goal', but measured is {metric.measured!r}; goals are what products bring, net of arms' costs"
        _refuse(f"{path}.role", what, "guardrail or secondary; tuning.objectives may name either")
    if metric.measured == "cost" and not blueprint.is_choice:
        _refuse(f"{path}.measured", f"is 'cost', but space.type {blueprint.space.type!r} has no arms", "latency")
    if metric.measured == "decision" and blueprint.space.type != "number":
        given = blueprint.values() if blueprint.is_choice else ("",)
        if not all(isinstance(value, int | float) for value in given):
            what = f"is 'decision', but what space.type {blueprint.space.type!r} gives is no number"
            _refuse(f"{path}.measured", what, "latency, or arms whose values are numbers")


def check_keeping(blueprint: Blueprint) -> None:
    """Check retention and pseudonyms.

    Raises:
        BlueprintError: With path, value, what is allowed and the fix.
    """
    kept = blueprint.lifecycle.retention
    if kept:
        longest = max([blueprint.lifecycle.ttl, *(metric.window for metric in blueprint.metrics)])
        validate.in_range("lifecycle.retention", kept, longest, 100 * LONGEST, open_low=True)
    validate.distinct("pseudonymise", list(blueprint.pseudonymise))
    known = [blueprint.unit] + [
        feature.name for feature in blueprint.sourced() if feature.type == "categorical" and not feature.group
    ]
    for index, name in enumerate(blueprint.pseudonymise):
        if name not in known:
            place = f"pseudonymise[{index}]"
            raise BlueprintError(f"{place}: {unknown('name', name, known)}", place=place)
    _check_concealed(blueprint)


def _check_concealed(blueprint: Blueprint) -> None:
    """Check that nothing needs what a pseudonym takes the place of."""
    for index, group in enumerate(blueprint.groups):
        if group.key in blueprint.pseudonymise and not group.events:
            what = f"is {group.key!r}, of which only a pseudonym is known; its source would be asked for that"
            _refuse(f"groups[{index}].key", what, "a key that pseudonymise does not name")
    if blueprint.unit in blueprint.pseudonymise and blueprint.experiment.force:
        what = "names units as they are, but only their pseudonyms are written"
        _refuse("experiment.force", what, "none, with pseudonymise; pass force= to get_decision")


def _refuse(place: str, what: str, allowed: str) -> None:
    raise BlueprintError(f"{place} {what}; allowed: {allowed}", place=place)
