"""What the command that tunes says of a state, of trials and of points, as text."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from abloop.loop import Loop
    from abloop.optimize.trials import Point, State, Trial
    from abloop.store.serving import Comparison


def state_text(state: State, ready: int, needed: int) -> str:
    """Return a state as text, with the units that each arm of the round that runs has and needs."""
    from abloop.compare import SETTLE_SECONDS  # here, so that other commands load no statistics

    if not state.rounds:
        return f"{state.strategy} was never tuned. Begin: abloop tune {state.strategy} propose"
    last, read = state.rounds[-1], f"abloop tune {state.strategy} read"
    waits = f"Round {last.number} runs: its smallest arm has {ready:,} of {needed:,} units with complete outcomes"
    if not ready:
        waits += f"; decisions of its first {SETTLE_SECONDS:g} s, while every process takes it up, do not count"
    said = {
        "proposed": f"Round {last.number} is proposed and not begun: abloop tune {state.strategy} propose",
        "running": f"{waits}. {'Once all have: ' if ready < needed else 'Go on: '}{read}",
        "read": f"Round {last.number} is read: abloop tune {state.strategy} frontier, or propose the next",
        "marked": f"Round {last.number} says nothing: {last.reason.rstrip('.?!')}. Propose the next",
    }[last.status]
    return f"{said}.\n\n{trials_text(state.of(last.number), 'what served beside it')}"


def trials_text(trials: Sequence[Trial], against: str) -> str:
    """Return trials with their weights, what they changed, and why they do not count."""
    from abloop.optimize.pareto import said
    from abloop.readout.text import table

    rows = []
    for trial in trials:
        weights = ", ".join(f"{name} {value:.4g}" for name, value in trial.weights.items())
        words = "; ".join(part for part in (said(trial.lifts), trial.reason) if part)
        units = "-" if trial.status == "proposed" else f"{trial.units:,}"
        rows.append([str(trial.number), units, weights, words or trial.status])
    return table(["trial", "units", "weights", f"change against {against} (95 %)"], rows)


def beside_text(state: State, running: Comparison | None) -> list[str]:
    """Return what is compared outside of rounds, as a line."""
    if running is None or state.open is not None:
        return []
    those, name = " and ".join(str(entry.version) for entry in running.entries), state.strategy
    return [f"Versions {those} are compared: abloop compare {name}. Before the next round, end that: --stop"]


def gone_text(gone: dict[str, int]) -> list[str]:
    """Return which trials are not learned from, as lines."""
    return [
        f"{count} trial{'s' * (count > 1)} cannot be compared with what serves: {why}" for why, count in gone.items()
    ]


def unmeasured_text(state: State) -> str:
    """Return why no trial is on the frontier, and what to do."""
    if any(trial.lifts for trial in state.read()):
        return "every trial that was read is beyond a limit; widen tuning.limits, or give weights other ranges"
    if state.open is not None:
        action = "read" if state.open.status == "running" else "propose"
        return f"round {state.open.number} is not read; abloop tune {state.strategy} {action}"
    return f"no trial was read; abloop tune {state.strategy} propose"


def beyond_text(state: State, best: Sequence[Trial], loop: Loop) -> list[str]:
    """Return which trials break a limit, and which of the best are worse than what serves, as lines."""
    from abloop import tuning

    _, blueprint = loop.catalogue.blueprint(state.strategy, loop.catalogue.serving(state.strategy).version)
    goals, limits = tuning.objectives(blueprint), blueprint.tuning.limits
    beyond = [str(each.number) for each in state.trials if each.lifts and not tuning.keeps(each.lifts, limits)]
    beaten = [
        str(each.number)
        for each in best
        if all(each.lifts[goal.metric].mean * (1 if goal.better == "higher" else -1) < 0 for goal in goals)
    ]
    found = [f"\nBeyond a limit, and not above: trial {', '.join(beyond)}"] if beyond else []
    return found + ([f"\nWorse than what serves at every objective: trial {', '.join(beaten)}"] if beaten else [])


def expected_text(points: Sequence[Point]) -> str:
    """Return points with their weights and what they are expected to change."""
    from abloop.optimize.pareto import said
    from abloop.readout.text import table

    rows = [
        [
            f"{point.kept:.0%}",
            ", ".join(f"{name} {value:.4g}" for name, value in point.weights.items()),
            said(point.lifts),
        ]
        for point in points
    ]
    return table(["chance to keep the limits", "weights", "expected change (95 %)"], rows)


def point_text(point: Point, strategy: str) -> str:
    """Return a chosen point as text, with what to do."""
    from abloop.optimize.pareto import said

    weights = ",".join(f"{name}={value:.6g}" for name, value in point.weights.items())
    return f"{said(point.lifts)}\nConfirm it: abloop tune {strategy} pick --weights {weights} --why TEXT"
