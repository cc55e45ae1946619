"""What to do after a readout, in plain words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from abloop.blueprint.reading import Reading
from abloop.readout.results import Advice, ArmResult, MetricResult, Recommendation


def recommend(
    metrics: Sequence[MetricResult], units: Mapping[str, int], reading: Reading, days: float, ill: str
) -> Recommendation:
    """Return what to do.

    Args:
        metrics: The first decides; all guardrails can stop it.
        units: Units by arm, control first.
        reading: Floors, and the lift that should be seen.
        days: Days so far.
        ill: Why the numbers cannot be believed; empty where they can.
    """
    if ill:
        return Recommendation("unhealthy", "", ill)
    if not metrics or not all(units.values()):
        return Recommendation("wait", "", "There is nothing to compare yet.")
    if too_early := _too_early(units, reading, days):
        return Recommendation("keep running", "", too_early)
    goal = metrics[0]
    arms = [arm for arm in goal.arms[1:] if arm.comparison is not None]
    clear = [arm for arm in arms if arm.comparison is not None and arm.comparison.significant]
    sign = 1.0 if goal.better == "higher" else -1.0
    better = [arm for arm in clear if arm.lift is not None and sign * arm.lift.mean > 0]
    failed = {arm.arm: _failed(metrics[1:], arm.arm) for arm in arms}
    winners = [arm for arm in better if not failed[arm.arm]]
    if winners:
        return _ship(goal, metrics[1:], max(winners, key=lambda arm: sign * _mean(arm)))
    harmed = [arm for arm in arms if failed[arm.arm] or (arm in clear and arm not in better)]
    if harmed:
        arm = min(harmed, key=lambda arm: sign * _mean(arm))
        why = failed[arm.arm] or f"it is clearly worse on {goal.metric} ({_lift(arm)})"
        return Recommendation("roll back", arm.arm, f"Take {arm.arm!r} out: {why}.")
    return _go_on(goal, arms, reading)


def _too_early(units: Mapping[str, int], reading: Reading, days: float) -> str:
    """Return why nothing may be called significant yet."""
    least = min(units, key=lambda arm: units[arm])
    if units[least] < reading.least_units:
        return f"Arm {least!r} has {units[least]:,} of the {reading.least_units:,} units before which nothing counts."
    if days and days < reading.least_days:
        return f"It ran for {days:g} of the {reading.least_days:g} days before which nothing counts."
    return ""


def _failed(metrics: Sequence[MetricResult], arm: str) -> str:
    """Return which guardrail an arm breaks."""
    for metric in metrics:
        for each in metric.arms:
            if each.arm == arm and each.comparison is not None and each.comparison.guardrail == "fail":
                return f"guardrail {metric.metric!r} is worse than it may be ({_lift(each)})"
    return ""


def _ship(goal: MetricResult, others: Sequence[MetricResult], arm: ArmResult) -> Recommendation:
    """Return the word for an arm that is better, and breaks no guardrail."""
    open_ = [
        metric.metric
        for metric in others
        for each in metric.arms
        if each.arm == arm.arm and each.comparison is not None and each.comparison.guardrail == "unclear"
    ]
    said = f"{arm.arm!r} is clearly better on {goal.metric} ({_lift(arm)})"
    if open_:
        text = f"{said}, but guardrail {open_[0]!r} is not clear yet. Keep running until it is."
        return Recommendation("keep running", arm.arm, text)
    return Recommendation(
        "ship", arm.arm, f"{said}{', and no guardrail is broken' if _guards(others) else ''}. Ship it."
    )


def _guards(metrics: Sequence[MetricResult]) -> bool:
    return any(metric.role == "guardrail" for metric in metrics)


def _go_on(goal: MetricResult, arms: Sequence[ArmResult], reading: Reading) -> Recommendation:
    """Return how long it takes where nothing is clear."""
    ahead = [
        arm.comparison.outlook for arm in arms if arm.comparison is not None and arm.comparison.outlook is not None
    ]
    wanted = f"a lift of {reading.effect:.0%}"
    if not ahead:
        return Recommendation("keep running", "", f"No arm is clearly better or worse on {goal.metric} yet.")
    last = max(ahead, key=lambda each: each.needed)
    if last.needed <= last.units:
        text = (
            f"No arm is clearly better on {goal.metric}, and {wanted} would most likely have been seen. Keep control."
        )
        return Recommendation("stop", goal.arms[0].arm, text)
    advice: Advice = "keep running"
    left = last.needed - last.units
    days = f"about {last.days:,} more days, " if last.days is not None and last.days < 10_000 else ""
    text = f"Nothing is clear yet. To see {wanted} it takes {days}{left:,} more units (power 80 %)."
    return Recommendation(advice, "", text)


def _mean(arm: ArmResult) -> float:
    return arm.lift.mean if arm.lift is not None else 0.0


def _lift(arm: ArmResult) -> str:
    """Return the lift of an arm with its interval, as shares where there are any."""
    if arm.comparison is None:
        return ""
    found = arm.comparison.relative
    if not found.reason:
        return f"{found.value:+.1%}, {found.low:+.1%} to {found.high:+.1%}"
    plain = arm.comparison.difference
    return f"{plain.value:+.4g}, {plain.low:+.4g} to {plain.high:+.4g}"


def gaps(metrics: Sequence[MetricResult]) -> list[str]:
    """Return which lifts have no interval, and why, one sentence each."""
    return [
        f"No interval for {metric.metric!r} in arm {arm.arm!r}: {arm.comparison.difference.detail}."
        for metric in metrics
        for arm in metric.arms
        if arm.comparison is not None and arm.comparison.difference.reason
    ]
