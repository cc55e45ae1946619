"""Off-policy value: covered truth, laws between estimators, floors that refuse, and the Open Bandit numbers."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pandas as pd
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression

from abloop.errors import DataError
from abloop.evaluate.offpolicy import Log, overlap, policy_value
from tests.peers import ask

ESTIMATORS = ("ips", "snips", "direct", "dr", "switch")
HERE = Path(__file__).parent


def digits() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return of the digits: labels, a logging policy, another policy, and outcome predictions of a third model.

    The problem is Dudik, Langford, Li's: a class is an arm, its outcome is 1 where it is right.
    """
    x, label = load_digits(return_X_y=True)
    half = np.arange(len(x)) % 2 == 0
    rough = LogisticRegression(max_iter=50, C=1e-4).fit(x[half][:, ::3], label[half])
    better = LogisticRegression(max_iter=200, C=1e-4).fit(x[half], label[half])
    logging = 0.7 * rough.predict_proba(x[~half][:, ::3]) + 0.3 / 10
    policy = 0.9 * better.predict_proba(x[~half]) + 0.1 / 10
    return label[~half], logging, policy, better.predict_proba(x[~half])


def drawn(seed: int, rows: int, problem: tuple[np.ndarray, ...]) -> Log:
    """Return a log of so many images drawn with replacement, each with an arm of the logging policy."""
    label, logging, policy, predicted = problem
    rng = np.random.default_rng(seed)
    at = rng.integers(0, len(label), rows)
    arm = (logging[at].cumsum(axis=1) < rng.random((rows, 1))).sum(axis=1).clip(0, 9)
    outcome = (arm == label[at]).astype(float)
    every = np.arange(rows)
    return Log(arm=arm, outcome=outcome, propensity=logging[at][every, arm], policy=policy[at], predicted=predicted[at])


@pytest.mark.parametrize("estimator", ["ips", "snips", "dr", "switch"])
def test_the_value_on_digits_is_covered(estimator: str) -> None:
    """Of 2,000 logs of 1,000 digits, 93 to 97 % of the 95 % intervals hold the value that the labels tell."""
    problem = digits()
    label, _, policy, _ = problem
    truth = float(policy[np.arange(len(label)), label].mean())
    found = [policy_value(drawn(seed, 1_000, problem), estimator).value for seed in range(2_000)]  # type: ignore[arg-type]
    assert 0.93 <= np.mean([each.low <= truth <= each.high for each in found]) <= 0.97
    assert abs(np.mean([each.mean for each in found]) - truth) < 4 * np.std([each.mean for each in found]) / 2_000**0.5


def test_bernstein_holds_for_few_rows() -> None:
    """Of 400 logs of 300 digits, at least 95 % of the empirical Bernstein intervals hold the value."""
    problem = digits()
    label, _, policy, _ = problem
    truth = float(policy[np.arange(len(label)), label].mean())
    for estimator in ("ips", "dr", "switch"):
        found = [
            policy_value(drawn(seed, 300, problem), estimator, interval="bernstein", bounds=(0.0, 1.0)).value  # type: ignore[arg-type]
            for seed in range(400)
        ]
        assert np.mean([each.low <= truth <= each.high for each in found]) >= 0.95


@given(st.integers(0, 10_000), st.integers(2, 5))
def test_the_logging_policy_is_worth_what_was_seen(seed: int, arms: int) -> None:
    """Asked about the policy that ran, every weight is one: IPS and SNIPS are the mean outcome."""
    rng = np.random.default_rng(seed)
    policy = rng.dirichlet(np.full(arms, 5.0), 200)
    arm = (policy.cumsum(axis=1) < rng.random((200, 1))).sum(axis=1).clip(0, arms - 1)
    outcome, predicted = rng.normal(size=200), rng.normal(size=(200, arms))
    log = Log(arm=arm, outcome=outcome, propensity=policy[np.arange(200), arm], policy=policy, predicted=predicted)
    for estimator in ("ips", "snips"):
        assert policy_value(log, estimator).value.mean == pytest.approx(outcome.mean())  # type: ignore[arg-type]
    table = overlap(log)
    assert table.worth == pytest.approx(200)
    assert (table.mean_weight, table.most) == pytest.approx((1.0, 1.0))
    assert sum(rows for rows, _, _ in table.arms) == 200


@given(st.integers(0, 10_000))
def test_estimators_meet_at_their_ends(seed: int) -> None:
    """With no predictions' error DR is direct; with predictions of zero it is IPS; switch at 0 is direct, far up DR."""
    log = drawn(seed, 400, digits_once())
    zero = msgspec.structs.replace(log, predicted=np.zeros_like(log.policy))
    exact = np.tile(log.outcome[:, None], (1, 10))
    right = msgspec.structs.replace(log, predicted=exact)
    value = {name: policy_value(log, name).value.mean for name in ESTIMATORS}  # type: ignore[arg-type]
    assert policy_value(zero, "dr").value.mean == pytest.approx(value["ips"])
    assert policy_value(right, "dr").value.mean == pytest.approx(policy_value(right, "direct").value.mean)
    assert policy_value(log, "switch", threshold=0.0).value.mean == pytest.approx(value["direct"])
    assert policy_value(log, "switch", threshold=1e9).value.mean == pytest.approx(value["dr"])
    moved = msgspec.structs.replace(log, outcome=log.outcome + 3.0)
    assert policy_value(moved, "snips").value.mean == pytest.approx(value["snips"] + 3.0)


ONCE: list[tuple[np.ndarray, ...]] = []


def digits_once() -> tuple[np.ndarray, ...]:
    """Return the problem, fitted once for all examples."""
    if not ONCE:
        ONCE.append(digits())
    return ONCE[0]


def test_rows_of_one_unit_are_one_proof() -> None:
    """A log repeated ten times has the interval of its units."""
    log = drawn(0, 400, digits_once())
    often = Log(
        arm=np.repeat(log.arm, 10),
        outcome=np.repeat(log.outcome, 10),
        propensity=np.repeat(log.propensity, 10),
        policy=np.repeat(log.policy, 10, axis=0),
        predicted=None if log.predicted is None else np.repeat(log.predicted, 10, axis=0),
        groups=np.repeat(np.arange(400), 10),
    )
    for estimator in ESTIMATORS:
        once, again = policy_value(log, estimator).value, policy_value(often, estimator).value  # type: ignore[arg-type]
        assert (again.mean, again.low, again.high) == pytest.approx((once.mean, once.low, once.high))


def test_collapsed_overlap_is_refused() -> None:
    """A policy that does what was hardly ever done gets no number, and is told what to do."""
    rng = np.random.default_rng(0)
    arm = (rng.random(20_000) < 0.002).astype(int)
    policy = np.tile([0.0, 1.0], (20_000, 1))
    log = Log(arm=arm, outcome=arm * 1.0, propensity=np.where(arm, 0.002, 0.998), policy=policy)
    with pytest.raises(DataError, match=r"20,000 rows are worth \d+, allowed: 1,000 or more. Explore more"):
        policy_value(log, "ips")


def test_wrong_propensities_are_refused() -> None:
    """Propensities that are not those that arms were drawn with show in the mean weight."""
    rng = np.random.default_rng(0)
    arm = (rng.random(20_000) < 0.8).astype(int)
    log = Log(arm=arm, outcome=arm * 1.0, propensity=np.full(20_000, 0.5), policy=np.tile([0.1, 0.9], (20_000, 1)))
    assert "arms were not drawn with the propensities" in overlap(log).alarm
    with pytest.raises(DataError, match=r"mean weight is 1\.4"):
        policy_value(log, "snips")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"outcome": np.full(400, np.nan)}, "outcome has 400 values that are not finite"),
        ({"propensity": np.zeros(400)}, "propensity is 0 to 0; allowed"),
        ({"propensity": np.full(399, 0.5)}, "propensity 399, policy 400"),
        ({"arm": np.full(400, 10)}, "arm is 10 to 10; allowed: 0 to 9"),
        ({"policy": np.full((400, 10), 0.2)}, "policy has rows that are no probabilities"),
        ({"predicted": np.zeros((400, 3))}, r"predicted has shape \(400, 3\)"),
        ({"predicted": None}, "estimator 'dr' needs predictions"),
    ],
)
def test_bad_input_is_named(change: dict[str, np.ndarray], said: str) -> None:
    """What does not fit is refused in a sentence that says what is allowed."""
    log = msgspec.structs.replace(drawn(0, 400, digits_once()), **change)
    with pytest.raises(DataError, match=said):
        policy_value(log, "dr")


def test_bernstein_needs_bounds() -> None:
    """The interval for few rows asks for the outcome's bounds, and refuses outcomes outside."""
    log = drawn(0, 400, digits_once())
    with pytest.raises(DataError, match="needs the outcome's `bounds`"):
        policy_value(log, "ips", interval="bernstein")
    with pytest.raises(DataError, match=r"bounds are 0 to 0\.5; outcomes or predictions lie outside"):
        policy_value(log, "ips", interval="bernstein", bounds=(0.0, 0.5))


def position_shares(alpha: np.ndarray, beta: np.ndarray, points: int = 500) -> np.ndarray:
    """Return the probability that each item's drawn rate is the greatest, the second, the third, shape (items, 3).

    By quadrature over the item's own rate; how many others exceed it is a sum of independent draws.
    """
    nodes, weights = np.polynomial.legendre.leggauss(points)
    found = np.zeros((len(alpha), 3))
    for item in range(len(alpha)):
        below = stats.beta.cdf(stats.beta.ppf((nodes + 1) / 2, alpha[item], beta[item])[:, None], alpha, beta)
        ahead = np.zeros((3, points))
        ahead[0] = 1.0
        for other in range(len(alpha)):
            if other != item:
                less = below[:, other]
                ahead[1:] = ahead[1:] * less + ahead[:-1] * (1 - less)
                ahead[0] *= less
        found[item] = ahead @ weights / 2
    return found


@pytest.mark.trial
def test_open_bandit_is_the_published_value(shared_data: Path) -> None:
    """From 10,000 random impressions, the inverse-propensity value of the production policy is .00457 +- 1e-5."""
    (text,) = ask("obp", HERE / "ask_obp.py", [{}])
    prior = yaml.safe_load(text)["all"]
    shares = position_shares(np.asarray(prior["alpha"], float), np.asarray(prior["beta"], float))
    assert shares.sum(axis=0) == pytest.approx([1.0, 1.0, 1.0], abs=1e-5)
    rows = pd.read_csv(shared_data / "obd" / "random_all.csv.gz", index_col=0)
    policy = (shares / shares.sum(axis=0)).T[rows.position.to_numpy() - 1]
    log = Log(
        arm=rows.item_id.to_numpy(),
        outcome=rows.click.to_numpy(float),
        propensity=rows.propensity_score.to_numpy(),
        policy=policy,
    )
    found = policy_value(log, "ips")
    assert found.value.mean == pytest.approx(0.00457, abs=1e-5)
    assert found.value.low < 0.0042 < found.value.high  # what it was worth where it ran
    assert (found.overlap.mean_weight, found.overlap.worth) == pytest.approx((0.9533, 1_643), rel=1e-3)


@pytest.mark.trial
def test_open_bandit_to_uniform_raises_the_alarm(shared_data: Path) -> None:
    """Of what production showed, 10,000 impressions are worth some 340 random ones: the alarm fires."""
    rows = pd.read_csv(shared_data / "obd" / "bts_all.csv.gz", index_col=0)
    log = Log(
        arm=rows.item_id.to_numpy(),
        outcome=rows.click.to_numpy(float),
        propensity=rows.propensity_score.to_numpy(),
        policy=np.full((len(rows), 80), 1 / 80),
    )
    assert overlap(log).worth == pytest.approx(340, abs=1)
    with pytest.raises(DataError, match="10,000 rows are worth 340, allowed: 500 or more"):
        policy_value(log, "ips")
