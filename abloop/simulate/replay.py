"""The whole loop on a trial: history in, gate asked, and the rest replayed through the real `get_decision`.

Replay is by rejection: a unit counts when the arm that `get_decision` returns is the arm it really had. The
log is randomised, so that the units that count are a fair sample of what the policy would have seen; each is
weighted by one over the probability of its arm. Source: Li, Chu, Langford, Wang, "Unbiased offline
evaluation of contextual-bandit-based news article recommendation algorithms", WSDM 2011.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from abloop import offline
from abloop.errors import DataError
from abloop.evaluate.ope import value_difference, weighted_value
from abloop.evaluate.verdict import Verdict
from abloop.hte.kept import keep
from abloop.hte.strategy import explain
from abloop.loop import Loop
from abloop.models.artefact import Artefact
from abloop.online import Strategy
from abloop.readout import Readout, readout
from abloop.rollout.promote import promote
from abloop.simulate.trials import Trial
from abloop.stats.compare import Estimate

GATE_KEYS = ("verdict", "arm", "gain", "low", "high", "learner", "reason", "heterogeneity", "n")
Progress = Callable[[str, int, int], None]


class Regret(msgspec.Struct, frozen=True):
    """What each way of assigning loses against the truly best arm for every unit, per unit.

    Attributes:
        policy: The learned policy, as `get_decision` answered.
        best_arm: The gate's best single arm for everybody.
        random: The trial's own randomisation.
    """

    policy: float
    best_arm: float
    random: float


class Heldout(msgspec.Struct, frozen=True):
    """Net value per unit on the units that the learner never saw, with 95 % intervals.

    Attributes:
        policy: Best arm for each unit by the learned model, whether or not the gate lets it serve.
        best_arm: The gate's best single arm for everybody.
        random: The trial's own randomisation.
        served: What the verdict lets `get_decision` answer, its explore share included.
        policy_minus_best_arm: The difference of the first two; units on which both agree cancel in its interval.
    """

    policy: Estimate
    best_arm: Estimate
    random: Estimate
    served: Estimate
    policy_minus_best_arm: Estimate


class Replay(msgspec.Struct, frozen=True):
    """The whole story of a trial.

    Attributes:
        trial: Its name.
        note: What a reader must know of the data.
        n_history: Units the loop learned from.
        n_replay: Units replayed after.
        readout: The readout of the history.
        verdict: What the gate said of it.
        heldout: What happened after; None if nothing could be fitted.
        regret: Loss against the truth; None for real trials.
        errors: Replayed calls that got the default because they could not be answered.
        seconds: Wall time.
    """

    trial: str
    note: str
    n_history: int
    n_replay: int
    readout: Readout
    verdict: Verdict
    heldout: Heldout | None
    regret: Regret | None
    errors: int
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """Return plain data, with the gate's numbers under `gate` and the history's arms under `arms`."""
        gate = msgspec.to_builtins(self.verdict)
        data: dict[str, Any] = {
            "trial": self.trial,
            "note": self.note,
            "n_history": self.n_history,
            "n_replay": self.n_replay,
            "arms": {arm.arm: msgspec.to_builtins(arm.mean) for arm in self.readout.metrics[0].arms},
            "readout": self.readout.to_dict(),
            "gate": {key: gate[key] for key in GATE_KEYS},
            "heldout": msgspec.to_builtins(self.heldout),
            "regret": msgspec.to_builtins(self.regret),
            "errors": self.errors,
            "seconds": self.seconds,
        }
        return data


def run(
    trial: Trial,
    *,
    history: float = 0.6,
    url: str = "",
    progress: Progress = lambda step, done, total: None,
) -> Replay:
    """Import the first part of a trial, learn, ask the gate, and replay the rest.

    Args:
        trial: The trial.
        history: Share of the rows, in file order, that become history, in (0, 1).
        url: Database to leave the strategy in; a temporary one where empty.
        progress: Called with the step, parts done and parts in all.

    Raises:
        DataError: The share leaves too few rows on either side.
    """
    started = time.monotonic()
    cut = round(len(trial.frame) * history)
    if not 0 < history < 1 or not 0 < cut < len(trial.frame):
        raise DataError(
            f"history is {history}; allowed: a share in (0, 1) that leaves rows on both sides of {len(trial.frame):,}"
        )
    past, rest = trial.frame.iloc[:cut], trial.frame.iloc[cut:]
    name = trial.blueprint.strategy
    with tempfile.TemporaryDirectory() as scratch:
        loop = Loop(url or f"sqlite:///{scratch}/demo.db")
        try:
            loop.register(trial.blueprint, who="demo", why=f"trial {trial.name}")
            _import(loop, name, past, trial)
            progress("import", 1, 1)
            offline.ship_spool(loop)
            offline.join_rows(loop, name)
            progress("join", 1, 1)
            seen = readout(loop, name)
            judged = offline.gate(loop, name, progress=lambda done, total: progress("learn", done, total))
            offline.switch(loop, name, judged)
            if url and judged.learned is not None:
                keep(loop, explain(*judged.learned, judged.verdict), who="demo")
            loop.refresh()
            served = _answers(loop.strategy(name), rest, trial, progress)
            errors = loop.strategy(name).errors
            policy = served
            if judged.candidate:
                policy = _shadow(Path(scratch) / "shadow.db", rest, trial, judged.candidate, judged.verdict, progress)
            offline.ship_spool(loop)
        finally:
            loop.close()
    best = judged.verdict.arm
    heldout = _compare(rest, trial, policy, served, best) if judged.candidate else None
    regret = _regret(trial, cut, policy, best) if judged.candidate else None
    seconds = round(time.monotonic() - started, 2)
    return Replay(trial.name, trial.note, cut, len(rest), seen, judged.verdict, heldout, regret, errors, seconds)


def _import(loop: Loop, name: str, past: pd.DataFrame, trial: Trial) -> None:
    offline.import_trial(
        loop,
        name,
        past,
        arm="arm",
        outcomes=[metric.name for metric in trial.blueprint.metrics],
        features=[feature.name for feature in trial.blueprint.features],
        propensity="propensity" if "propensity" in past else None,
    )


class _Answers(msgspec.Struct, frozen=True):
    """What `get_decision` returned for each replayed unit: arm names, and whether the unit explores."""

    arms: list[Any]
    explores: NDArray[np.bool_]


def _answers(strategy: Strategy, rest: pd.DataFrame, trial: Trial, progress: Progress) -> _Answers:
    """Ask the real `get_decision` for every unit of the rest; log the outcome where the arm is the real one."""
    blueprint = trial.blueprint
    features = [feature.name for feature in blueprint.features]
    metrics = [metric.name for metric in blueprint.metrics]
    contexts = [dict(zip(features, row, strict=True)) for row in rest[features].astype(object).to_numpy().tolist()]
    outcomes = [dict(zip(metrics, row, strict=True)) for row in rest[metrics].to_numpy().tolist()]
    arms, explores = [], []
    for position, (index, had) in enumerate(zip(rest.index, rest["arm"], strict=True)):
        unit = f"replay-{index}"
        context = {**contexts[position], blueprint.unit: unit}
        arm = strategy.get_decision(unit, context)
        arms.append(arm)
        explores.append(strategy.snapshot.assignment.explores(unit))
        if arm == had:
            strategy.log_observations(unit, outcomes[position])
        if position % 1_000 == 999 or position + 1 == len(rest):
            progress("replay", position + 1, len(rest))
    return _Answers(arms, np.asarray(explores))


def _shadow(
    path: Path, rest: pd.DataFrame, trial: Trial, candidate: Artefact, verdict: Verdict, progress: Progress
) -> _Answers:
    """Replay the candidate in an installation of its own, served to nearly all, whatever the gate said of it.

    So it is shown what a refused policy would have cost, and a served one is measured without its explore share.
    """
    name, trial_of_all = (
        trial.blueprint.strategy,
        msgspec.structs.replace(trial.blueprint.experiment, explore=0.01),
    )
    loop = Loop(f"sqlite:///{path}")
    try:
        blueprint = msgspec.structs.replace(trial.blueprint, experiment=trial_of_all)
        loop.register(blueprint, who="demo", why="the learned policy by itself")
        anyway = msgspec.structs.replace(verdict, verdict="personalise")
        promote(loop, loop.catalogue.serving(name), anyway, candidate, who="demo")
        return _answers(loop.strategy(name), rest, trial, progress)
    finally:
        loop.close()


def _compare(rest: pd.DataFrame, trial: Trial, policy: _Answers, served: _Answers, best: str) -> Heldout:
    """Return the value of each way of assigning on the replayed units."""
    blueprint = trial.blueprint
    costs = {arm.name: arm.cost for arm in blueprint.ordered_arms()}
    shares = dict(zip((arm.name for arm in blueprint.ordered_arms()), blueprint.weights(), strict=True))
    had = rest["arm"].to_numpy()
    value = sum((rest[m.name].to_numpy(float) * m.value for m in blueprint.goals()), start=np.zeros(len(rest)))
    value = value - np.asarray([costs[arm] for arm in had])
    known = "propensity" in rest
    weight = 1.0 / (rest["propensity"].to_numpy(float) if known else np.asarray([shares[arm] for arm in had]))

    def worth(rows: NDArray[np.bool_]) -> Estimate:
        return weighted_value(value[rows], np.arange(int(rows.sum())), weight[rows])

    chosen = (np.asarray(policy.arms) == had) & ~policy.explores
    arm = had == best
    return Heldout(
        policy=worth(chosen),
        best_arm=worth(arm),
        random=weighted_value(value, np.arange(len(rest))),
        served=worth(np.asarray(served.arms) == had),
        policy_minus_best_arm=value_difference(value, weight, chosen, arm),
    )


def _regret(trial: Trial, cut: int, policy: _Answers, best: str) -> Regret | None:
    """Return what each way of assigning loses against the truth."""
    if trial.truth is None:
        return None
    truth = trial.truth[cut:]
    names = [arm.name for arm in trial.blueprint.ordered_arms()]
    chosen = np.asarray([names.index(arm) for arm in policy.arms])
    most = truth.max(axis=1)
    rows = ~policy.explores
    return Regret(
        policy=float((most - truth[np.arange(len(truth)), chosen])[rows].mean()),
        best_arm=float((most - truth[:, names.index(best)]).mean()),
        random=float((most - truth @ np.asarray(trial.blueprint.weights())).mean()),
    )
