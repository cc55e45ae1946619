"""Bases: trees and linear models, equal to what they are made of, with weights, gaps and categories."""

from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from abloop.learners.base import Sample
from abloop.learners.candidates import CANDIDATES, fit_candidates
from abloop.learners.regress import PENALTIES, fit_linear, fit_trees
from abloop.models.effects import EffectModel


def trial(rows: int = 2_000, seed: int = 0, *, binary: bool = False) -> Sample:
    """Return a trial with a number, a category of four levels and gaps in both; the treatment helps one level."""
    rng = np.random.default_rng(seed)
    x = np.column_stack([rng.normal(size=rows), rng.integers(0, 4, rows).astype(float)])
    arm = rng.integers(0, 2, rows)
    mean = x[:, 0] + arm * np.where(x[:, 1] == 2, 1.0, -0.2)
    x[rng.random(x.shape) < 0.1] = np.nan
    outcome = (mean + rng.normal(size=rows) > 0).astype(float) if binary else mean + rng.normal(size=rows)
    return Sample(x, arm, outcome, np.full(2, 0.5), (0, 4))


def by_hand(features: np.ndarray) -> np.ndarray:
    """Return the inputs of a linear model: the number, whether it is missing, and each level."""
    number, code = features.T
    filled = np.where(np.isnan(number), np.nanmean(number), number)
    return np.column_stack([filled, np.isnan(number), *(code == level for level in range(4))]).astype(float)


@pytest.mark.parametrize("weighted", [False, True])
def test_ridge_is_sklearns(weighted: bool) -> None:
    """The linear base equals scikit-learn's ridge on inputs made by hand, to 1e-8."""
    sample = trial()
    weights = np.random.default_rng(1).integers(1, 4, len(sample.arm)).astype(float) if weighted else None
    inputs = by_hand(sample.features)
    scaled = StandardScaler().fit_transform(inputs)
    peer = RidgeCV(PENALTIES * len(inputs)).fit(scaled, sample.outcome, weights)
    ours = fit_linear(replace(sample, weights=weights), 0)
    assert ours.predict(sample.features) == pytest.approx(peer.predict(scaled), abs=1e-8)


def test_outcomes_of_zero_and_one_are_logistic() -> None:
    """Where every outcome is 0 or 1 the prediction is scikit-learn's probability."""
    sample = trial(binary=True)
    scaled = StandardScaler().fit_transform(by_hand(sample.features))
    peer = LogisticRegression(C=1.0, max_iter=1_000).fit(scaled, sample.outcome)
    found = fit_linear(sample, 0).predict(sample.features)
    assert found == pytest.approx(peer.predict_proba(scaled)[:, 1], abs=1e-8)
    assert ((found > 0) & (found < 1)).all()


@pytest.mark.parametrize("binary", [False, True])
@pytest.mark.parametrize("name", CANDIDATES)
def test_the_served_model_is_the_fitted_one(name: str, binary: bool) -> None:
    """Every candidate ends as plain data with the same effects, for a row and for a frame."""
    sample = trial(binary=binary)
    (effects,) = fit_candidates([name], sample, 0).effects
    served, rows = EffectModel(effects.spec()), sample.features[:50]
    assert served.frame(rows) == pytest.approx(effects.effect(rows), abs=1e-12)
    assert np.asarray([served.row(row) for row in rows.tolist()]) == pytest.approx(effects.effect(rows), abs=1e-12)


@pytest.mark.parametrize("base", [fit_trees, fit_linear])
def test_constant_columns_and_outcomes_do_no_harm(base: object) -> None:
    """A column that is missing throughout, or constant, and an outcome that never varies, give finite predictions."""
    sample = trial()
    features = np.column_stack([np.full(len(sample.arm), np.nan), np.full(len(sample.arm), 3.0), sample.features])
    levels = (0, 0, *sample.levels)
    for outcome in (sample.outcome, np.zeros(len(sample.arm))):
        given = replace(sample, features=features, levels=levels, outcome=outcome)
        assert np.isfinite(base(given, 0).predict(features)).all()  # type: ignore[operator]


@pytest.mark.parametrize("name", ["t_linear", "x_linear"])
def test_linear_learners_are_econmls(name: str) -> None:
    """With the same ridge and the known propensity, effects equal econml's to 1e-6."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from econml.metalearners import TLearner, XLearner
        from sklearn.dummy import DummyClassifier

        rng = np.random.default_rng(2)
        x, arm = rng.normal(size=(1_000, 3)), np.repeat([0, 1], 500)
        sample = Sample(x, arm, x[:, 0] + arm * x[:, 1] + rng.normal(size=1_000), np.full(2, 0.5))
        base = make_pipeline(StandardScaler(), RidgeCV(PENALTIES * 500))
        balanced = DummyClassifier(strategy="prior")
        peer = TLearner(models=base) if name == "t_linear" else XLearner(models=base, propensity_model=balanced)
        theirs = peer.fit(sample.outcome, arm, X=x).effect(x)
    (ours,) = fit_candidates([name], sample, 0).effects
    assert ours.effect(x)[:, 1] == pytest.approx(theirs, abs=1e-6)
