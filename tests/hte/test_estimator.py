"""Effect learners on arrays: the same models as the gate's, scikit-learn's manners, and refusals that help."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import Ridge

from abloop.errors import DataError
from abloop.hte import EffectLearner
from abloop.learners.base import Sample
from abloop.learners.candidates import CANDIDATES, fit_candidates


def trial(seed: int = 0, rows: int = 2_000, arms: int = 2, spread: float = 1.0) -> tuple[np.ndarray, ...]:
    """Return features, arms, outcomes and true effects: each treatment works by its own feature."""
    rng = np.random.default_rng(seed)
    x, arm = rng.normal(size=(rows, 4)), rng.integers(0, arms, rows)
    effects = np.column_stack([np.zeros(rows), 0.5 + spread * x[:, 1:arms]])
    outcome = x[:, 0] + effects[np.arange(rows), arm] + rng.normal(size=rows)
    return x, arm, outcome, effects


@pytest.mark.parametrize("name", ["s", "t", "x", "t_linear", "x_linear"])
def test_the_same_models_as_the_gate_s(name: str) -> None:
    """With known propensities, effects are exactly those of the learner that a strategy would serve."""
    x, arm, outcome, _ = trial(arms=3)
    learner = EffectLearner(name, folds=2).fit(outcome, arm, X=x, propensity=np.full(len(arm), 1 / 3))
    sample = Sample(x, arm, outcome, np.bincount(arm) / len(arm), (0,) * 4)
    (effects,) = fit_candidates([name], sample, 0).effects
    assert np.array_equal(learner.const_marginal_effect(x), effects.effect(x)[:, 1:])
    assert np.array_equal(learner.effect(x, T0=1, T1=2), effects.effect(x)[:, 2] - effects.effect(x)[:, 1])


def test_the_closest_is_chosen_or_none() -> None:
    """Linear effects choose a linear learner; without heterogeneity one effect for everybody, with the mean's value."""
    x, arm, outcome, _ = trial()
    half = np.full(len(arm), 0.5)
    assert EffectLearner().fit(outcome, arm, X=x, propensity=half).chosen_ in ("t_linear", "x_linear")
    x, arm, outcome, _ = trial(spread=0.0)
    learner = EffectLearner().fit(outcome, arm, X=x, propensity=half)
    assert learner.chosen_ == "constant"
    assert learner.effect(x) == pytest.approx(np.full(len(x), learner.ate_[1].mean))
    assert set(learner.losses_) == {"s", "t", "x", "t_linear", "x_linear", "constant"}


def test_the_mean_effect_is_covered() -> None:
    """Of 200 trials, with propensities known or estimated, 92 to 98 % of the 95 % intervals hold the mean effect."""
    hits = {True: 0, False: 0}
    for seed in range(200):
        x, arm, outcome, _ = trial(seed, 600)
        for known in hits:
            given = np.full(600, 0.5) if known else None
            found = EffectLearner("t_linear", folds=2).fit(outcome, arm, X=x, propensity=given).ate_[1]
            hits[known] += found.low <= 0.5 <= found.high
    assert all(0.92 <= count / 200 <= 0.98 for count in hits.values()), hits


def test_confounding_is_taken_away() -> None:
    """Where arms follow a feature that moves the outcome, estimated propensities and models find the true mean."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(6_000, 3))
    arm = (rng.random(6_000) < 1 / (1 + np.exp(-x[:, 0]))).astype(int)
    outcome = 3 * x[:, 0] + arm * (1.0 + x[:, 1]) + rng.normal(size=6_000)
    naive = outcome[arm == 1].mean() - outcome[arm == 0].mean()
    found = EffectLearner(["x", "x_linear"]).fit(outcome, arm, X=x)
    assert naive > 2.0
    assert found.ate_[1].low < 1.0 < found.ate_[1].high
    assert np.corrcoef(found.effect(x), x[:, 1])[0, 1] > 0.95


def test_control_is_whom_one_names() -> None:
    """Arms are any values; with another control every effect is seen from there."""
    x, arm, outcome, _ = trial()
    names = np.array(["old", "new"])[arm]
    half = np.full(len(arm), 0.5)
    there = EffectLearner("t", control="old", folds=2).fit(outcome, names, X=x, propensity=half)
    back = EffectLearner("t", control="new", folds=2).fit(outcome, names, X=x, propensity=half)
    assert (there.arms_.tolist(), back.arms_.tolist()) == (["old", "new"], ["new", "old"])
    assert back.effect(x) == pytest.approx(-there.effect(x))
    assert back.ate_["old"].mean == pytest.approx(-there.ate_["new"].mean)


def test_frames_with_texts_and_gaps() -> None:
    """Texts are categories, NaN is kept, an unknown level is missing; other columns are refused."""
    x, arm, outcome, _ = trial()
    frame = pd.DataFrame(x, columns=list("abcd"))
    frame["place"] = np.where(frame["b"] > 0, "north", "south")
    frame.loc[::7, "c"] = np.nan
    for name in ("x", "x_linear"):
        learner = EffectLearner(name, folds=2).fit(
            outcome, arm, X=frame[["a", "c", "place"]], propensity=np.full(len(arm), 0.5)
        )
        found = learner.effect(frame[["a", "c", "place"]])
        assert found[frame["place"] == "north"].mean() - found[frame["place"] == "south"].mean() > 1.0
        new = pd.DataFrame({"a": [0.0], "c": [np.nan], "place": ["moon"]})
        assert np.isfinite(learner.effect(new)).all()
    with pytest.raises(DataError, match=r"X has \['a', 'b', 'c', 'd', 'place'\]; allowed: the 3 columns"):
        learner.effect(frame)


def test_weights_are_repetitions() -> None:
    """A row of weight 2 counts as two rows; weights of one are none."""
    x, arm, outcome, _ = trial(rows=600)
    weights, half = np.where(x[:, 1] > 0, 2.0, 1.0), np.full(600, 0.5)
    twice = np.concatenate([np.arange(600), np.flatnonzero(x[:, 1] > 0)])
    linear = EffectLearner("t_linear", folds=2)
    found = linear.fit(outcome, arm, X=x, propensity=half, sample_weight=weights).effect(x)
    plain = linear.fit(outcome, arm, X=x, propensity=half).effect(x)
    again = linear.fit(outcome[twice], arm[twice], X=x[twice], propensity=np.full(len(twice), 0.5), groups=twice)
    assert np.abs(found - again.effect(x)).max() < 0.2 * np.abs(found - plain).max()
    trees = EffectLearner("t", folds=2)
    one = trees.fit(outcome, arm, X=x, propensity=half, sample_weight=np.ones(600)).effect(x)
    assert one == pytest.approx(trees.fit(outcome, arm, X=x, propensity=half).effect(x))


def test_intervals_hold_what_a_linear_learner_learns() -> None:
    """Of 40 trials, 90 to 99 % of the pointwise 95 % intervals of a linear learner hold the true effect."""
    held = []
    for seed in range(40):
        x, arm, outcome, effects = trial(seed, 500)
        learner = EffectLearner("t_linear", folds=2, bootstrap=30).fit(outcome, arm, X=x, propensity=np.full(500, 0.5))
        low, high = learner.effect_interval(x[:50])
        held.append(np.mean((low <= effects[:50, 1]) & (effects[:50, 1] <= high)))
    assert 0.90 <= np.mean(held) <= 0.99


def test_intervals_take_units_together() -> None:
    """A unit's rows are drawn together: intervals of rows that repeat their unit are not narrower."""
    x, arm, outcome, _ = trial(rows=300)
    often = {"X": np.repeat(x, 5, axis=0), "groups": np.repeat(np.arange(300), 5), "propensity": np.full(1_500, 0.5)}
    learner = EffectLearner("t_linear", folds=2, bootstrap=40)
    once = learner.fit(outcome, arm, X=x, propensity=np.full(300, 0.5)).effect_interval(x[:20])
    again = learner.fit(np.repeat(outcome, 5), np.repeat(arm, 5), **often).effect_interval(x[:20])
    assert np.median((again[1] - again[0]) / (once[1] - once[0])) > 0.75


def test_estimators_of_peers_plug_in() -> None:
    """An unfitted estimator of econml competes with nobody, and its effects are served as trees that copy it."""
    from econml.metalearners import TLearner

    x, arm, outcome, effects = trial()
    learner = EffectLearner(TLearner(models=Ridge())).fit(outcome, arm, X=x, propensity=np.full(len(arm), 0.5))
    assert learner.chosen_ == "TLearner"
    assert np.corrcoef(learner.effect(x), effects[:, 1])[0, 1] > 0.98


def test_scikit_learn_s_manners() -> None:
    """It can be cloned, repeats itself, names its settings, and refuses to answer before it has learned."""
    learner = EffectLearner(["t", "x"], folds=3, random_state=7)
    x, arm, outcome, _ = trial(rows=400)
    half = np.full(400, 0.5)
    one, two = (clone(learner).fit(outcome, arm, X=x, propensity=half) for _ in range(2))
    assert np.array_equal(one.effect(x), two.effect(x))
    assert learner.get_params()["folds"] == 3
    assert one.n_features_in_ == 4
    with pytest.raises(NotFittedError):
        learner.effect(x)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"learner": "z"}, "learner is 'z'; allowed: of s, t, x"),
        ({"folds": 1}, "folds is 1; allowed: 2 or more"),
        ({"control": 5}, r"arms are \[0, 1\], control is 5"),
        ({"Y": np.full(400, np.nan)}, "Y has 400 values that are not finite; drop those rows"),
        ({"Y": np.zeros(399)}, "rows are Y 399, T 400"),
        ({"X": np.full((400, 4), np.inf)}, "X has infinite values"),
        ({"X": np.zeros(400)}, r"X has shape \(400,\); allowed: \(n, d\)"),
        ({"propensity": np.zeros(400)}, "the probability of the arm that each row had"),
        ({"sample_weight": np.zeros(400)}, "sample_weight has values that are not above zero"),
        ({"T": (np.arange(400) < 12).astype(int)}, r"arms have \[388, 12\] rows; allowed: 20 or more"),
    ],
)
def test_bad_input_is_named(change: dict[str, Any], said: str) -> None:
    """What cannot be learned from is refused in a sentence that says what is allowed."""
    x, arm, outcome, _ = trial(rows=400)
    given: dict[str, Any] = {"Y": outcome, "T": arm, "X": x, "propensity": np.full(400, 0.5), **change}
    settings = {name: given.pop(name) for name in ("learner", "folds", "control") if name in given}
    with pytest.raises(DataError, match=said):
        EffectLearner(**settings).fit(given.pop("Y"), given.pop("T"), **given)


def test_no_overlap_is_refused() -> None:
    """Arms that went to different units cannot be compared, and the sentence says what to do."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(4_000, 2))
    arm = (x[:, 0] + 0.15 * rng.normal(size=4_000) > 0).astype(int)
    with pytest.raises(DataError, match=r"went to units that the others hardly have.*Randomise, or drop units"):
        EffectLearner("t").fit(x[:, 0] + arm, arm, X=x)


def test_every_learner_has_a_name() -> None:
    """Each name that a blueprint may hold fits here too."""
    x, arm, outcome, effects = trial(rows=1_200)
    for name in CANDIDATES:
        found = EffectLearner(name, folds=2).fit(outcome, arm, X=x, propensity=np.full(1_200, 0.5)).effect(x)
        assert np.corrcoef(found, effects[:, 1])[0, 1] > 0.5, name
