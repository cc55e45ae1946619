"""The readout: every metric, arm by arm, with intervals, SRM, and the running policy against each arm."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from abloop.blueprint import Blueprint
from abloop.records import Phase
from abloop.stats.compare import Estimate, difference, estimate
from abloop.stats.moments import Moments
from abloop.stats.srm import srm_weighted

if TYPE_CHECKING:
    from abloop.store.catalogue import Serving
    from abloop.store.workspace import Workspace

NET_VALUE = "net value"
INVERSE = "1 / propensity"
NOBODY = Moments(0, 0.0, 0.0, 0.0, 0.0, 0.0)
SRM_ALARM = 0.001
RANDOMISED: tuple[Phase, ...] = ("randomise", "explore")
CHOSEN: tuple[Phase, ...] = ("personalise", "ship")


class ArmResult(msgspec.Struct, frozen=True):
    """One arm on one metric.

    Attributes:
        arm: Its name.
        mean: Mean per decision over units, with its 95 % interval.
        lift: Difference to control with Welch's 95 % interval; None for control.
        relative: Lift as a share of control's mean; None for control or a mean of zero.
    """

    arm: str
    mean: Estimate
    lift: Estimate | None = None
    relative: float | None = None


class MetricResult(msgspec.Struct, frozen=True):
    """One metric over all arms; `net value` is the sum of the goals in value, less the arm's cost."""

    metric: str
    role: str
    arms: tuple[ArmResult, ...]


class PolicyResult(msgspec.Struct, frozen=True):
    """The served policy against the arms, in net value, on traffic since this phase began.

    Attributes:
        phase: `personalise` or `ship`.
        policy: Units that got the release's choice.
        arms: Units of the explore share, by arm.
        gains: Policy minus arm, with Welch's 95 % interval.
    """

    phase: str
    policy: Estimate
    arms: dict[str, Estimate]
    gains: dict[str, Estimate]


class Readout(msgspec.Struct, frozen=True):
    """What a strategy's complete rows say.

    Attributes:
        strategy: Its name.
        version: Blueprint version of all rows.
        phase: What is served now.
        rows: Complete rows.
        waiting: Decisions whose TTL has not ended.
        units: Units by arm, of randomised traffic.
        srm: p-value of these counts against the weights; below .001 the experiment is unhealthy.
        metrics: Net value first, unless it is the same as the only goal, then each metric, on randomised traffic; none
            while there is none.
        policy: The served policy against the arms; None while everything is randomised.
        notes: What a reader must know before believing a number.
    """

    strategy: str
    version: int
    phase: str
    rows: int
    waiting: int
    units: dict[str, int]
    srm: float
    metrics: tuple[MetricResult, ...]
    policy: PolicyResult | None
    notes: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return plain data; numbers that could not be estimated become null in JSON."""
        data: dict[str, Any] = msgspec.to_builtins(self)
        return data


def readout(workspace: Workspace, strategy: str) -> Readout:
    """Return the readout of a strategy's served version.

    Args:
        workspace: What `abloop.connect` gave.
        strategy: Its name.

    Raises:
        UnknownNameError: There is no such strategy.
        StoreError: Database or table cannot be read.
    """
    from abloop.store.parquet import paths
    from abloop.store.reduce import reduce

    serving = workspace.catalogue.serving(strategy)
    version, blueprint = workspace.catalogue.blueprint(strategy, serving.version)
    listed = [file for file in workspace.manifest.files(strategy) if file.version == version]
    waiting = workspace.journal.backlog(strategy).waiting
    rows = sum(file.rows for file in listed)
    names = [arm.name for arm in blueprint.ordered_arms()]
    if not rows:
        note = f"No complete rows yet: {_waiting(waiting, blueprint)}."
        return Readout(strategy, version, serving.phase, 0, waiting, dict.fromkeys(names, 0), 1.0, (), None, (note,))
    files = paths(workspace.table_directory, [file.name for file in listed])
    expressions = metric_expressions(blueprint)
    sums = reduce(files, expressions, phases=RANDOMISED, traits={INVERSE: inverse_propensity(blueprint)})
    inverse = [sums[name][INVERSE] if name in sums else NOBODY for name in names]
    units = {name: found.units for name, found in zip(names, inverse, strict=True)}
    srm = srm_weighted(
        sum(units.values()),
        [found.s for found in inverse],
        [found.squares for found in inverse],
        blueprint.weights(),
    )
    observed = {metric.name: sum(file.observed.get(metric.name, 0) for file in listed) for metric in blueprint.metrics}
    policy = None
    if serving.release:
        since = _phase_began(workspace, serving)
        chosen = reduce(files, expressions, phases=CHOSEN, by="phase", since=since)
        explored = reduce(files, expressions, phases=("explore",), since=since)
        policy = _compare_policy(serving.phase, chosen, explored, names)
    listing = shown(blueprint) if any(units.values()) else ()
    metrics = tuple(compare_arms(metric, role, sums, names) for metric, role in listing)
    expected = [found.units * sum(units.values()) / found.s if found.s else 0.0 for found in inverse]
    notes = _notes(strategy, units, expected, srm, observed, rows)
    return Readout(strategy, version, serving.phase, rows, waiting, units, srm, metrics, policy, notes)


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
    from abloop.store.reduce import literal, quoted

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
    from abloop.store.reduce import literal

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
        {name: difference(policy, arm) for name, arm in arms.items()},
    )


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
