"""Effect learners on arrays, in the manner of scikit-learn and econml: fit, effect, effect_interval."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from abloop.blueprint.learning import Model
from abloop.errors import DataError
from abloop.evaluate.choice import choose, constant_effects, effect_losses
from abloop.evaluate.ope import clustered_mean, count_units, doubly_robust
from abloop.hte.arrays import Chances, Coding, check_lengths, estimate_propensity, logged_propensity
from abloop.learners.base import Effects, Frame, Index, Sample
from abloop.learners.candidates import CANDIDATES, CONSTANT, Candidate, fit_candidates
from abloop.learners.nuisance import split_folds
from abloop.learners.plugged import plug
from abloop.learners.regress import fit_trees
from abloop.learners.x import fit_x, mix
from abloop.stats.compare import Estimate, t_quantile


class EffectLearner(BaseEstimator):  # type: ignore[misc]
    """Learns for whom each arm works, from a trial or, without propensities, from any log whose arms overlap.

    Args:
        learner: A name (`s`, `t`, `x`, `t_linear`, `x_linear`, `r`, `dr`, `forest`, `uplift`), several names, or an
            unfitted estimator of econml or causalml. Several compete, with each other and with one effect for
            everybody; those of a blueprint where None.
        control: The arm that others are compared with; the first in sorted order where None.
        folds: Folds of cross-fitting, from 2.
        repeats: Times that cross-fitting is repeated with other folds, from 1.
        bootstrap: Refits behind `effect_interval`, from 2.
        random_state: Makes a fit repeatable.

    Attributes:
        arms_: Arms, control first, shape (k,).
        chosen_: Name of the learner that was chosen; `constant` where one effect for everybody is as close as any.
        losses_: Squared distance of each learner's out-of-fold effects to the measured ones; the less the better.
        ate_: Mean effect of each treatment against control, with its 95 % interval.
        n_features_in_: Features.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> x, arm = rng.normal(size=(2_000, 3)), rng.integers(0, 2, 2_000)
        >>> outcome = x[:, 0] + arm * x[:, 1] + rng.normal(size=2_000)
        >>> learner = EffectLearner(["t", "t_linear"]).fit(outcome, arm, X=x, propensity=np.full(2_000, 0.5))
        >>> learner.chosen_, learner.effect(np.array([[0.0, 2.0, 0.0]])).round().tolist()
        ('t_linear', [2.0])
    """

    def __init__(
        self,
        learner: Any = None,
        *,
        control: Any = None,
        folds: int = 5,
        repeats: int = 1,
        bootstrap: int = 50,
        random_state: int = 0,
    ) -> None:
        """Keep the settings; they are checked by `fit`."""
        self.learner = learner
        self.control = control
        self.folds = folds
        self.repeats = repeats
        self.bootstrap = bootstrap
        self.random_state = random_state

    def fit(
        self,
        Y: ArrayLike,
        T: ArrayLike,
        *,
        X: Any,
        propensity: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
        groups: ArrayLike | None = None,
    ) -> Self:
        """Choose a learner, and fit it on all rows.

        Args:
            Y: Outcome of each row, shape (n,), finite.
            T: Arm of each row, shape (n,).
            X: Features, shape (n, d): an array or a frame, whose texts are categories; NaN where missing.
            propensity: Probability of the arm that each row had, shape (n,), in (0, 1]; estimated where None.
            sample_weight: What each row counts, shape (n,), above 0.
            groups: Unit of each row, shape (n,), where units have several.

        Raises:
            DataError: The arrays do not fit together, an arm has too few rows, or arms do not overlap.
        """
        names, candidates = self._candidates()
        outcome = np.asarray(Y, dtype=np.float64).ravel()
        self._coding = Coding.of(X)
        features = self._coding.inputs(X)
        units = np.arange(len(outcome)) if groups is None else np.unique(np.asarray(groups), return_inverse=True)[1]
        weights = None if sample_weight is None else np.asarray(sample_weight, dtype=np.float64)
        self.arms_, arm = self._arms(T)
        check_lengths(outcome, arm, features, units, weights, len(self.arms_), self.folds)
        shares = np.bincount(arm) / len(arm)
        sample = Sample(features, arm, outcome, shares, self._coding.levels, weights, units)
        given = propensity is not None
        logged = logged_propensity(propensity, len(arm)) if given else estimate_propensity(sample, self.random_state)
        self._chances = None if given else Chances(sample)
        self.n_features_in_ = features.shape[1]
        chosen = self._compete(sample, logged, names, candidates)
        self.chosen_ = (*names, CONSTANT)[chosen]
        self._sample, self._candidate = sample, candidates[chosen] if chosen < len(names) else None
        self._effects = self._refit(sample)
        self._refits: list[Effects] = []
        return self

    def effect(self, X: Any, T0: Any = None, T1: Any = None) -> Frame:
        """Return the effect of one arm against another.

        Args:
            X: Features, as in `fit`, shape (n, d).
            T0: The arm to compare with; control where None.
            T1: The arm; the first treatment where None.

        Returns:
            Shape (n,).
        """
        check_is_fitted(self, "_effects")
        return self._contrast(self._effects, X, T0, T1)

    def const_marginal_effect(self, X: Any) -> Frame:
        """Return the effect of every treatment against control, shape (n, d) to (n, k - 1)."""
        check_is_fitted(self, "_effects")
        return self._predict(self._candidate, self._effects, self._coding.inputs(X))[:, 1:]

    def effect_interval(self, X: Any, T0: Any = None, T1: Any = None, *, alpha: float = 0.05) -> tuple[Frame, Frame]:
        """Return ends of the interval of each effect, from refits on units drawn with replacement.

        They tell how far the fit depends on the rows at hand. What the learner smooths away on every sample, as trees
        do, is not in them.

        Args:
            X: Features, shape (n, d).
            T0: The arm to compare with; control where None.
            T1: The arm; the first treatment where None.
            alpha: One less the coverage, in (0, 1).

        Returns:
            Low and high ends, each of shape (n,).
        """
        check_is_fitted(self, "_effects")
        rng = np.random.default_rng(self.random_state)
        while len(self._refits) < self.bootstrap:
            self._refits.append(self._refit(_redrawn(self._sample, rng)))
        found = np.stack([self._contrast(each, X, T0, T1) for each in self._refits])
        half = t_quantile(1.0 - alpha / 2, self.bootstrap - 1) * found.std(axis=0, ddof=1)
        middle = self.effect(X, T0, T1)
        return middle - half, middle + half

    def _candidates(self) -> tuple[tuple[str, ...], tuple[Candidate, ...]]:
        """Return names and learners of those that compete."""
        wanted = Model().learners if self.learner is None else self.learner
        if hasattr(wanted, "fit"):
            import sklearn.base

            template = wanted
            made = plug(lambda rows, seed: sklearn.base.clone(template, safe=False))
            return (type(wanted).__name__,), (Candidate(made, fit_trees),)
        names = (wanted,) if isinstance(wanted, str) else tuple(wanted)
        if not names or any(name not in CANDIDATES for name in names):
            raise DataError(f"learner is {self.learner!r}; allowed: of {', '.join(CANDIDATES)}, or an estimator")
        return names, tuple(CANDIDATES[name] for name in names)

    def _arms(self, given: ArrayLike) -> tuple[Any, Index]:
        """Return the arms, control first, and the index of each row's."""
        arms, index = np.unique(np.asarray(given).ravel(), return_inverse=True)
        control = arms[0] if self.control is None else self.control
        if len(arms) < 2 or control not in arms:
            raise DataError(f"arms are {arms.tolist()}, control is {control!r}; allowed: two arms or more, control one")
        order = np.argsort(arms != control, kind="stable")
        return arms[order], np.argsort(order)[index].astype(np.intp)

    def _compete(self, sample: Sample, logged: Frame, names: Sequence[str], candidates: Sequence[Candidate]) -> int:
        """Cross-fit, keep losses and mean effects, and return the index of the learner to trust."""
        rows, arms = len(sample.arm), sample.arms
        losses, scores = np.zeros((len(names) + 1, rows)), np.zeros((rows, arms))
        for repeat in range(self.repeats):
            folds = split_folds(sample.units, self.folds, np.random.default_rng([self.random_state, repeat]))
            predicted, effects = np.empty((rows, arms)), np.empty((len(names) + 1, rows, arms))
            for fold in range(self.folds):
                test = folds == fold
                fitted = fit_candidates(candidates, sample.of(~test), self.random_state)
                predicted[test] = fitted.predict(sample.features[test])
                for index, each in enumerate(fitted.effects):
                    effects[index, test] = self._predict(candidates[index], each, sample.features[test])
            drawn = doubly_robust(predicted, sample.arm, sample.outcome, logged)
            effects[-1] = constant_effects(drawn, folds)
            scores += drawn / self.repeats
            losses += np.stack([effect_losses(each, drawn) for each in effects]) / self.repeats
        weights = np.ones(rows) if sample.weights is None else sample.weights / sample.weights.mean()
        self.losses_ = dict(zip((*names, CONSTANT), (losses * weights).mean(axis=1).tolist(), strict=True))
        self.ate_ = {arm: self._ate(scores, sample, index) for index, arm in enumerate(self.arms_.tolist()) if index}
        return 0 if len(names) == 1 and self.learner is not None else choose(losses * weights, sample.units)

    def _ate(self, scores: Frame, sample: Sample, arm: int) -> Estimate:
        """Return the mean effect of a treatment."""
        units = count_units(sample.units)
        mean, error = clustered_mean(scores[:, arm] - scores[:, 0], sample.units, sample.weights)
        half = t_quantile(0.975, units - 1) * error
        return Estimate(units, mean, mean - half, mean + half)

    def _refit(self, sample: Sample) -> Effects:
        """Fit what was chosen."""
        if self._candidate is None:
            base = (0.0, *(each.mean for each in self.ate_.values()))
            return Effects(sample.arms, sample.features.shape[1], base=base)
        (effects,) = fit_candidates((self._candidate,), sample, self.random_state).effects
        return effects

    def _predict(self, candidate: Candidate | None, effects: Effects, features: Frame) -> Frame:
        """Return effects of each arm; an X-learner mixes by estimated propensities, which see no outcome."""
        if self._chances is None or candidate is None or candidate.learner is not fit_x:
            return effects.effect(features)
        return mix(effects, features, self._chances.of(features))

    def _contrast(self, effects: Effects, X: Any, T0: Any, T1: Any) -> Frame:
        """Return the difference of two arms' effects."""
        found = self._predict(self._candidate, effects, self._coding.inputs(X))
        first, second = (self._index(arm, default) for arm, default in ((T0, 0), (T1, 1)))
        difference: Frame = found[:, second] - found[:, first]
        return difference

    def _index(self, arm: Any, default: int) -> int:
        if arm is None:
            return default
        arms = self.arms_.tolist()
        if arm not in arms:
            raise DataError(f"arm is {arm!r}; allowed: {', '.join(map(repr, arms))}")
        return int(arms.index(arm))


def _redrawn(sample: Sample, rng: np.random.Generator) -> Sample:
    """Return units drawn with replacement, each with all its rows."""
    order = np.argsort(sample.units, kind="stable")
    starts = np.searchsorted(sample.units[order], np.arange(sample.units.max() + 2))
    drawn = rng.integers(0, len(starts) - 1, len(starts) - 1)
    rows = np.concatenate([order[starts[unit] : starts[unit + 1]] for unit in drawn])
    groups = np.repeat(np.arange(len(drawn)), (starts[1:] - starts[:-1])[drawn])
    weights = None if sample.weights is None else sample.weights[rows]
    return replace(
        sample,
        features=sample.features[rows],
        arm=sample.arm[rows],
        outcome=sample.outcome[rows],
        weights=weights,
        groups=groups,
    )
