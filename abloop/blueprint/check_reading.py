"""What must hold of how a strategy is read."""

from __future__ import annotations

from abloop import validate
from abloop.blueprint.reading import Measure, Reading
from abloop.blueprint.spec import Blueprint
from abloop.errors import BlueprintError, unknown

ONLY = {"per": "mean", "given": "share", "after": "share", "level": "quantile"}  # a field to the kind that has it


def check_reading(blueprint: Blueprint, reading: Reading) -> None:
    """Check how a strategy is read.

    Args:
        blueprint: Knows metrics and features.
        reading: What is checked.

    Raises:
        BlueprintError: With path, value, what is allowed and the fix.
    """
    metrics = [metric.name for metric in blueprint.metrics]
    for index, measure in enumerate(reading.measures):
        _check_measure(f"readout.measures[{index}]", measure, blueprint, metrics)
    validate.distinct("readout.measures", [measure.name for measure in reading.measures])
    numeric = [feature.name for feature in blueprint.sourced() if feature.type in ("numeric", "time")]
    categorical = [feature.name for feature in blueprint.sourced() if feature.type == "categorical"]
    for name, given, known in (
        ("covariates", reading.covariates, numeric),
        ("stratum", (reading.stratum,) if reading.stratum else (), categorical),
        ("segments", reading.segments, categorical),
    ):
        for each in given:
            if each not in known:
                place = f"readout.{name}"
                raise BlueprintError(f"{place}: {unknown('feature', each, known)}", place=place)
        validate.distinct(f"readout.{name}", list(given))
    validate.in_range("readout.confidence", reading.confidence, 0.5, 1, open_low=True, open_high=True)
    validate.in_range("readout.planned", reading.planned, 10, 10**12)
    validate.in_range("readout.prior", reading.prior, 0, 100)
    validate.in_range("readout.least_units", reading.least_units, 2, 10**9)
    validate.in_range("readout.least_days", reading.least_days, 0, 3_660)
    validate.in_range("readout.effect", reading.effect, 0, 10, open_low=True)


def _check_measure(place: str, measure: Measure, blueprint: Blueprint, metrics: list[str]) -> None:
    """Check one measure."""
    validate.text(f"{place}.name", measure.name)
    if measure.name in metrics and measure.kind == "mean" and not (measure.per or measure.where or _is_capped(measure)):
        _refuse(place, f"is the mean of {measure.name!r}, which is shown anyway", "another kind, per, cap or where")
    for field, name in (("of", measure.metric), ("per", measure.per), ("given", measure.given)):
        if name and name not in metrics:
            _refuse(f"{place}.{field}", "names no metric", unknown("metric", name, metrics))
    known = [feature.name for feature in blueprint.sourced()]
    for name in measure.where:
        if name not in known:
            _refuse(f"{place}.where", "names no feature", unknown("feature", name, known))
    _check_kind(place, measure)
    for field in ("level", "cap_level"):
        if getattr(measure, field) is not None:
            validate.in_range(f"{place}.{field}", getattr(measure, field), 0, 1, open_low=True, open_high=True)
    validate.in_range(f"{place}.margin", measure.margin, 0, 1)


def _check_kind(place: str, measure: Measure) -> None:
    """Check that a measure has no more than its kind and role have."""
    for field, kind in ONLY.items():
        value = getattr(measure, field)
        if value != getattr(Measure(name="x"), field) and measure.kind != kind:
            _refuse(f"{place}.{field}", f"is {value!r}, but the kind is {measure.kind!r}", f"kind {kind!r}")
    if measure.cap is not None and measure.cap_level is not None:
        _refuse(f"{place}.cap_level", "is there, and so is cap", "one of them")
    if _is_capped(measure) and measure.kind in ("share", "quantile"):
        _refuse(f"{place}.cap", f"is there, but no large value moves a {measure.kind}", "kind mean or total")
    if measure.margin and measure.role != "guardrail":
        _refuse(f"{place}.margin", f"is {measure.margin:g}, but the role is {measure.role!r}", "role guardrail")


def _refuse(place: str, what: str, allowed: str) -> None:
    raise BlueprintError(f"{place} {what}; allowed: {allowed}", place=place)


def _is_capped(measure: Measure) -> bool:
    return measure.cap is not None or measure.cap_level is not None
