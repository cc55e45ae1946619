"""Trials with known effects: the learner that is chosen is as close as the best fixed choice of the peers.

tests/REPORT.md shows the figures.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.model_selection import train_test_split

from abloop.evaluate.uplift import qini_score
from abloop.hte import EffectLearner
from tests.hte.truth import acic, ihdp, table


@pytest.mark.trial
def test_ihdp_is_as_close_as_the_best_peer(shared_data: Path) -> None:
    """Over replications of IHDP the median root-PEHE is at most that of every fixed S, T, X of econml and causalml."""
    medians = table(ihdp(shared_data)).drop(columns="chosen").median()
    assert medians["abloop"] <= medians.drop("abloop").min() + 1e-9


@pytest.mark.trial
def test_acic_is_as_close_as_the_best_peer(shared_data: Path) -> None:
    """So it is over surfaces of ACIC, of which the two with one effect for everybody get one."""
    found = table(acic(shared_data))
    medians = found.drop(columns="chosen").median()
    assert medians["abloop"] <= medians.drop("abloop").min() + 1e-9
    assert (found["chosen"] == "constant").tolist() == [False, True, True, False, False]


@pytest.mark.trial
def test_mean_effects_of_acic(shared_data: Path) -> None:
    """The mean effects that are estimated, without propensities, lie near the published true ones."""
    truths = (2.128, 4.679, 4.752, 4.796, 3.353)
    for known, truth in zip(acic(shared_data), truths, strict=True):
        assert known.effect.mean() == pytest.approx(truth, abs=1e-3)
        found = EffectLearner("x").fit(known.outcome, known.arm, X=known.x).ate_[1]
        assert abs(found.mean - truth) < 3 * (found.high - found.mean)


@cache
def hillstrom(folder: Path) -> pd.DataFrame:
    """Return the trial of mails, read once."""
    return pd.read_csv(folder / "hillstrom" / "hillstrom.csv.gz")


def mails(folder: Path, arm: str) -> tuple[pd.DataFrame, np.ndarray, np.ndarray]:
    """Return features, visits and who got a mail, of one mail against none."""
    rows = hillstrom(folder)
    rows = rows[rows.segment.isin([arm, "No E-Mail"])]
    names = ["recency", "history_segment", "history", "mens", "womens", "zip_code", "newbie", "channel"]
    return rows[names].reset_index(drop=True), rows.visit.to_numpy(float), (rows.segment == arm).to_numpy()


@pytest.mark.trial
def test_hillstrom_ranks_where_there_is_something_to_rank(shared_data: Path) -> None:
    """Over 20 stratified halves, the learner's Qini on the rest is .060 for womens, none (10 halves) for mens."""
    scores: dict[str, list[float]] = {}
    halves = [("Womens E-Mail", seed) for seed in range(20)] + [("Mens E-Mail", seed) for seed in range(10)]
    for arm, seed in halves:
        x, visit, mailed = mails(shared_data, arm)
        strata = mailed * 2 + visit
        fit, rest = train_test_split(np.arange(len(x)), test_size=0.5, random_state=seed, stratify=strata)
        chance = np.full(len(fit), 0.5)
        learner = EffectLearner().fit(visit[fit], mailed[fit], X=x.iloc[fit], propensity=chance)
        scores.setdefault(arm, []).append(qini_score(visit[rest], mailed[rest], learner.effect(x.iloc[rest])))
        noise = np.random.default_rng(seed).normal(size=len(rest))
        scores.setdefault(f"{arm} at random", []).append(qini_score(visit[rest], mailed[rest], noise))
    assert np.mean(scores["Womens E-Mail"]) >= 0.060
    chance_alone = scores["Mens E-Mail at random"]
    assert abs(np.mean(scores["Mens E-Mail"]) - np.mean(chance_alone)) <= 2 * np.std(chance_alone, ddof=1)
