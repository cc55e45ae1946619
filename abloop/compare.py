"""Versions of a blueprint compared in production: an A/B test whose arms are whole versions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from abloop.blueprint import Blueprint
from abloop.errors import DataError
from abloop.readout import MetricResult, compare_arms, metric_expressions, shown
from abloop.stats.srm import srm_p_value
from abloop.store.serving import Comparison, Entry

if TYPE_CHECKING:
    from abloop.store.serving import Serving
    from abloop.store.workspace import Workspace

SETTLE_SECONDS = 10.0  # within which every process decides by a new comparison
COMPARED = ("randomise", "personalise", "explore", "ship", "default")


class VersionsReadout(msgspec.Struct, frozen=True):
    """What a comparison says.

    Attributes:
        strategy: Its name.
        since: When it began, in seconds since 1970.
        running: Whether it still runs.
        units: Units by version.
        srm: p-value of these counts against the shares; below .001 the comparison is unhealthy.
        metrics: Net value first, unless it is the same as the only goal; the versions are named `v1`, `v2`, ...
    """

    strategy: str
    since: float
    running: bool
    units: dict[str, int]
    srm: float
    metrics: tuple[MetricResult, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return plain data; numbers that could not be estimated become null in JSON."""
        data: dict[str, Any] = msgspec.to_builtins(self)
        return data


def compare(
    workspace: Workspace,
    strategy: str,
    versions: Sequence[int],
    *,
    shares: Sequence[float] | None = None,
    who: str,
    why: str,
) -> Comparison:
    """Let versions of a strategy decide side by side, each for its share of the units.

    A version that has no release of its own serves that of another one, where both predict the same things from
    the same features: versions that differ in their policy alone can be compared at once.

    Args:
        workspace: What `abloop.connect` gave.
        strategy: Its name.
        versions: Two or more versions; the others are compared with the first.
        shares: Share of units of each; equal shares where None.
        who: Who begins it.
        why: Why.

    Returns:
        The comparison as kept.

    Raises:
        UnknownNameError: There is no such strategy or version.
        DataError: The versions cannot be compared, or the shares are none.
    """
    if len(versions) < 2 or len(set(versions)) < len(versions):
        raise DataError(f"compare: versions {list(versions)}; allowed: two or more, each once")
    given = [1 / len(versions)] * len(versions) if shares is None else [float(share) for share in shares]
    if len(given) != len(versions) or min(given) <= 0 or abs(sum(given) - 1) > 1e-9:
        raise DataError(f"compare: shares {given} for {len(versions)} versions; allowed: one each, above 0, sum 1")
    serving = workspace.catalogue.serving(strategy)
    if serving.phase == "paused":
        raise DataError(
            f"compare: strategy {strategy!r} is paused. Resume it first: abloop resume {strategy} --why TEXT"
        )
    blueprints = [workspace.catalogue.blueprint(strategy, version)[1] for version in versions]
    units = {blueprint.unit for blueprint in blueprints}
    if len(units) > 1:
        raise DataError(f"compare: the versions have units {sorted(units)}; allowed: one unit for all")
    served = [workspace.catalogue.last_serving(strategy, version) for version in versions]
    entries = tuple(
        _entry(serving, share, index, blueprints, served)
        for index, (serving, share) in enumerate(zip(served, given, strict=True))
    )
    return workspace.comparisons.add(Comparison(strategy, entries, workspace.clock(), who, why))


def stop_comparing(workspace: Workspace, strategy: str, *, who: str, why: str) -> Comparison:
    """End the comparison of a strategy: what it serves decides for all units again."""
    workspace.catalogue.serving(strategy)
    return workspace.comparisons.add(Comparison(strategy, (), workspace.clock(), who, why))


def check_no_round(workspace: Workspace, strategy: str) -> None:
    """Refuse to end or replace, by hand, the comparison of a round of tuning: its units would be lost.

    Raises:
        DataError: A round runs.
    """
    begun = workspace.tunings.state(strategy).open
    if begun is not None and begun.status == "running":
        raise DataError(
            f"round {begun.number} of tuning is compared; read it first, on the page of trade-offs, or with "
            f"abloop tune {strategy} read --early"
        )


def abandon_version(workspace: Workspace, strategy: str, version: int, *, who: str, why: str) -> Comparison:
    """Let the first version of the running comparison decide for the units of another; all other units keep theirs.

    Those units are counted apart from then on, by a version of the same content: they have seen two versions.

    Raises:
        UnknownNameError: There is no such strategy.
        DataError: No comparison runs, or it has no such version to abandon.
    """
    workspace.catalogue.serving(strategy)
    running = workspace.comparisons.current().get(strategy)
    versions = [entry.version for entry in running.entries] if running else []
    if running is None or version not in versions[1:]:
        raise DataError(f"version {version} of {strategy!r} is not compared; allowed: {versions[1:] or 'none runs'}")
    first = running.entries[0]
    _, blueprint = workspace.catalogue.blueprint(strategy, first.version)
    apart = msgspec.structs.replace(blueprint.tuning, seed=-version)  # another content hash, the same decisions
    made = workspace.catalogue.add_blueprint(
        msgspec.structs.replace(blueprint, tuning=apart), at=workspace.clock(), who=who, why=why, serve=False
    )
    entries = tuple(
        msgspec.structs.replace(first, version=made, share=entry.share, draw=running.draw, abandoned=True)
        if entry.version == version
        else msgspec.structs.replace(entry, draw=running.draw)
        for entry in running.entries
    )
    return workspace.comparisons.add(Comparison(strategy, entries, workspace.clock(), who, why))


def read_comparison(workspace: Workspace, strategy: str) -> VersionsReadout:
    """Return the readout of a strategy's newest comparison, each version against the first.

    Raises:
        UnknownNameError: There is no such strategy.
        DataError: It never had a comparison.
        StoreError: Database or table cannot be read.
    """
    from abloop.store.parquet import paths
    from abloop.store.reduce import reduce

    workspace.catalogue.serving(strategy)
    last = workspace.comparisons.last(strategy)
    if last is None:
        raise DataError(f"strategy {strategy!r} has no comparison; begin one: abloop compare {strategy} 1 2 --why TEXT")
    entries = [entry for entry in last.entries if not entry.abandoned]
    names = [f"v{entry.version}" for entry in entries]
    wanted, began = {entry.version for entry in entries}, workspace.comparisons.began(last)
    running = workspace.comparisons.current().get(strategy) == last
    listed = [file for file in workspace.manifest.files(strategy) if file.version in wanted]
    _, blueprint = workspace.catalogue.blueprint(strategy, last.entries[0].version)
    if not listed:
        return VersionsReadout(strategy, began, running, dict.fromkeys(names, 0), 1.0, ())
    files = paths(workspace.table_directory, [file.name for file in listed])
    since = began + SETTLE_SECONDS
    expressions = metric_expressions(blueprint) | {"": "1.0"}
    found = reduce(files, expressions, phases=COMPARED, by="version", since=since)
    sums = {f"v{version}": moments for version, moments in found.items()}
    units = {name: sums[name][""].units if name in sums else 0 for name in names}
    whole = sum(entry.share for entry in entries)
    shares = [entry.share / whole for entry in entries]
    srm = srm_p_value(list(units.values()), shares) if sum(units.values()) and len(entries) > 1 else 1.0
    metrics = tuple(compare_arms(metric, role, sums, names) for metric, role in shown(blueprint))
    return VersionsReadout(strategy, began, running, units, srm, metrics)


def _entry(
    serving: Serving, share: float, index: int, blueprints: Sequence[Blueprint], served: Sequence[Serving]
) -> Entry:
    """Return how one version is served, with another's release where it has none of its own and may use it."""
    if not serving.release:
        for other, lender in zip(blueprints, served, strict=True):
            if lender.release and lender.phase == "personalise" and _predicts_alike(blueprints[index], other):
                return Entry(serving.version, share, lender.phase, lender.release)
    return Entry(serving.version, share, serving.phase, serving.release)


def _predicts_alike(blueprint: Blueprint, other: Blueprint) -> bool:
    """Return whether a release of one version predicts what another version reads."""
    return (
        blueprint.features == other.features
        and blueprint.groups == other.groups
        and blueprint.outputs() == other.outputs()
        and blueprint.metrics == other.metrics
    )
