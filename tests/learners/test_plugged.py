"""Plugged estimators: econml's and causalml's effects, served as trees."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from abloop.errors import DataError
from abloop.learners.base import Sample
from abloop.learners.candidates import CANDIDATES, fit_candidates
from abloop.learners.plugged import estimate, plug
from abloop.learners.regress import Design, fit_trees
from abloop.models.effects import EffectModel


def trial(arms: int = 2, rows: int = 2_500, seed: int = 0) -> Sample:
    """Return a trial in which each treatment helps where its own feature is positive; one feature has gaps."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, 5))
    arm = rng.integers(0, arms, rows)
    outcome = x[:, 0] + np.where(arm > 0, 2.0 * (x[np.arange(rows), arm] > 0), 0.0) + rng.normal(size=rows)
    x[::9, 4] = np.nan
    return Sample(x, arm, outcome, np.full(arms, 1 / arms), groups=np.arange(rows) // 2)


@pytest.mark.parametrize("arms", [2, 3])
@pytest.mark.parametrize("name", ["r", "dr", "forest", "uplift"])
def test_plugged_learners_point_the_right_way(name: str, arms: int) -> None:
    """Each finds for whom each treatment helps, and is served as trees that give the same."""
    sample = trial(arms)
    (effects,) = fit_candidates([name], sample, 0).effects
    found = effects.effect(sample.features)
    for arm in range(1, arms):
        assert np.corrcoef(found[:, arm], sample.features[:, arm] > 0)[0, 1] > 0.6
    assert EffectModel(effects.spec()).frame(sample.features) == pytest.approx(found, abs=1e-12)


class Knows:
    """An estimator in causalml's manner that knows the effects."""

    def __init__(self, effects: Any) -> None:
        """Keep the effects."""
        self.effects = effects

    def fit(self, inputs: Any, treatment: Any, y: Any) -> None:
        """Learn nothing."""

    def predict(self, inputs: Any) -> Any:
        """Return the effects."""
        return self.effects


def test_trees_copy_what_was_predicted() -> None:
    """The served trees explain above 97 % of the variance of a smooth effect, far inside its noise."""
    sample = trial()
    smooth = np.sin(2 * sample.features[:, 1]) + sample.features[:, 2]
    learner = plug(lambda rows, seed: Knows(smooth[:, None]))
    found = learner(sample, (), 0, fit_trees).effect(sample.features)[:, 1]
    assert 1 - np.var(found - smooth) / np.var(smooth) > 0.97


@pytest.mark.parametrize("wrong", [np.zeros((2_500, 2)), np.full((2_500, 1), np.nan)], ids=["shape", "nan"])
def test_estimators_that_do_not_fit_are_refused(wrong: Any) -> None:
    """Effects for other arms, or that are not finite, are refused by the estimator's name."""
    sample = trial()
    inputs = Design.of(sample).inputs(sample.features)
    with pytest.raises(DataError, match="Knows predicts effects of shape"):
        estimate(Knows(wrong), sample, inputs)


def test_names_are_those_of_the_blueprint() -> None:
    """Every learner that a blueprint may name can be fitted."""
    from typing import get_args

    from abloop.blueprint.learning import BANDITS, LONG_TERM, LearnerName

    assert set(get_args(LearnerName)) == {*CANDIDATES, *BANDITS, LONG_TERM}
