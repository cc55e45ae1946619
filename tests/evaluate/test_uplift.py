"""Rankings by effect: areas beside independent recomputation and causalml, rates with known truth, budgets."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from abloop.errors import DataError
from abloop.evaluate.uplift import auuc, effect_deciles, qini_curve, qini_score, rate, spend_curve


def trial(seed: int, rows: int = 400, spread: float = 1.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return binary outcomes, who was treated, and a noisy prediction of the effect, with ties."""
    rng = np.random.default_rng(seed)
    x, treated = rng.normal(size=rows), rng.random(rows) < 0.5
    chance = 1 / (1 + np.exp(-(-1.0 + treated * spread * x)))
    return (rng.random(rows) < chance).astype(float), treated, np.round(x + rng.normal(size=rows), 1)


def slow_qini(outcome: np.ndarray, treated: np.ndarray, predicted: np.ndarray) -> tuple[list[float], list[float]]:
    """Return the Qini curve as its definition says it, one threshold after the other."""
    share, height = [0.0], [0.0]
    for threshold in sorted(set(predicted.tolist()), reverse=True):
        rows = predicted >= threshold
        helped, others = (rows & treated).sum(), (rows & ~treated).sum()
        lost = outcome[rows & ~treated].sum() * helped / others if others else 0.0
        share.append(rows.mean())
        height.append(outcome[rows & treated].sum() - lost)
    return share, height


@pytest.mark.parametrize("seed", range(20))
def test_the_qini_curve_is_its_definition(seed: int) -> None:
    """The curve and its score equal those of a loop over thresholds, ties included."""
    outcome, treated, predicted = trial(seed)
    found = qini_curve(outcome, treated, predicted)
    share, height = slow_qini(outcome, treated, predicted)
    assert found.share == pytest.approx(share)
    assert found.height == pytest.approx(height)
    best = slow_qini(outcome, treated, outcome * np.where(treated, 1, -1))
    line = height[-1] / 2
    score = (np.trapezoid(height, share) - line) / (np.trapezoid(best[1], best[0]) - line)
    assert qini_score(outcome, treated, predicted) == pytest.approx(score)


def test_the_area_is_causalml_s() -> None:
    """Without ties, the area under the uplift curve equals causalml's on 20 random trials."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from causalml.metrics import auuc_score
    for seed in range(20):
        outcome, treated, _ = trial(seed)
        predicted = np.random.default_rng(seed).permutation(len(outcome)).astype(float)
        frame = pd.DataFrame({"y": outcome, "w": treated.astype(int), "ours": predicted})
        peer = auuc_score(frame, outcome_col="y", treatment_col="w", normalize=True)
        assert auuc(outcome, treated, predicted) == pytest.approx(float(peer["ours"]), abs=1e-9)


@given(st.integers(0, 10_000), st.floats(0.1, 5.0), st.floats(-3.0, 3.0))
def test_only_the_order_counts(seed: int, scale: float, shift: float) -> None:
    """A rising change of the predictions changes no score; the best order there is scores 1."""
    outcome, treated, predicted = trial(seed, 100)
    moved = np.round(predicted * 10) * scale + shift
    assert qini_score(outcome, treated, moved) == pytest.approx(qini_score(outcome, treated, predicted))
    assert qini_score(outcome, treated, outcome * np.where(treated, 1, -1)) == pytest.approx(1.0)


def test_a_random_order_finds_nobody() -> None:
    """Over 400 random orders the mean Qini score is within four standard errors of zero, and the area of one half."""
    outcome, treated, _ = trial(0, 1_000, spread=0.0)
    rng = np.random.default_rng(1)
    scores = np.array([qini_score(outcome, treated, rng.normal(size=1_000)) for _ in range(400)])
    assert abs(scores.mean()) < 4 * scores.std() / 20


@pytest.mark.parametrize("weight", ["autoc", "qini"])
def test_a_rate_covers_its_truth(weight: str) -> None:
    """Of 95 % intervals, 92 to 98 % of 400 hold zero for random orders, and the truth for the best order."""
    # Of effects uniform on 0 to 1 ranked right, TOC(q) = (1 - q) / 2: its mean is 1/4, that of q TOC(q) is 1/12.
    truth, hits, nulls = {"autoc": 0.25, "qini": 1 / 12}[weight], 0, 0
    for seed in range(400):
        rng = np.random.default_rng(seed)
        effect = rng.random(400)
        measured = effect + rng.normal(size=400)
        found = rate(effect, measured, weight=weight, draws=60, seed=seed)  # type: ignore[arg-type]
        null = rate(rng.random(400), measured, weight=weight, draws=60, seed=seed)  # type: ignore[arg-type]
        hits += found.low <= truth <= found.high
        nulls += null.low <= 0.0 <= null.high
    assert 0.92 <= hits / 400 <= 0.98
    assert 0.92 <= nulls / 400 <= 0.98


def test_rates_take_units_together() -> None:
    """Rows that repeat their unit ten times have the interval of the units, not a third of it."""
    rng = np.random.default_rng(0)
    effect = rng.random(300)
    measured = effect + rng.normal(size=300)
    once = rate(effect, measured)
    often = rate(np.repeat(effect, 10), np.repeat(measured, 10), np.repeat(np.arange(300), 10))
    assert often.mean == pytest.approx(once.mean)
    assert often.high - often.low == pytest.approx(once.high - once.low, rel=0.25)


def test_equal_predictions_rank_nobody() -> None:
    """Where every prediction is the same the rate is exactly zero, and so is the Qini score."""
    outcome, treated, _ = trial(3)
    assert rate(np.zeros(400), np.random.default_rng(0).normal(size=400)).mean == pytest.approx(0.0, abs=1e-12)
    assert qini_score(outcome, treated, np.zeros(400)) == pytest.approx(0.0, abs=1e-12)


def test_deciles_are_means_of_measured_effects() -> None:
    """Parts are equal in size, go from the greatest predicted effect down, and hold their rows' mean."""
    rng = np.random.default_rng(0)
    predicted, measured = rng.normal(size=1_003), rng.normal(size=1_003)
    found = effect_deciles(predicted, measured, np.arange(1_003))
    parts = np.array_split(np.argsort(-predicted), 10)
    assert [each.mean for each in found] == pytest.approx([measured[rows].mean() for rows in parts])
    assert [each.n for each in found] == [len(rows) for rows in parts]


def best_within(effects: np.ndarray, costs: np.ndarray, budget: float) -> float:
    """Return the most predicted effect a row that a budget can buy, as a linear program."""
    from scipy.optimize import linprog

    rows, arms = effects.shape
    one = np.kron(np.eye(rows), np.ones(arms))
    found = linprog(
        -effects.ravel() / rows,
        A_ub=np.broadcast_to(costs, effects.shape).ravel()[None, :] / rows,
        b_ub=[budget],
        A_eq=one,
        b_eq=np.ones(rows),
    )
    return float(-found.fun)


@pytest.mark.parametrize("seed", range(8))
def test_a_budget_goes_where_it_brings_most(seed: int) -> None:
    """What steps buy equals the linear program's best within one row's step, and never exceeds the budget."""
    rng = np.random.default_rng(seed)
    effects = np.column_stack([np.zeros(40), rng.normal(size=(40, 3))])
    costs = np.array([0.0, 0.5, 1.0, 2.0]) if seed % 2 else np.column_stack([np.zeros(40), rng.random((40, 3))])
    budgets = (0.0, 0.1, 0.4, 1.0, 5.0)
    for spent in spend_curve(effects, costs, effects, np.arange(40), budgets):
        best = best_within(effects, costs, spent.budget)
        assert spent.cost <= spent.budget + 1e-9
        assert best - 4.0 / 40 * np.ptp(effects) <= spent.gain.mean <= best + 1e-9
        assert sum(spent.shares) == pytest.approx(1.0)
    everything = spend_curve(effects, costs, effects, np.arange(40), (1e9,))[0]
    assert everything.gain.mean == pytest.approx(effects.max(axis=1).mean())


def test_bad_input_is_named() -> None:
    """Arrays that do not fit, one arm, equal outcomes and negative budgets are refused in a sentence."""
    outcome, treated, predicted = trial(0)
    with pytest.raises(DataError, match="rows are outcome 399, treated 400"):
        qini_curve(outcome[1:], treated, predicted)
    with pytest.raises(DataError, match="every row is of one arm"):
        auuc(outcome, np.ones(400, dtype=bool), predicted)
    with pytest.raises(DataError, match="every outcome is the same"):
        qini_score(np.zeros(400), treated, predicted)
    with pytest.raises(DataError, match="budgets at -1"):
        spend_curve(np.zeros((2, 2)), [0.0, 1.0], np.zeros((2, 2)), np.arange(2), [-1.0])
