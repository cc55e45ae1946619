"""From rows to metrics: every measure over all arms, its lift over time and by segment."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec

from abloop.blueprint.reading import Measure, Reading
from abloop.readout.arms import as_estimate, compare_arm, contrast_arms, show_mean
from abloop.readout.results import ArmResult, Comparison, DayPoint, MetricResult
from abloop.stats.compare import Estimate, effect
from abloop.stats.contrast import Arm, Contrast, contrast_of
from abloop.stats.moments import Products
from abloop.stats.multiplicity import Method, adjust
from abloop.stats.quantile import QuantileSummary, quantile
from abloop.stats.segments import Heterogeneity, SegmentEffect, heterogeneity
from abloop.stats.sequential import always_valid
from abloop.stats.strata import Stratum
from abloop.store.measures import Columns
from abloop.store.products import Group, merged, read_products
from abloop.store.quantiles import read_quantiles

if TYPE_CHECKING:
    from abloop.store.warehouse import Warehouse

DAY = 86_400.0
MOST_DAYS = 120  # of which the lift is shown
UNITS = "units"
NOBODY = Products((), 0, (), ())
Parts = Mapping[Group, Mapping[str, Products]]


class Rows(msgspec.Struct, frozen=True):
    """What is read.

    Attributes:
        warehouse: Runs the queries.
        columns: Where the table has what.
        arms: Names, control first.
        measures: What is shown, in order.
        reading: How.
        complete: Columns that are never null, as SQL.
    """

    warehouse: Warehouse
    columns: Columns
    arms: tuple[str, ...]
    measures: tuple[Measure, ...]
    reading: Reading
    complete: Collection[str] = ()


class Found(msgspec.Struct, frozen=True):
    """What rows say.

    Attributes:
        metrics: Each measure.
        units: Units by arm.
        strangers: Units of arms that the blueprint does not have.
        days: Days from the first to the last unit's first day; 0 where rows have no time.
    """

    metrics: tuple[MetricResult, ...]
    units: dict[str, int]
    strangers: dict[str, int]
    days: float


def read_metrics(rows: Rows) -> Found:
    """Return every measure over all arms.

    Raises:
        StoreError: The table cannot be read.
        DataError: A value is not finite, or a measure cannot be computed here.
    """
    columns = msgspec.structs.replace(rows.columns, values={**rows.columns.values, UNITS: "1.0"})
    rows = msgspec.structs.replace(rows, columns=columns)
    plain = [Measure(name=UNITS), *(measure for measure in rows.measures if measure.kind != "quantile")]
    by = {"day": f"FLOOR({columns.time} / {DAY!r})"} if columns.time else {}
    found = read_products(rows.warehouse, columns, plain, rows.reading.covariates, by, rows.complete)
    counted = merged(found[UNITS])
    units = {arm: counted[arm].units if arm in counted else 0 for arm in rows.arms}
    strangers = {arm: each.units for arm, each in counted.items() if arm not in units}
    days = sorted(float(group[0]) for group in found[UNITS]) if by else []
    span = days[-1] - days[0] + 1.0 if days else 0.0
    strata = _groups(rows, plain, (rows.reading.stratum,)) if rows.reading.stratum else {}
    segments = {feature: _groups(rows, plain, (feature,)) for feature in rows.reading.segments}
    metrics = []
    for measure in rows.measures:
        if measure.kind == "quantile":
            metrics.append(_quantile_metric(rows, measure))
            continue
        parts = {feature: groups[measure.name] for feature, groups in segments.items()}
        metrics.append(_metric(rows, measure, found[measure.name], strata.get(measure.name, {}), parts, span))
    return Found(_adjusted(metrics, rows.reading, units, span), units, strangers, span)


def _groups(rows: Rows, measures: Sequence[Measure], features: Sequence[str]) -> dict[str, Parts]:
    """Return the products by the values of a feature."""
    by = {f"g{place}": f"COALESCE({rows.columns.features[name]}, '')" for place, name in enumerate(features)}
    found = read_products(rows.warehouse, rows.columns, measures, rows.reading.covariates, by, rows.complete)
    return dict(found)


def _metric(
    rows: Rows, measure: Measure, daily: Parts, strata: Parts, segments: Mapping[str, Parts], span: float
) -> MetricResult:
    """Return one measure over all arms."""
    whole, reading = merged(daily), rows.reading
    control = whole.get(rows.arms[0], NOBODY)
    results = [ArmResult(rows.arms[0], _mean(control, reading))]
    for arm in rows.arms[1:]:
        if arm not in whole or not control.columns:
            results.append(ArmResult(arm, _mean(whole.get(arm, NOBODY), reading)))
            continue
        mine = whole[arm]
        pairs = [
            Stratum(part[arm], part[rows.arms[0]]) for part in strata.values() if {arm, rows.arms[0]} <= part.keys()
        ]
        found, cut = contrast_arms(mine, control, pairs)
        history = _history(daily, (arm, rows.arms[0])) if reading.inference == "group" else ()
        said = compare_arm(measure, reading, found, cut, found.n / span if span else 0.0, history)
        results.append(_result(arm, _mean(mine, reading), said))
    differ = {feature: _differ(rows, parts) for feature, parts in segments.items()}
    days = _days(rows, daily) if span > 1 else ()
    return MetricResult(measure.name, measure.role, tuple(results), measure.kind, measure.better, differ, days)


def _mean(found: Products, reading: Reading) -> Estimate:
    nothing = Estimate(0, float("nan"), float("nan"), float("nan"))
    return show_mean(found, reading.confidence) if found.columns else nothing


def _result(arm: str, mean: Estimate, said: Comparison) -> ArmResult:
    """Return an arm with its comparison."""
    lift = said.relative.value
    return ArmResult(arm, mean, as_estimate(said.difference), lift if lift == lift else None, said)


def _history(daily: Parts, arms: tuple[str, str]) -> tuple[int, ...]:
    """Return the units of two arms after each day."""
    total, found = 0, []
    for group in sorted(daily, key=lambda group: float(group[0]) if group else 0.0):
        total += sum(daily[group][arm].units for arm in arms if arm in daily[group])
        found.append(total)
    return tuple(sorted({number for number in found if number > 0}))


def _days(rows: Rows, daily: Parts) -> tuple[DayPoint, ...]:
    """Return the relative lift of each arm over all days up to each."""
    points: list[DayPoint] = []
    so_far: dict[str, Products] = {}
    control = rows.arms[0]
    for group in sorted(daily, key=lambda group: float(group[0])):
        for arm, part in daily[group].items():
            so_far[arm] = so_far[arm].merge(part) if arm in so_far else part
        day = datetime.fromtimestamp(float(group[0]) * DAY, UTC).date().isoformat()
        for arm in rows.arms[1:]:
            if arm not in so_far or control not in so_far:
                continue
            found, _ = contrast_arms(so_far[arm], so_far[control])
            fixed = effect(found, rows.reading.confidence, relative=True)
            always = always_valid(found, rows.reading.confidence, relative=True, tuning=float(rows.reading.planned))
            points.append(DayPoint(day, arm, as_estimate(fixed), as_estimate(always)))
    return tuple(points[-MOST_DAYS * (len(rows.arms) - 1) :])


def _differ(rows: Rows, parts: Parts) -> dict[str, Heterogeneity]:
    """Return each arm's lift by segment, drawn towards the mean; none for arms with fewer than two segments."""
    found = {}
    for arm in rows.arms[1:]:
        effects = []
        for group, part in sorted(parts.items()):
            if {arm, rows.arms[0]} <= part.keys():
                each, _ = contrast_arms(part[arm], part[rows.arms[0]])
                if not each.reason:
                    effects.append(SegmentEffect(group[0] or "(none)", each.n, each.difference, each.variance**0.5))
        if len(effects) > 1:
            found[arm] = heterogeneity(effects, rows.reading.confidence)
    return found


def _quantile_metric(rows: Rows, measure: Measure) -> MetricResult:
    """Return a quantile over all arms."""
    known = read_quantiles(rows.warehouse, rows.columns, measure)
    control = known.get(rows.arms[0])
    results = [ArmResult(rows.arms[0], _quantile(control, rows.reading))]
    for arm in rows.arms[1:]:
        mine = known.get(arm)
        if mine is None or control is None:
            results.append(ArmResult(arm, _quantile(mine, rows.reading)))
            continue
        said = compare_arm(measure, rows.reading, _quantile_contrast(mine, control), 0.0, 0.0)
        results.append(_result(arm, _quantile(mine, rows.reading), said))
    return MetricResult(measure.name, measure.role, tuple(results), measure.kind, measure.better)


def _quantile(found: QuantileSummary | None, reading: Reading) -> Estimate:
    return quantile(found, reading.confidence).estimate if found is not None else _mean(NOBODY, reading)


def _quantile_contrast(arm: QuantileSummary, control: QuantileSummary) -> Contrast:
    """Return the difference of two quantiles with their variances, or why there are none."""
    both = {"treatment": quantile(arm), "control": quantile(control)}
    one, two = (
        Arm(known.units, known.value, each.error**2) for known, each in zip((arm, control), both.values(), strict=True)
    )
    found = contrast_of(one, two)
    for name, each in both.items():
        if each.reason:
            return msgspec.structs.replace(found, reason="no_variance", detail=f"{name}: {each.reason}")
    return found


def _adjusted(
    metrics: Sequence[MetricResult], reading: Reading, units: Mapping[str, int], span: float
) -> tuple[MetricResult, ...]:
    """Return the metrics with p-values that allow for their number, and whether each is significant."""
    places = [
        (i, j)
        for i, metric in enumerate(metrics)
        for j, arm in enumerate(metric.arms)
        if arm.comparison is not None and arm.comparison.adjusted == arm.comparison.adjusted
    ]
    compared = [metrics[i].arms[j].comparison for i, j in places]
    given = [each.adjusted for each in compared if each is not None]
    alpha, values = 1.0 - reading.confidence, given
    if given and reading.correction != "none":
        method: Method = "holm" if reading.correction == "holm" else "benjamini_hochberg"
        values = [each.adjusted for each in adjust(given, alpha, method)]
    ready = span >= reading.least_days or not span
    control = next(iter(units), "")
    changed = dict(zip(places, values, strict=True))
    out = []
    for i, metric in enumerate(metrics):
        arms = list(metric.arms)
        for j, arm in enumerate(arms):
            if (i, j) in changed and arm.comparison is not None:
                enough = ready and min(units[arm.arm], units[control]) >= reading.least_units
                said = msgspec.structs.replace(
                    arm.comparison, adjusted=changed[i, j], significant=enough and changed[i, j] <= alpha
                )
                arms[j] = msgspec.structs.replace(arm, comparison=said)
        out.append(msgspec.structs.replace(metric, arms=tuple(arms)))
    return tuple(out)
