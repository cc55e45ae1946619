"""The choice among learners: the one that is closest to the truth, and none where there is nothing to find."""

from __future__ import annotations

import numpy as np
import pytest

from abloop.evaluate.choice import choose, constant_effects, effect_losses


def scored(seed: int, spread: float, rows: int = 2_000) -> tuple[np.ndarray, np.ndarray]:
    """Return true effects of two arms, of the given spread, and noisy scores of both arms."""
    rng = np.random.default_rng(seed)
    effect = 0.3 + spread * rng.normal(size=rows)
    scores = np.column_stack([np.zeros(rows), effect]) + rng.normal(size=(rows, 2))
    return np.column_stack([np.zeros(rows), effect]), scores


def losses(effects: list[np.ndarray], scores: np.ndarray) -> np.ndarray:
    """Return the losses of some effects, and of a constant last."""
    folds = np.arange(len(scores)) % 5
    return np.stack([effect_losses(each, scores) for each in (*effects, constant_effects(scores, folds))])


def test_the_closest_wins() -> None:
    """Of the true effects, half of them and their negation, the truth is chosen."""
    effects, scores = scored(0, 1.0)
    found = losses([effects * 0.5, effects, -effects], scores)
    assert choose(found, np.arange(len(scores))) == 1
    assert found.mean(axis=1).argmin() == 1


@pytest.mark.parametrize("learners", [1, 5])
def test_no_heterogeneity_is_invented(learners: int) -> None:
    """Where effects do not differ, learners of noise are chosen in at most 5 % of 400 trials."""
    chosen = 0
    for seed in range(400):
        effects, scores = scored(seed, 0.0)
        rng = np.random.default_rng(1_000 + seed)
        noisy = [effects + np.outer(rng.normal(size=len(effects)), [0.0, 0.1]) for _ in range(learners)]
        chosen += choose(losses(noisy, scores), np.arange(len(scores))) != learners
    assert chosen / 400 <= 0.05


def test_ties_go_to_the_constant() -> None:
    """A learner that gives everybody the constant's own effect is not preferred to it."""
    _, scores = scored(1, 0.5)
    same = losses([], scores)[0]
    assert choose(np.stack([same, same]), np.arange(len(scores))) == 1
    assert choose(np.stack([same - 1e-12 * np.sin(np.arange(len(same))), same]), np.arange(len(scores))) == 1


def test_values_decide_between_the_close() -> None:
    """Of learners that are equally close the one whose choices are worth more is chosen, never a distant one."""
    effects, scores = scored(2, 1.0)
    found = losses([effects, effects + 1e-3, -effects], scores)
    groups = np.arange(len(scores))
    assert choose(found, groups, np.asarray([[1.0], [2.0], [3.0], [4.0]]) * np.ones(len(scores))) == 1
    assert choose(found, groups, np.asarray([[2.0], [1.0], [3.0], [4.0]]) * np.ones(len(scores))) == 0


def test_rows_of_one_unit_are_one_proof() -> None:
    """A lead that rests on few units, repeated over many rows, is no lead."""
    rng = np.random.default_rng(3)
    lead = rng.normal(0.25, 1.0, size=12)
    found = np.stack([np.full(1_200, 5.0) - np.repeat(lead, 100), np.full(1_200, 5.0)])
    assert choose(found, np.arange(1_200)) == 0
    assert choose(found, np.repeat(np.arange(12), 100)) == 1 or lead.mean() > lead.std() / np.sqrt(12)


def test_a_constant_never_saw_its_row() -> None:
    """The constant effect of a fold is the mean measured effect of all other folds, recomputed by hand."""
    _, scores = scored(4, 1.0, rows=50)
    folds = np.arange(50) % 5
    found = constant_effects(scores, folds)
    for fold in range(5):
        measured = (scores[:, 1] - scores[:, 0])[folds != fold].mean()
        assert found[folds == fold] == pytest.approx(np.tile([0.0, measured], (10, 1)))
