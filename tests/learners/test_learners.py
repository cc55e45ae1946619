"""Learners: S, T and X as their paper defines them, equal to econml's with the same base learner."""

from __future__ import annotations

import warnings
from typing import Any

import lightgbm as lgb
import numpy as np
import pytest

from abloop.learners.base import Effects, Sample, contrast
from abloop.learners.nuisance import fit_outcomes, predict_outcomes, split_folds
from abloop.learners.s import fit_s
from abloop.learners.t import fit_t
from abloop.learners.x import fit_x
from abloop.models.effects import EffectModel
from abloop.models.gbdt import TREES, parameters

LEARNERS = {"s": fit_s, "t": fit_t, "x": fit_x}


def trial(arms: int = 2, rows: int = 3_000, seed: int = 0) -> Sample:
    """Return a randomised trial in which each treatment helps where its own feature is positive."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, 4))
    arm = rng.integers(0, arms, rows)
    effect = np.where(arm > 0, x[np.arange(rows), arm], 0.0)
    return Sample(x, arm, x[:, 0] + effect + rng.normal(size=rows), np.full(arms, 1 / arms))


def fitted(name: str, sample: Sample) -> Effects:
    """Fit one learner with its outcome models."""
    return LEARNERS[name](sample, fit_outcomes(sample, 0), 0)


def base(rows: int) -> Any:
    """Return the base learner of abloop as a scikit-learn estimator."""
    options = {key: value for key, value in parameters(rows, 0).items() if key != "objective"}
    return lgb.LGBMRegressor(n_estimators=TREES, n_jobs=0, **options)


@pytest.mark.parametrize("arms", [2, 4])
@pytest.mark.parametrize("name", LEARNERS)
def test_effects_point_the_right_way(name: str, arms: int) -> None:
    """Each learner finds for whom each treatment helps: correlation with the true effect above .6."""
    sample = trial(arms, 6_000)
    x = np.random.default_rng(9).normal(size=(2_000, 4))
    effects = fitted(name, sample).effect(x)
    assert effects.shape == (2_000, arms)
    assert not effects[:, 0].any()
    for arm in range(1, arms):
        assert np.corrcoef(effects[:, arm], x[:, arm])[0, 1] > 0.6


@pytest.mark.parametrize("arms", [2, 3])
@pytest.mark.parametrize("name", LEARNERS)
def test_the_served_model_is_the_fitted_one(name: str, arms: int) -> None:
    """The predict side gives the same effects as the fit side, missing values included."""
    effects = fitted(name, trial(arms))
    x = np.random.default_rng(1).normal(size=(200, 4))
    x[::7, 1] = np.nan
    served = EffectModel(effects.spec())
    assert served.frame(x) == pytest.approx(effects.effect(x), abs=1e-12)
    assert np.asarray([served.row(row) for row in x.tolist()]) == pytest.approx(effects.effect(x), abs=1e-12)


@pytest.mark.parametrize("name", ["s", "t", "x"])
def test_equal_to_econml(name: str) -> None:
    """With the same base learner and the known propensity, effects equal econml's to 1e-6."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from econml.metalearners import SLearner, TLearner, XLearner
        from sklearn.dummy import DummyClassifier

        sample = trial(rows=3_100)
        each = 1_500  # as many in each arm, so that one set of parameters is both arms'
        kept = np.sort(np.concatenate([np.flatnonzero(sample.arm == arm)[:each] for arm in (0, 1)]))
        sample = Sample(sample.features[kept], sample.arm[kept], sample.outcome[kept], sample.shares)
        rows = len(sample.arm)
        balanced = DummyClassifier(strategy="prior")
        peers = {
            "s": SLearner(overall_model=base(rows)),
            "t": TLearner(models=base(each)),
            "x": XLearner(models=base(each), propensity_model=balanced),
        }
        peer = peers[name].fit(sample.outcome, sample.arm, X=sample.features).effect(sample.features)
    assert fitted(name, sample).effect(sample.features)[:, 1] == pytest.approx(peer, abs=1e-6)


def test_x_mixes_by_the_known_propensity() -> None:
    """With a rare treatment, X is g tau_0 + (1 - g) tau_1 with g the treatment's share, recomputed by hand."""
    sample = trial(3)
    sample = Sample(sample.features, sample.arm, sample.outcome, np.asarray([0.6, 0.1, 0.3]))
    outcomes = fit_outcomes(sample, 0)
    predicted = predict_outcomes(outcomes, sample.features)
    effects = fit_x(sample, outcomes, 0).effect(sample.features)
    for arm in (1, 2):
        treated, control = sample.arm == arm, sample.arm == 0
        rows = int(treated.sum())
        gained = base(rows).fit(sample.features[treated], (sample.outcome - predicted[:, 0])[treated])
        missed = base(int(control.sum())).fit(sample.features[control], (predicted[:, arm] - sample.outcome)[control])
        g = sample.shares[arm] / (sample.shares[0] + sample.shares[arm])
        mixed = g * missed.predict(sample.features) + (1 - g) * gained.predict(sample.features)
        assert effects[:, arm] == pytest.approx(mixed, abs=1e-9)


def test_contrasts_sum_to_the_difference() -> None:
    """The weights of all arms' predictions give each arm's prediction less control's."""
    scores = np.asarray([3.0, 5.0, 4.0])
    effects = sum(score * np.asarray(contrast(3, arm)) for arm, score in enumerate(scores))
    assert effects.tolist() == [0.0, 2.0, 1.0]


def test_folds_keep_groups_together() -> None:
    """No unit stands on both sides of a split, and folds are of equal size."""
    groups = np.repeat(np.arange(100), 3)
    folds = split_folds(groups, 5, np.random.default_rng(0))
    assert all(len(set(folds[groups == group])) == 1 for group in range(100))
    assert np.bincount(folds).tolist() == [60] * 5
