"""What is proposed: within sums, towards goals, from logs that are believed as far as they hold."""

from __future__ import annotations

import numpy as np
import pytest

from abloop.blueprint.tuning import Limit, Objective, Sum
from abloop.errors import DataError
from abloop.optimize.drift import again_of, drift, widened
from abloop.optimize.learn import learn
from abloop.optimize.pareto import closest, pareto
from abloop.optimize.propose import draw, foresee, propose, spaced
from abloop.optimize.search import Search
from abloop.optimize.trials import Lift, Point, Round, State, Trial

BOTH = (Objective(metric="good"), Objective(metric="cost", better="lower"))
SEARCH = Search(bounds={"a": (0.0, 1.0), "b": (-2.0, 2.0)}, served={"a": 0.2, "b": -1.0}, objectives=BOTH)


def truth(weights: dict[str, float]) -> dict[str, float]:
    """Return what weights change: good is best at (.7, 1), cost grows with b."""
    good = -((weights["a"] - 0.7) ** 2) - ((weights["b"] - 1) ** 2) / 16 + 0.5
    return {"good": good, "cost": 0.2 * (weights["b"] + 1)}


def tried(search: Search, count: int, seed: int = 0) -> list[Trial]:
    rng = np.random.default_rng(seed)
    return [
        Trial(
            at,
            at // 4,
            weights,
            "read",
            lifts={m: Lift(x + rng.normal(0, 0.005), 0.005) for m, x in truth(weights).items()},
        )
        for at, weights in enumerate(search.weights(search.spread(count)))
    ]


def test_sums_are_kept_by_every_proposal() -> None:
    """Spread or by a model, weights keep linear constraints, those of fixed weights too."""
    search = Search(
        bounds=SEARCH.bounds,
        served={**SEARCH.served, "c": 0.5},
        objectives=BOTH,
        sums=(Sum(weights={"a": 1, "b": 1, "c": 2}, most=1.2), Sum(weights={"b": 1}, least=-1.5)),
    )
    trials = tried(search, 6)
    for weights, source in [*propose(search, [], 4), *propose(search, trials, 1)]:
        assert weights["a"] + weights["b"] + 1.0 <= 1.2 + 1e-6, source
        assert weights["b"] >= -1.5 - 1e-6
    never = Search(bounds=SEARCH.bounds, served=SEARCH.served, objectives=BOTH, sums=(Sum(weights={"a": 1}, least=5),))
    with pytest.raises(DataError, match="keep them; widen them"):
        propose(never, [], 1)


def test_counts_are_whole() -> None:
    """Spread, by a model or on the frontier, what is a count is proposed as one, and learned from as one."""
    search = Search(bounds={"a": (0.0, 1.0), "b": (-2.0, 2.0)}, served=SEARCH.served, objectives=BOTH, whole=("b",))
    trials = tried(search, 6)
    points = pareto(learn(search, trials), trials)
    tries = [weights for weights, _ in propose(search, trials, 1)] + [trial.weights for trial in trials]
    for weights in (*tries, *(point.weights for point in points)):
        assert weights["b"] in (-2, -1, 0, 1, 2)


def test_one_objective_is_driven_to_its_best() -> None:
    """Two rounds after eight trials, the best place is nearly found."""
    search = Search(
        bounds=SEARCH.bounds, served=SEARCH.served, objectives=BOTH[:1], limits=(Limit(metric="cost", most=1),)
    )
    found = propose(search, tried(search, 8), 2)
    assert [source for _, source in found] == ["model"] * 2
    assert max(truth(weights)["good"] for weights, _ in found) > 0.45


def test_progress_is_told_weights_by_weights() -> None:
    """Those who wait for a model are told of each of its weights."""
    steps: list[tuple[int, int]] = []
    propose(SEARCH, tried(SEARCH, 6), 2, progress=lambda done, total: steps.append((done, total)))
    assert steps == [(1, 2), (2, 2)]


def test_unreachable_limits_still_get_a_proposal() -> None:
    """Where no weights keep a limit, the next proposal comes, and the frontier is empty and says so."""
    search = Search(
        bounds=SEARCH.bounds, served=SEARCH.served, objectives=BOTH, limits=(Limit(metric="cost", most=-9),)
    )
    trials = tried(search, 6)
    assert len(propose(search, trials, 2)) == 2
    assert pareto(learn(search, trials), trials) == ()
    with pytest.raises(DataError, match="no weights are expected to keep the limits"):
        closest((), (), BOTH[0])


def test_an_objective_without_variance_costs_no_proposal() -> None:
    """A metric that is the same everywhere leaves the others to be learned."""
    trials = [
        Trial(at, 0, each.weights, "read", lifts={"good": Lift(0.0, 1e-9), "cost": each.lifts["cost"]})
        for at, each in enumerate(tried(SEARCH, 6))
    ]
    found = propose(SEARCH, trials, 2)
    assert len(found) == 2
    (expected,) = foresee(SEARCH, trials, [{"a": 0.5, "b": 0.0}])
    assert abs(expected["cost"].mean - 0.2) < 0.05


def test_logs_are_believed_as_far_as_they_hold() -> None:
    """A log near the truth keeps its say; one that says the opposite loses it, and the next round is partly spread."""
    places = SEARCH.weights(SEARCH.spread(64))
    trials = tried(SEARCH, 8)
    true = [Point(w, {m: Lift(0.9 * x, 0.01) for m, x in truth(w).items()}) for w in places]
    wave = [Point(w, {m: Lift(float(np.sin(9 * w["a"]) * w["b"]), 0.01) for m in ("good", "cost")}) for w in places]
    assert min(learn(SEARCH, trials, true).trusted.values()) > 0.7
    assert min(learn(SEARCH, trials, wave).trusted.values()) < 0.3
    first = propose(SEARCH, [], 4, true)
    told = SEARCH.place([weights for weights, source in first if source == "logs"])
    assert 2 <= len(told) < 4  # of near ones some are spread, half at most
    assert [source for _, source in first][len(told) :] == ["spread"] * (4 - len(told))
    assert max(truth(weights)["good"] for weights, _ in first) > 0.4
    misled = [Trial(t.number, 0, t.weights, "read", lifts=t.lifts, source="logs") for t in trials]
    assert [source for _, source in propose(SEARCH, misled, 4, wave)] == ["spread"] * 4


def test_logs_that_say_the_same_of_all_weights_say_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """A first round is spread over the space then, does not claim to come from logs, and a warning says why."""
    flat = [Point(w, {"good": Lift(0.0, 0.01), "cost": Lift(0.0, 0.01)}) for w in SEARCH.weights(SEARCH.spread(16))]
    assert [source for _, source in propose(SEARCH, [], 3, flat)] == ["spread"] * 3
    assert "no model could be fitted to 0 trials: logs say the same of all weights" in caplog.text


def test_a_metric_that_is_measured_later_leaves_the_others_what_they_learned() -> None:
    """Trials without it are learned from for the rest; of too few with it, how many there are is said."""
    limited = Search(
        bounds=SEARCH.bounds, served=SEARCH.served, objectives=BOTH, limits=(Limit(metric="late", most=0.1),)
    )
    trials = [
        Trial(each.number, 0, each.weights, "read", lifts={**each.lifts, "late": Lift(0.0, 0.01)})
        if each.number > 4
        else each
        for each in tried(SEARCH, 9)
    ]
    place = {"a": 0.7, "b": 1.0}
    (all_,), (others,) = foresee(SEARCH, trials, [place]), foresee(limited, trials, [place])
    assert others["good"].mean == pytest.approx(all_["good"].mean, abs=1e-6)
    assert others["late"].mean == pytest.approx(0.0, abs=0.02)
    with pytest.raises(DataError, match="needs 4 trials that were read; late has 3"):
        learn(limited, trials[:8])


def test_arms_of_a_round_keep_apart_until_one_keeps_the_limits() -> None:
    """Where none so far did, a round looks in several places, not five times in the likeliest."""
    narrow = (Limit(metric="good", least=0.45), Limit(metric="cost", most=0.45))
    search = Search(bounds=SEARCH.bounds, served=SEARCH.served, objectives=BOTH, limits=narrow)
    trials = [trial for trial in tried(search, 9) if trial.lifts["good"].mean < 0.4]
    points = search.place([weights for weights, _ in propose(search, trials, 4)])
    gaps = np.linalg.norm(points[:, None] - points[None], axis=2) + np.eye(4)
    assert gaps.min() > 0.1
    assert max(truth(weights)["good"] for weights in search.weights(points)) > 0.4


def test_half_of_a_first_round_stays_where_a_log_sees_the_best() -> None:
    """Of the other arms those stay that are far from all; the rest makes room for arms that are spread."""
    points = np.array([[0.5, 0.5], [0.5, 0.51], [0.49, 0.5], [0.9, 0.5], [0.51, 0.5]])
    assert np.array_equal(spaced(points), points[:4])
    assert np.array_equal(spaced(points[:2]), points[:1])
    assert spaced(points[:0]).shape == (0, 2)


def test_the_expected_frontier_is_that_of_the_truth() -> None:
    """Points of the expected frontier are nearly unbeaten in truth, and what is expected of them holds."""
    trials = tried(SEARCH, 16)
    points = pareto(learn(SEARCH, trials), trials)
    assert 10 < len(points) <= 25
    for point in points:
        for metric, value in truth(point.weights).items():
            assert abs(point.lifts[metric].mean - value) < max(4 * point.lifts[metric].error, 0.03)
        assert (point.weights["a"] - 0.7) ** 2 < 0.06  # of good, 0.5 at best, is lost to the truth
    cheap = closest(points, [Limit(metric="good", least=0.3)], BOTH[1])
    assert cheap.lifts["good"].mean >= 0.3
    assert cheap.lifts["cost"].mean < points[0].lifts["cost"].mean
    with pytest.raises(DataError, match="the nearest has good"):
        closest(points, [Limit(metric="good", least=9)], BOTH[1])


def test_thompson_finds_the_best_of_given_weights() -> None:
    """Of ten weights the best one is drawn more and more, each round pooling all before."""
    rng = np.random.default_rng(0)
    search = Search(bounds={"a": (0.0, 1.0)}, served={"a": 0.0}, objectives=(Objective(metric="good"),))
    among = [{"a": at / 10} for at in range(1, 11)]
    trials: list[Trial] = []
    for number in range(12):
        for at in draw(search, trials, among, 3):
            lift = Lift(0.3 - (among[at]["a"] - 0.6) ** 2 + rng.normal(0, 0.03), 0.03)
            trials.append(Trial(len(trials), number, among[at], "read", lifts={"good": lift}))
    late = [trial.weights["a"] for trial in trials if trial.round >= 8]
    assert np.mean([abs(a - 0.6) < 0.21 for a in late]) > 0.6
    assert len(draw(search, trials, among, 99)) == 10


def test_drift_is_said_and_widens_errors() -> None:
    """Repeated arms that differ between rounds raise the alarm; those that agree do not."""

    def pair(change: float) -> list[Trial]:
        return [
            Trial(2 * at + turn, turn, {"a": at / 9}, "read", lifts={"good": Lift(0.1 + turn * change, 0.01)})
            for at in range(3)
            for turn in (0, 1)
        ]

    (same,), (moved,) = drift(pair(0.0)), drift(pair(0.2))
    assert same.p_value > 0.5
    assert "the same in all rounds" in same.words
    assert moved.p_value < 1e-6
    assert "differs between rounds by" in moved.words
    assert widened(pair(0.0))[0].lifts["good"].error == 0.01
    assert widened(pair(0.2))[0].lifts["good"].error > 0.05
    assert drift(pair(0.0)[::2]) == ()
    state = State("s", (Round(0, 1, "read"),), tuple(tried(SEARCH, 4)))
    again = again_of(state, SEARCH, 2)
    assert [source for _, source in again] == ["again"] * 2
    assert all(any(weights == trial.weights for trial in state.trials) for weights, _ in again)
