"""Trials and rounds of tuning, as a page shows them. Pure: no store, no clock, no HTML."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import msgspec

from abloop.blueprint.tuning import Limit
from abloop.optimize.trials import Lift, Point, Round, State, Trial, keeps
from abloop.store.serving import Comparison
from server.dashboard.alerts import Banner
from server.dashboard.present import Chip
from server.numbers import DASH, Moment, moment, percent

TRIALS = {
    "best": Chip("beaten by none", "proven", "★"),
    "beaten": Chip("beaten", "none", "·"),
    "beyond": Chip("beyond a limit", "wait", "!"),
    "proposed": Chip("proposed", "none", "…"),
    "failed": Chip("says nothing", "wait", "!"),
    "apart": Chip("not comparable", "none", "≠"),
}
ROUNDS = {
    "proposed": Chip("not begun", "wait", "…"),
    "running": Chip("runs", "serving", "⇄"),
    "read": Chip("read", "proven", "✓"),
    "marked": Chip("says nothing", "wait", "!"),
}


class Tried(msgspec.Struct, frozen=True):
    """One trial.

    Attributes:
        number: Of the trial.
        round: Of its round.
        version: Blueprint version that has its weights; 0 before there is one.
        weights: Weight and value as text.
        changes: Metric, change and its 95 % interval as text; dashes where it was not measured.
        units: Units behind them.
        chip: What it is.
        reason: Why it says nothing.
        read: Whether it can be served.
    """

    number: int
    round: int
    version: int
    weights: tuple[tuple[str, str], ...]
    changes: tuple[tuple[str, str, str], ...]
    units: str
    chip: Chip
    reason: str
    read: bool


class Dealt(msgspec.Struct, frozen=True):
    """One round.

    Attributes:
        number: Of the round.
        chip: What it is.
        at: When it was proposed.
        baseline: Version that served.
        trials: How many.
        units: Fewest units of a trial.
        reach: Hypervolume after it, as text.
        reason: Why it says nothing.
    """

    number: int
    chip: Chip
    at: Moment
    baseline: int
    trials: int
    units: str
    reach: str
    reason: str


def tried(
    measured: Trial, today: Trial, best: Collection[int], limits: tuple[Limit, ...], metrics: Sequence[str]
) -> Tried:
    """Return a trial as a line of the table.

    Args:
        measured: As it was read, against what served then.
        today: Against what serves now; where that cannot be said, what was read stands there, with the reason.
        best: Numbers of those that none beats.
        limits: What they must keep.
        metrics: Of the columns.
    """
    apart = bool(measured.lifts) and not today.lifts
    trial = msgspec.structs.replace(measured, reason=today.reason) if apart else today
    kind = "apart" if apart else trial.status if trial.status != "read" else _kind(trial, best, limits)
    changes = []
    for metric in metrics:
        lift = trial.lifts.get(metric)
        if lift is None:
            changes.append((metric, DASH, ""))
        else:
            changes.append((metric, *shown(lift)))
    weights = tuple((name, f"{value:.4g}") for name, value in trial.weights.items())
    return Tried(
        trial.number,
        trial.round,
        trial.version,
        weights,
        tuple(changes),
        f"{trial.units:,}",
        TRIALS[kind],
        trial.reason,
        today.status == "read",
    )


class Offered(msgspec.Struct, frozen=True):
    """One point of the frontier that a model expects.

    Attributes:
        weights: Weight and value as text.
        changes: Metric, expected change and its 95 % interval as text.
        kept: Probability that it keeps all limits, as text.
        trial: Number of the trial that has its weights; -1 where none has.
        exact: Weight to value, as a form carries it.
    """

    weights: tuple[tuple[str, str], ...]
    changes: tuple[tuple[str, str, str], ...]
    kept: str
    trial: int
    exact: tuple[tuple[str, str], ...]


def offered(point: Point, metrics: Sequence[str]) -> Offered:
    """Return a point that is expected as a line of the table."""
    changes = tuple(
        (metric, *shown(point.lifts[metric])) if metric in point.lifts else (metric, DASH, "") for metric in metrics
    )
    weights = tuple((name, f"{value:.4g}") for name, value in point.weights.items())
    exact = tuple((f"weight.{name}", repr(value)) for name, value in point.weights.items())
    return Offered(weights, changes, percent(point.kept), point.trial, exact)


def shown(lift: Lift) -> tuple[str, str]:
    """Return a change and its 95 % interval, as text."""
    ends = percent(lift.low, sign=True), percent(lift.high, sign=True)
    return percent(lift.mean, sign=True), f"[{ends[0]}, {ends[1]}]"


def _kind(trial: Trial, best: Collection[int], limits: tuple[Limit, ...]) -> str:
    """Return what a trial that was read is."""
    return "best" if trial.number in best else "beaten" if keeps(trial.lifts, limits) else "beyond"


def dealt(round_: Round, state: State, reach: Sequence[float], now: float) -> Dealt:
    """Return a round as a line of the table."""
    mine = state.of(round_.number)
    fewest = min((trial.units for trial in mine), default=0)
    far = f"{reach[round_.number]:.4g}" if round_.number < len(reach) and round_.status == "read" else DASH
    units = f"{fewest:,}" if round_.status in ("read", "marked") else DASH
    at = moment(round_.at, now)
    return Dealt(round_.number, ROUNDS[round_.status], at, round_.baseline, len(mine), units, far, round_.reason)


def banners(
    state: State,
    best: Collection[int],
    comparison: Comparison | None,
    bounds: Mapping[str, tuple[float, float]],
    gone: Mapping[str, int],
) -> tuple[Banner, ...]:
    """Return what a reader must know first; `gone` counts, by why, the trials that do not compare with what serves."""
    found = []
    if not bounds:
        text = "Give weights of the policy a range, low and high, or name tuning.parameters: then they can be turned."
        found.append(Banner("note", "There is nothing to tune yet", text))
    last = state.rounds[-1] if state.rounds else None
    if last is not None and last.status == "marked":
        found.append(
            Banner(
                "warning",
                f"Round {last.number} says nothing",
                f"{last.reason[:1].upper()}{last.reason[1:].rstrip('.?!')}. Propose the next one.",
            )
        )
    if last is not None and last.status == "proposed":
        text = (
            "The process that proposed it ended, or the strategy was paused. Propose again: it goes on where it was, "
            "and nothing is doubled."
        )
        found.append(Banner("warning", f"Round {last.number} was not begun", text))
    for why, count in gone.items():
        text = f"{why[:1].upper()}{why[1:]}. The table keeps what they changed against what served then."
        found.append(Banner("note", f"{count} of the trials cannot be compared with what serves", text))
    if sum(bool(trial.lifts) for trial in state.read()) > sum(gone.values()) and not best:
        text = "Every trial that was read is beyond a limit. Loosen tuning.limits, or give weights other ranges."
        found.append(Banner("warning", "Nothing that was tried keeps the limits", text))
    if comparison is not None and state.open is None:
        compared = " and ".join(f"version {entry.version}" for entry in comparison.entries)
        text = f"{compared} decide side by side; a round can be proposed once that has ended."
        found.append(Banner("note", "A comparison runs", text[0].upper() + text[1:]))
    return tuple(found)
