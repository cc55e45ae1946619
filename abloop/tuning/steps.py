"""The state of tuning between two steps: what is known, and the same with a round replaced."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from abloop.optimize.trials import Round, State, Trial
from abloop.store.workspace import Workspace


def status(workspace: Workspace, strategy: str) -> State:
    """Return all that is known of a strategy's tuning.

    Raises:
        UnknownNameError: There is no such strategy.
    """
    workspace.catalogue.serving(strategy)
    return workspace.tunings.state(strategy)


def changed(state: State, round_: Round, trials: Sequence[Trial]) -> State:
    """Return a state with a round and its trials replaced."""
    new = {trial.number: trial for trial in trials}
    return msgspec.structs.replace(
        state,
        rounds=(*state.rounds[:-1], round_),
        trials=tuple(new.get(trial.number, trial) for trial in state.trials),
    )
