"""Trials whose true effects are known, and the fixed choices of peers beside ours: IHDP and ACIC 2016.

`python -m tests.hte.truth` prints the table of tests/REPORT.md: root-PEHE (root of the mean squared error of the
effects) of the learner that abloop chooses, and of econml's and causalml's S, T and X on the same bases, each fitted
to all rows.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import lightgbm as lgb
import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from abloop.hte import EffectLearner
from abloop.learners.regress import PENALTIES
from abloop.models.gbdt import TREES, parameters

DATA = Path(__file__).parents[3] / "shared" / "data"


class Known(NamedTuple):
    """A trial with the true effect of each row."""

    name: str
    x: Any
    arm: Any
    outcome: Any
    effect: Any


def ihdp(data: Path, most: int = 25) -> Iterator[Known]:
    """Yield the replications of IHDP."""
    rows = pd.read_parquet(data / "ihdp" / "ihdp_npci_1_25.parquet")
    for number, each in rows.groupby("replication"):
        if number <= most:
            x = each[[f"x{index}" for index in range(1, 26)]].to_numpy(float)
            effect = (each.mu1 - each.mu0).to_numpy(float)
            yield Known(f"ihdp {number}", x, each.treatment.to_numpy(int), each.y_factual.to_numpy(float), effect)


def acic(data: Path) -> Iterator[Known]:
    """Yield the surfaces of ACIC 2016."""
    x = pd.get_dummies(pd.read_parquet(data / "acic2016" / "x.parquet")).to_numpy(float)
    for number, each in pd.read_parquet(data / "acic2016" / "zymu_1_5.parquet").groupby("replication"):
        rows = each.sort_values("row")
        arm = rows.z.to_numpy(int)
        effect = (rows.mu1 - rows.mu0).to_numpy(float)
        yield Known(f"acic {number}", x, arm, np.where(arm, rows.y1, rows.y0).astype(float), effect)


def pehe(found: Any, known: Known) -> float:
    """Return the root of the mean squared error of effects."""
    return float(np.sqrt(np.mean((np.asarray(found).ravel() - known.effect) ** 2)))


def ours(known: Known) -> tuple[str, float]:
    """Return the learner that is chosen, and its root-PEHE."""
    learner = EffectLearner().fit(known.outcome, known.arm, X=known.x)
    return learner.chosen_, pehe(learner.effect(known.x), known)


def peers(known: Known) -> dict[str, float]:
    """Return the root-PEHE of each fixed choice of econml and causalml."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from causalml.inference.meta import BaseSRegressor, BaseTRegressor, BaseXRegressor
        from econml.metalearners import SLearner, TLearner, XLearner

        x, arm, y = known.x, known.arm, known.outcome
        rows = len(arm)
        share = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1_000)).fit(x, arm).predict_proba(x)[:, 1]
        options = {key: value for key, value in parameters(rows // 2, 0).items() if key != "objective"}
        found = {}
        for base, make in (
            ("trees", lambda: lgb.LGBMRegressor(n_estimators=TREES, n_jobs=0, **options)),
            ("linear", lambda: make_pipeline(StandardScaler(), RidgeCV(PENALTIES * rows))),
        ):
            propensity = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1_000))
            for name, each in (
                ("S", SLearner(overall_model=make())),
                ("T", TLearner(models=make())),
                ("X", XLearner(models=make(), propensity_model=propensity)),
            ):
                found[f"econml {name} {base}"] = pehe(each.fit(y, arm, X=x).effect(x), known)
            for name, peer, given in (
                ("S", BaseSRegressor(make()), {}),
                ("T", BaseTRegressor(make()), {}),
                ("X", BaseXRegressor(make()), {"p": share}),
            ):
                peer.fit(x, arm, y, **given)
                found[f"causalml {name} {base}"] = pehe(peer.predict(x, **given), known)
    return found


def table(trials: Iterator[Known]) -> pd.DataFrame:
    """Return the root-PEHE of ours and of each fixed choice, by trial."""
    rows = []
    for known in trials:
        chosen, error = ours(known)
        rows.append({"trial": known.name, "chosen": chosen, "abloop": error, **peers(known)})
    return pd.DataFrame(rows).set_index("trial")


if __name__ == "__main__":
    for trials in (ihdp(DATA), acic(DATA)):
        found = table(trials)
        sys.stdout.write(f"{found['chosen'].to_string()}\n")
        sys.stdout.write(f"{found.drop(columns='chosen').median().round(4).to_string()}\n")
