"""The readout of a strategy: its randomised traffic, arm by arm, and the running policy against each arm."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec

from abloop.blueprint import Blueprint, Reading
from abloop.blueprint.reading import Measure
from abloop.readout.read import Rows, read_metrics
from abloop.readout.recommend import gaps, recommend
from abloop.readout.results import ArmResult, MetricResult, PolicyResult, Readout, Recommendation
from abloop.records import Phase
from abloop.stats.compare import Estimate, difference, estimate
from abloop.stats.contrast import Arm, contrast_of
from abloop.stats.moments import Moments
from abloop.stats.sequential import always_valid
from abloop.stats.srm import srm_always_valid, srm_weighted

if TYPE_CHECKING:
    from abloop.store.manifest import TableFile
    from abloop.store.measures import Columns
    from abloop.store.serving import Serving
    from abloop.store.workspace import Workspace

NET_VALUE = "net value"
INVERSE = "1 / propensity"
NOBODY = Moments(0, 0.0, 0.0, 0.0, 0.0, 0.0)
SRM_ALARM = 0.001
RANDOMISED: tuple[Phase, ...] = ("randomise", "explore")
CHOSEN: tuple[Phase, ...] = ("personalise", "ship")


def read_strategy(workspace: Workspace, strategy: str, reading: Reading | None = None) -> Readout:
    """Return the readout of a strategy's served version, and of versions that differ in nothing but what is read.

    Args:
        workspace: What `abloop.connect` gave.
        strategy: Its name.
        reading: What is read, and how; as the blueprint says where None.

    Raises:
        UnknownNameError: There is no such strategy.
        StoreError: Database or table cannot be read.
        DataError: A measure cannot be computed.
    """
    from abloop.store.parquet import paths
    from abloop.store.reduce import reduce
    from abloop.store.warehouse import open_files

    serving = workspace.catalogue.serving(strategy)
    version, blueprint = workspace.catalogue.blueprint(strategy, serving.version)
    reading = reading or blueprint.readout
    listed = listed_files(workspace, strategy, blueprint)
    waiting = workspace.journal.backlog(strategy).waiting
    rows = sum(file.rows for file in listed)
    names = [arm.name for arm in blueprint.ordered_arms()]
    if not rows:
        note = f"No complete rows yet: {_waiting(waiting, blueprint)}."
        empty = Readout(strategy, version, serving.phase, 0, waiting, dict.fromkeys(names, 0), 1.0, (), None, (note,))
        return msgspec.structs.replace(empty, recommendation=Recommendation("wait", "", note))
    files = paths(workspace.table_directory, [file.name for file in listed])
    sums = reduce(files, {}, phases=RANDOMISED, traits={INVERSE: inverse_propensity(blueprint)})
    inverse = [sums[name][INVERSE] if name in sums else NOBODY for name in names]
    units = {name: found.units for name, found in zip(names, inverse, strict=True)}
    srm, always = _ratio(inverse, blueprint.weights())
    policy = _read_policy(workspace, serving, files, blueprint, names) if serving.release else None
    with open_files(files) as (warehouse, relation):
        measures = _measures(blueprint, reading) if any(units.values()) else ()
        found = read_metrics(Rows(warehouse, _columns(relation, blueprint), tuple(names), measures, reading))
    observed = {metric.name: sum(file.observed.get(metric.name, 0) for file in listed) for metric in blueprint.metrics}
    expected = [each.units * sum(units.values()) / each.s if each.s else 0.0 for each in inverse]
    notes = (*_notes(strategy, units, expected, always, observed, rows), *gaps(found.metrics))
    ill = notes[0] if always < SRM_ALARM else ""
    return Readout(
        strategy,
        version,
        serving.phase,
        rows,
        waiting,
        units,
        srm,
        found.metrics,
        policy,
        notes,
        recommend(found.metrics, units, reading, found.days, ill),
        reading.inference,
        reading.confidence,
        found.days,
        always,
    )


def listed_files(workspace: Workspace, strategy: str, blueprint: Blueprint) -> list[TableFile]:
    """Return the files of all versions that differ from one in nothing but what is read of them."""
    alike = {
        found.version
        for found, other in workspace.catalogue.blueprints(strategy)
        if msgspec.structs.replace(other, readout=blueprint.readout) == blueprint
    }
    return [file for file in workspace.manifest.files(strategy) if file.version in alike]


def _ratio(inverse: Sequence[Moments], weights: Sequence[float]) -> tuple[float, float]:
    """Return the p-values of the arms' shares: of one look; of every look, where all propensities are the weights."""
    units = [found.units for found in inverse]
    srm = srm_weighted(sum(units), [found.s for found in inverse], [found.squares for found in inverse], weights)
    plain = all(
        abs(found.s - found.units / weight) <= 1e-9 * found.s and abs(found.ss) <= 1e-9 * found.s
        for found, weight in zip(inverse, weights, strict=True)
    )
    return srm, srm_always_valid(units, weights) if plain and any(units) else srm


def _measures(blueprint: Blueprint, reading: Reading) -> tuple[Measure, ...]:
    """Return what is shown: net value or the only goal, all metrics, then what the reading asks for."""
    plain = [Measure(name=name, role=role) for name, role in shown(blueprint)]  # type: ignore[arg-type]
    return (*plain, *reading.measures)


def _columns(relation: str, blueprint: Blueprint) -> Columns:
    """Return where the training table has what."""
    from abloop.store.measures import Columns, literal, quoted

    metrics = [metric.name for metric in blueprint.metrics]
    return Columns(
        relation=relation,
        arm="arm",
        unit="unit",
        values=metric_expressions(blueprint),
        features={feature.name: quoted(f"x.{feature.name}") for feature in blueprint.sourced()},
        time='"time"',
        times={name: quoted(f"at.{name}") for name in metrics},
        where=f"phase IN ({', '.join(map(literal, RANDOMISED))})",
    )


def _read_policy(
    workspace: Workspace, serving: Serving, files: Sequence[str], blueprint: Blueprint, names: Sequence[str]
) -> PolicyResult | None:
    """Return the served release against the arms, on traffic since this phase began."""
    from abloop.store.reduce import reduce

    since, expressions = _phase_began(workspace, serving), metric_expressions(blueprint)
    chosen = reduce(files, expressions, phases=CHOSEN, by="phase", since=since)
    explored = reduce(files, expressions, phases=("explore",), since=since)
    return _compare_policy(serving.phase, chosen, explored, names)


def _phase_began(workspace: Workspace, serving: Serving) -> float:
    """Return since when this phase of this version is served, over all refits of its release."""
    began = serving.at
    for earlier in workspace.catalogue.history(serving.strategy):
        if (earlier.version, earlier.phase) != (serving.version, serving.phase):
            break
        began = earlier.at
    return began


def metric_expressions(blueprint: Blueprint) -> dict[str, str]:
    """Return net value and each metric as SQL over the columns of the training table."""
    from abloop.store.measures import literal, quoted

    worth = " + ".join(f"{quoted('y.' + metric.name)} * {metric.value!r}" for metric in blueprint.goals())
    costs = " ".join(f"WHEN {literal(arm.name)} THEN {arm.cost!r}" for arm in blueprint.ordered_arms())
    net = {NET_VALUE: f"{worth} - CASE arm {costs} END"}
    return net | {metric.name: quoted(f"y.{metric.name}") for metric in blueprint.metrics}


def _waiting(count: int, blueprint: Blueprint) -> str:
    """Return what an empty table waits for."""
    if not count:
        return "no decision has been logged and shipped"
    return f"{count:,} decisions wait for their TTL of {blueprint.lifecycle.ttl:g} s to end"


def shown(blueprint: Blueprint) -> list[tuple[str, str]]:
    """Return name and role of what a readout shows."""
    goals, named = blueprint.goals(), [(metric.name, str(metric.role)) for metric in blueprint.metrics]
    plain = len(goals) == 1 and goals[0].value == 1.0 and not any(arm.cost for arm in blueprint.arms)
    return sorted(named, key=lambda item: item[0] != goals[0].name) if plain else [(NET_VALUE, "goal"), *named]


def inverse_propensity(blueprint: Blueprint) -> str:
    """Return one over the probability of the arm as SQL: in the explore share that is the arm's weight."""
    from abloop.store.measures import literal

    weights = " ".join(
        f"WHEN {literal(arm.name)} THEN {weight!r}"
        for arm, weight in zip(blueprint.ordered_arms(), blueprint.weights(), strict=True)
    )
    return f"1.0 / CASE phase WHEN 'explore' THEN CASE arm {weights} END ELSE propensity END"


def compare_arms(metric: str, role: str, sums: dict[str, dict[str, Moments]], names: Sequence[str]) -> MetricResult:
    """Return one metric over all arms, each against control."""
    found = [sums[name][metric] if name in sums else NOBODY for name in names]
    control, results = found[0], [ArmResult(names[0], estimate(found[0]))]
    for name, arm in zip(names[1:], found[1:], strict=True):
        lift = difference(arm, control)
        relative = lift.mean / abs(control.mean) if control.mean and arm.units else None
        results.append(ArmResult(name, estimate(arm), lift, relative))
    return MetricResult(metric, role, tuple(results))


def _compare_policy(
    phase: str,
    chosen: dict[str, dict[str, Moments]],
    explored: dict[str, dict[str, Moments]],
    names: Sequence[str],
) -> PolicyResult | None:
    """Return the release's traffic against the explore share; None before it has complete rows."""
    if phase not in chosen:
        return None
    policy = chosen[phase][NET_VALUE]
    arms = {name: explored[name][NET_VALUE] for name in names if name in explored}
    return PolicyResult(
        phase,
        estimate(policy),
        {name: estimate(arm) for name, arm in arms.items()},
        {name: _gain(policy, arm, 1.0 - 0.1 / max(2, len(names))) for name, arm in arms.items()},
    )


def _gain(policy: Moments, arm: Moments, confidence: float) -> Estimate:
    """Return policy minus arm, with an interval that holds at every look."""
    both = contrast_of(*(Arm(each.units, each.mean, each.variance_of_mean) for each in (policy, arm)))
    if both.reason or both.variance <= 0.0:
        return difference(policy, arm)
    found = always_valid(both, confidence)
    return Estimate(both.n, both.difference, found.low, found.high)


def _notes(
    strategy: str,
    units: dict[str, int],
    expected: Sequence[float],
    srm: float,
    observed: dict[str, int],
    rows: int,
) -> tuple[str, ...]:
    """Return the warnings that stand above the numbers."""
    notes = []
    if srm < SRM_ALARM:
        shares = ", ".join(
            f"{name} {count:,} (expected {share:,.0f})"
            for (name, count), share in zip(units.items(), expected, strict=True)
        )
        notes.append(
            f"Sample ratio mismatch (p = {srm:.1g}): {shares}. Do not believe the numbers before the cause is found: "
            "lost observations, a redirect, a bot filter, or another assignment in between."
        )
    for metric, count in observed.items():
        if not count:
            notes.append(
                f"Metric {metric!r} was never logged on {rows:,} rows, so its numbers are its default. "
                f"Log it: loop.strategy({strategy!r}).log_observations(decision_id, {{{metric!r}: value}})."
            )
    empty = [name for name, count in units.items() if count == 0]
    if len(empty) == len(units):
        notes.append("No randomised units yet, so that there is nothing to compare.")
    elif empty:
        notes.append(f"No randomised units in arm {', '.join(map(repr, empty))}.")
    return tuple(notes)
