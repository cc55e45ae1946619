"""Rounds: weights are proposed, and served beside those that serve; what is chosen is served to be confirmed.

Every step is kept before the next begins, and each may be repeated: a process that is killed anywhere goes on where it
was, on any machine, and no trial is lost or doubled.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import msgspec

from abloop.blueprint import Blueprint
from abloop.blueprint.parameters import tunable, with_settings
from abloop.compare import compare
from abloop.errors import DataError
from abloop.optimize.drift import again_of, widened
from abloop.optimize.propose import draw
from abloop.optimize.propose import propose as suggest
from abloop.optimize.trials import Point, Round, State, Trial
from abloop.store.serving import Comparison
from abloop.store.workspace import Workspace
from abloop.tuning.known import known
from abloop.tuning.logs import score
from abloop.tuning.plan import search_of

Progress = Callable[[int, int], None]


def silent(done: int, total: int) -> None:
    """Say nothing of progress."""


def status(workspace: Workspace, strategy: str) -> State:
    """Return all that is known of a strategy's tuning.

    Raises:
        UnknownNameError: There is no such strategy.
    """
    workspace.catalogue.serving(strategy)
    return workspace.tunings.state(strategy)


def propose(
    workspace: Workspace, strategy: str, *, count: int = 0, who: str, why: str = "", progress: Progress = silent
) -> State:
    """Propose the weights of a round and serve them beside those that serve, each for its share of the units.

    A round that was proposed and not begun, because the process ended, is begun; nothing is proposed twice.

    Args:
        workspace: What `abloop.connect` gave.
        strategy: Its name.
        count: How many; what the blueprint says where 0.
        who: Who proposes it.
        why: Why.
        progress: Called with steps done and steps in all, where logs are asked.

    Raises:
        UnknownNameError: There is no such strategy.
        DataError: A round runs already, nothing can be tuned, or the strategy cannot be compared.
        MissingExtraError: botorch is not installed.
    """
    state, serving = status(workspace, strategy), workspace.catalogue.serving(strategy)
    version, blueprint = workspace.catalogue.blueprint(strategy, serving.version)
    if state.open is None:
        if not tunable(blueprint):
            fix = "give policy.weights low and high, or name tuning.parameters"
            raise DataError(f"strategy {strategy!r} has nothing with a range; {fix}")
        if workspace.comparisons.current().get(strategy):
            raise DataError(
                f"strategy {strategy!r} compares versions; end that first: abloop compare {strategy} --stop"
            )
        number = len(state.rounds)
        if blueprint.tuning.logs and not state.scored and not state.read():
            state = msgspec.structs.replace(state, scored=score(workspace, strategy, blueprint, progress))
        told = known(workspace, state, blueprint, guess=True)
        found = _proposed(blueprint, told, count or blueprint.tuning.arms)
        trials = tuple(
            Trial(len(state.trials) + at, number, weights, source=source) for at, (weights, source) in enumerate(found)
        )
        begun = Round(number, version, at=workspace.clock())
        new = msgspec.structs.replace(state, rounds=(*state.rounds, begun), trials=(*state.trials, *trials))
        state = workspace.tunings.advance(new, at=workspace.clock(), who=who, why=why)
    elif state.open.status == "running":
        raise DataError(f"round {state.open.number} of {strategy!r} runs; read it first: abloop tune {strategy} read")
    return _begin(workspace, state, who=who, why=why)


def _proposed(blueprint: Blueprint, state: State, count: int) -> list[tuple[dict[str, float], str]]:
    """Return the weights of the next round, those that are tried again first."""
    plan, search = blueprint.tuning, search_of(blueprint, len(state.rounds))
    if plan.among:
        chosen = draw(search, state.trials, plan.among, count)
        return [(search.served | plan.among[at], "among") for at in chosen]
    again = again_of(state, search, min(plan.repeat, count - 1))
    known = widened(state.trials)
    return again + (suggest(search, known, count - len(again), state.scored) if count > len(again) else [])


def _begin(workspace: Workspace, state: State, *, who: str, why: str) -> State:
    """Make the versions of a proposed round and compare them; what is there already is taken as it is."""
    begun = state.rounds[-1]
    _, base = workspace.catalogue.blueprint(state.strategy, begun.baseline)
    trials = []
    for trial in state.of(begun.number):
        said = f"tuning: trial {trial.number}"
        made = workspace.catalogue.add_blueprint(
            with_settings(base, trial.weights), at=workspace.clock(), who=who, why=said, serve=False
        )
        trials.append(msgspec.structs.replace(trial, version=made))
    versions = list(dict.fromkeys([begun.baseline, *(trial.version for trial in trials)]))
    running = workspace.comparisons.current().get(state.strategy)
    if running is None or [entry.version for entry in running.entries] != versions:
        running = compare(workspace, state.strategy, versions, who=who, why=why or f"tuning: round {begun.number}")
    round_ = msgspec.structs.replace(begun, status="running", comparison=running.id)
    return workspace.tunings.advance(changed(state, round_, trials), at=workspace.clock(), who=who, why="begun")


def pick(
    workspace: Workspace, strategy: str, choice: int | Point | Mapping[str, float], *, who: str, why: str
) -> Comparison:
    """Serve chosen weights beside those that serve, alone, to confirm them.

    Args:
        workspace: What `abloop.connect` gave.
        strategy: Its name.
        choice: Number of a trial that was read, a point of `pareto`, or weights.
        who: Who picks it.
        why: Why.

    Raises:
        UnknownNameError: There is no such strategy.
        DataError: There is no such trial that was read, a weight is outside its range, or a round runs.
    """
    state = status(workspace, strategy)
    chosen = [trial for trial in state.read() if trial.number == choice]
    if isinstance(choice, int) and not chosen:
        known = ", ".join(str(trial.number) for trial in state.read()) or "none"
        raise DataError(f"trial {choice} of {strategy!r} was not read; those that were: {known}")
    if state.open is not None:
        raise DataError(
            f"round {state.open.number} of {strategy!r} is open; read it first: abloop tune {strategy} read"
        )
    serving = workspace.catalogue.serving(strategy)
    if isinstance(choice, int):
        return compare(workspace, strategy, [serving.version, chosen[0].version], who=who, why=why)
    _, base = workspace.catalogue.blueprint(strategy, serving.version)
    weights = dict(choice.weights if isinstance(choice, Point) else choice)
    check_weights(base, weights)
    made = workspace.catalogue.add_blueprint(
        with_settings(base, weights), at=workspace.clock(), who=who, why=why, serve=False
    )
    return compare(workspace, strategy, [serving.version, made], who=who, why=why)


def check_weights(blueprint: Blueprint, weights: Mapping[str, float]) -> None:
    """Refuse weights that miss one with a range, or are outside it.

    Raises:
        DataError: They are.
    """
    for name, (low, high) in tunable(blueprint).items():
        if name not in weights or not low <= weights[name] <= high:
            kind = "parameter" if "." in name else "weight"
            raise DataError(f"{kind} {name!r} is {weights.get(name)}; allowed: {low:g} to {high:g}")


def changed(state: State, round_: Round, trials: Sequence[Trial]) -> State:
    """Return a state with a round and its trials replaced."""
    new = {trial.number: trial for trial in trials}
    return msgspec.structs.replace(
        state,
        rounds=(*state.rounds[:-1], round_),
        trials=tuple(new.get(trial.number, trial) for trial in state.trials),
    )
