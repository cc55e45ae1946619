"""Estimators of econml and causalml as learners: fitted as they come, then served as plain trees.

What such an estimator predicts on its training rows is learned by boosted trees, so that serving needs neither library.
The gate judges those trees, not the estimator: what is lost on the way is never credited.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from inspect import signature
from typing import Any

import numpy as np

from abloop.errors import DataError
from abloop.learners.base import Base, Effects, Frame, Learner, Regression, Sample, contrast
from abloop.learners.regress import Design, Trees
from abloop.models.effects import Term
from abloop.models.gbdt import TREES, bin_rows, fit_binned, parameters

Build = Callable[[int, int], Any]
FOREST_TREES = 200
COPY = {"num_leaves": 31, "learning_rate": 0.1}  # trees that copy a function without noise may be finer


def plug(build: Build) -> Learner:
    """Return an estimator of econml or causalml as a learner.

    Args:
        build: Given the training rows and a seed, returns an unfitted estimator with `fit` and either econml's
            `const_marginal_effect` or causalml's `predict`.

    Example:
        >>> from econml.metalearners import TLearner
        >>> from sklearn.linear_model import Ridge
        >>> rng = np.random.default_rng(0)
        >>> x, arm = rng.normal(size=(400, 2)), rng.integers(0, 2, 400)
        >>> learner = plug(lambda rows, seed: TLearner(models=Ridge()))
        >>> effects = learner(Sample(x, arm, x[:, 0] * arm, np.full(2, 0.5)), (), 0, None)
        >>> bool(np.corrcoef(effects.effect(x)[:, 1], x[:, 0])[0, 1] > 0.95)
        True
    """

    def fit(sample: Sample, outcomes: tuple[Regression, ...], seed: int, base: Base) -> Effects:
        del outcomes, base
        inputs = Design.of(sample).inputs(sample.features)
        with _quiet():
            effects = estimate(build(len(sample.arm), seed), sample, inputs)
        return distil(sample, effects, seed)

    return fit


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence what the libraries warn of about their own dependencies."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def estimate(estimator: Any, sample: Sample, inputs: Frame) -> Frame:
    """Fit an estimator and return the effects that it predicts for its training rows.

    Args:
        estimator: Unfitted, of econml or causalml.
        sample: Training rows.
        inputs: Their features without gaps and categories, shape (n, width).

    Returns:
        Effect of each treatment against control, shape (n, k - 1).

    Raises:
        DataError: The estimator predicts something of another shape, or nothing finite.
    """
    if hasattr(estimator, "const_marginal_effect"):
        names, known = {"groups": sample.groups, "sample_weight": sample.weights}, signature(estimator.fit).parameters
        if sample.weights is not None and "sample_weight" not in known:
            raise DataError(
                f"{type(estimator).__name__} takes no sample_weight; leave it out, or use another estimator"
            )
        given = {name: value for name, value in names.items() if value is not None and name in known}
        estimator.fit(sample.outcome, sample.arm, X=inputs, **given)
        found = estimator.const_marginal_effect(inputs)
    else:
        estimator.fit(inputs, sample.arm, sample.outcome)
        found = estimator.predict(inputs)
    effects = np.asarray(found, dtype=np.float64).reshape(len(inputs), -1)
    if effects.shape[1] != sample.arms - 1 or not np.isfinite(effects).all():
        raise DataError(
            f"{type(estimator).__name__} predicts effects of shape {effects.shape}, "
            f"{'all' if np.isfinite(effects).all() else 'not all'} finite; allowed: {(len(inputs), sample.arms - 1)}, "
            "all finite. Use an estimator that takes this many arms"
        )
    return effects


def distil(sample: Sample, effects: Frame, seed: int) -> Effects:
    """Return predicted effects as trees of the features.

    Args:
        sample: The rows.
        effects: Predicted effect of each treatment, shape (n, k - 1).
        seed: For the tie breaks of the library.
    """
    data = bin_rows(sample.features)
    parts = tuple(Trees(fit_binned(data, column, seed, options=COPY), data, seed) for column in effects.T)
    terms = tuple(Term(arm - 1, contrast(sample.arms, arm)) for arm in range(1, sample.arms))
    return Effects(sample.arms, sample.features.shape[1], parts, terms)


def _boosted(rows: int, seed: int) -> Any:
    """Return the trees of abloop as a scikit-learn estimator."""
    from lightgbm import LGBMRegressor

    options = {key: value for key, value in parameters(rows, seed).items() if key != "objective"}
    return LGBMRegressor(n_estimators=TREES, n_jobs=0, **options)


def _propensity() -> Any:
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(StandardScaler(), LogisticRegression(max_iter=1_000))


def _dr(rows: int, seed: int) -> Any:
    from econml.dr import DRLearner

    return DRLearner(
        model_propensity=_propensity(),
        model_regression=_boosted(rows, seed),
        model_final=_boosted(rows, seed),
        min_propensity=0.01,
        cv=3,
        random_state=seed,
    )


def _forest(rows: int, seed: int) -> Any:
    from econml.dml import CausalForestDML

    return CausalForestDML(
        model_y=_boosted(rows, seed),
        model_t=_propensity(),
        discrete_treatment=True,
        n_estimators=FOREST_TREES,
        min_samples_leaf=10,
        inference=False,
        cv=3,
        n_jobs=1,
        random_state=seed,
    )


def _uplift(rows: int, seed: int) -> Any:
    from causalml.inference.tree import CausalRandomForestRegressor

    return CausalRandomForestRegressor(FOREST_TREES, min_samples_leaf=max(20, rows // 200), n_jobs=1, random_state=seed)


def fit_r(sample: Sample, outcomes: tuple[Regression, ...], seed: int, base: Base) -> Effects:
    """Fit econml's R-learner of each treatment against control.

    Source: Nie, Wager, "Quasi-oracle estimation of heterogeneous treatment effects", Biometrika 2021.

    Args:
        sample: Training rows.
        outcomes: Not used: it fits its own, on other folds.
        seed: Of the folds.
        base: Not used: trees.

    Returns:
        The fitted effects.
    """
    del outcomes, base
    inputs = Design.of(sample).inputs(sample.features)
    effects = np.empty((len(inputs), sample.arms - 1))
    for arm in range(1, sample.arms):
        rows = (sample.arm == 0) | (sample.arm == arm)
        pair = replace(sample.of(rows), arm=(sample.arm[rows] == arm).astype(np.intp), shares=np.full(2, 0.5))
        with _quiet():
            learner = _r(len(pair.arm), seed)
            estimate(learner, pair, inputs[rows])
            effects[:, arm - 1] = np.asarray(learner.const_marginal_effect(inputs)).reshape(-1)
    return distil(sample, effects, seed)


def _r(rows: int, seed: int) -> Any:
    from econml.dml import NonParamDML

    return NonParamDML(
        model_y=_boosted(rows, seed),
        model_t=_propensity(),
        model_final=_boosted(rows, seed),
        discrete_treatment=True,
        cv=3,
        random_state=seed,
    )


fit_dr, fit_forest, fit_uplift = plug(_dr), plug(_forest), plug(_uplift)
