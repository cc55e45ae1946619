"""Heterogeneous effects: S, T and X together beside econml, causalml and the bare fits, and one unit's decision.

All contestants fit the same base learner with the same parameters on the same rows of a randomised trial with known
shares, and predict the effect on every row. `bare` is the LightGBM calls that the three learners need when T and X
share their outcome models: with its predictions, without any bookkeeping. The second part decides for one unit, three
arms and 100 features: from the artefact, by `Booster.predict` on the same trees, and by econml's `effect` of one row.
Peak memory is that of a process of its own, `python -m benchmarks.hte NAME ROWS`, above what it took with its imports
and its rows.
"""

from __future__ import annotations

import json
import platform
import subprocess
import sys
import warnings
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final, NamedTuple

import lightgbm as lgb
import numpy as np
from numpy.typing import NDArray

import abloop
from abloop.learners.base import Sample
from abloop.learners.nuisance import fit_outcomes
from abloop.learners.s import fit_s
from abloop.learners.t import fit_t
from abloop.learners.x import fit_x
from abloop.models.effects import EffectModel
from abloop.models.gbdt import TREES, parameters
from abloop.policy.choose import best_arm
from benchmarks.timing import Contestant, interleave, ratio

COLUMNS: Final = 20
PEAK: Final = 1.0  # of econml's memory
TARGET: Final = {
    "learners_to_econml": 0.7,
    "learners_to_causalml": 0.7,
    "learners_to_bare": 1.25,
    "decision_to_booster": 0.2,
    "decision_to_econml": 1 / 500,
}
Frame = NDArray[np.float64]


def trial(rows: int, columns: int, arms: int, seed: int) -> Sample:
    """Return a randomised trial in which each treatment helps where its own feature is positive."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, columns))
    arm = rng.integers(0, arms, rows)
    effect = np.where(arm > 0, x[np.arange(rows), arm], 0.0)
    return Sample(x, arm, x[:, 0] + effect + rng.normal(size=rows), np.full(arms, 1 / arms))


def base(rows: int) -> lgb.LGBMRegressor:
    """Return abloop's base learner as a scikit-learn estimator, on as many threads as the process may have."""
    options = {key: value for key, value in parameters(rows, 0).items() if key != "objective"}
    return lgb.LGBMRegressor(n_estimators=TREES, n_jobs=0, **options)


def ours(sample: Sample) -> list[Frame]:
    """Fit the three with shared outcome models, and predict."""
    outcomes = fit_outcomes(sample, 0)
    return [fit(sample, outcomes, 0).effect(sample.features)[:, 1] for fit in (fit_s, fit_t, fit_x)]


def bare(sample: Sample) -> list[Frame]:
    """Make the calls of LightGBM that the three need, and no more."""
    x, y, treated = sample.features, sample.outcome, sample.arm == 1

    def fit(features: Frame, outcome: Frame) -> lgb.Booster:
        return lgb.train(parameters(len(outcome), 0), lgb.Dataset(features, outcome), num_boost_round=TREES)

    single = fit(np.column_stack([x, sample.arm]), y)
    rows = len(y)
    s = [np.asarray(single.predict(np.column_stack([x, np.full(rows, at)]))) for at in (0.0, 1.0)]
    control, treatment = fit(x[~treated], y[~treated]), fit(x[treated], y[treated])
    base_line, lifted = np.asarray(control.predict(x)), np.asarray(treatment.predict(x))
    gained = fit(x[treated], y[treated] - base_line[treated])
    missed = fit(x[~treated], lifted[~treated] - y[~treated])
    mixed = (np.asarray(gained.predict(x)) + np.asarray(missed.predict(x))) / 2
    return [s[1] - s[0], lifted - base_line, mixed]


def econml(sample: Sample) -> list[Frame]:
    """Fit and predict with econml; X is given the share, as a model that knows it."""
    from econml.metalearners import SLearner, TLearner, XLearner
    from sklearn.dummy import DummyClassifier

    rows = len(sample.arm)
    learners = (
        SLearner(overall_model=base(rows)),
        TLearner(models=base(rows // 2)),
        XLearner(models=base(rows // 2), propensity_model=DummyClassifier()),
    )
    return [
        learner.fit(sample.outcome, sample.arm, X=sample.features).effect(sample.features).ravel()
        for learner in learners
    ]


def causalml(sample: Sample) -> list[Frame]:
    """Fit and predict with causalml; X is given the share."""
    from causalml.inference.meta import BaseSRegressor, BaseTRegressor, BaseXRegressor

    x, arm, y = sample.features, sample.arm, sample.outcome
    share = np.full(len(arm), 0.5)
    found = []
    for learner, given in (
        (BaseSRegressor(base(len(arm))), {}),
        (BaseTRegressor(base(len(arm) // 2)), {}),
        (BaseXRegressor(base(len(arm) // 2)), {"p": share}),
    ):
        learner.fit(x, arm, y, **given)
        found.append(np.asarray(learner.predict(x, **given)).ravel())
    return found


class Decisions(NamedTuple):
    """Ways of deciding for one unit, and rows to decide for."""

    contestants: dict[str, Contestant[list[list[float]]]]
    rows: list[list[float]]


def decisions(rows: int) -> Decisions:
    """Return ways of deciding among three arms from 100 features, shown to choose the same arms.

    Raises:
        RuntimeError: They choose other arms.
    """
    from econml.metalearners import TLearner

    sample = trial(rows, 100, 3, 0)
    outcomes = fit_outcomes(sample, 0)
    effects = fit_t(sample, outcomes, 0)
    model, costs = EffectModel(effects.spec()), (0.0, 0.01, 0.01)
    peer = TLearner(models=base(rows // 3)).fit(sample.outcome, sample.arm, X=sample.features)
    drawn = np.random.default_rng(1).normal(size=(200, 100))
    todo: list[list[float]] = drawn.tolist()

    def by_booster(row: list[float]) -> int:
        means = [float(np.asarray(booster.predict(np.asarray([row])))[0]) for booster in outcomes]
        return best_arm([mean - means[0] for mean in means], costs)

    def by_econml(row: list[float]) -> int:
        given = np.asarray([row])
        return best_arm([0.0, *(float(peer.effect(given, T0=0, T1=arm).item()) for arm in (1, 2))], costs)

    if any(best_arm(model.row(row), costs) != by_booster(row) for row in todo):
        raise RuntimeError("the artefact and its boosters choose other arms")
    return Decisions(
        {
            "decision": Contestant(lambda each: [best_arm(model.row(row), costs) for row in each]),
            "booster": Contestant(lambda each: [by_booster(row) for row in each]),
            "econml": Contestant(lambda each: [by_econml(row) for row in each[:5]]),
        },
        todo,
    )


def peak_mb(name: str, rows: int) -> float:
    """Return the memory, in MB, that a contestant's process takes at most above its imports and its rows."""
    command = [sys.executable, "-W", "ignore", "-m", "benchmarks.hte", name, str(rows)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603
    return float(json.loads(done.stdout)["peak_mb"])


def _most() -> float:
    """Return the most memory that this process took since it was last asked to forget, in MB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))


def main(name: str, rows: int) -> None:
    """Print the peak of one contestant."""
    contestant = {"learners": ours, "bare": bare, "econml": econml, "causalml": causalml}[name]
    contestant(trial(2_000, COLUMNS, 2, 0))  # imports
    sample = trial(rows, COLUMNS, 2, 0)
    Path("/proc/self/clear_refs").write_text("5")  # the peak is counted from here
    before = _most()
    contestant(sample)
    sys.stdout.write(json.dumps({"peak_mb": _most() - before}))


def measure(quick: bool = False) -> dict[str, Any]:
    """Return the ratios of this machine.

    Args:
        quick: Few rows in few rounds: shows that it works, and no more.

    Raises:
        RuntimeError: A contestant's effects are not ours.
    """
    rows, rounds = (2_000, 1) if quick else (1_000_000, 3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        small = trial(3_000, COLUMNS, 2, 1)
        mine = ours(small)
        for peer in (bare, econml, causalml):
            for us, them in zip(mine, peer(small), strict=True):
                if np.corrcoef(us, them)[0, 1] < 0.9:
                    raise RuntimeError(f"{peer.__name__} finds other effects")
        learners = {
            "learners": Contestant(ours),
            "bare": Contestant(bare),
            "econml": Contestant(econml),
            "causalml": Contestant(causalml),
        }
        seconds = interleave(learners, lambda number: trial(rows if number else 2_000, COLUMNS, 2, number), rounds)
        ratios = {f"learners_to_{name}": ratio(seconds, "learners", name) for name in ("econml", "causalml", "bare")}
        contestants, todo = decisions(900 if quick else 60_000)
        seconds = interleave(contestants, lambda _: todo, 3 if quick else 15)
        seconds["econml"] = [took * len(todo) / 5 for took in seconds["econml"]]
        ratios |= {f"decision_to_{name}": ratio(seconds, "decision", name) for name in ("booster", "econml")}
        peaks = {name: round(peak_mb(name, rows), 1) for name in ("learners", "econml", "causalml", "bare")}
    named = ("lightgbm", "econml", "causalml", "scikit-learn")
    return {
        "ratios": {name: found.plain() for name, found in ratios.items()},
        "target": TARGET,
        "peak_mb": peaks,
        "peak_to_econml": round(peaks["learners"] / max(peaks["econml"], 1e-9), 3),
        "peak_target": PEAK,
        "rows": rows,
        "columns": COLUMNS,
        "python": platform.python_version(),
        "versions": {"abloop": abloop.__version__, **{name: version(name) for name in named}},
    }


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
