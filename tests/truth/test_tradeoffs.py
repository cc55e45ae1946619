"""Tuning beside bare Ax; `ABLOOP_LONG=1` runs what `tradeoffs.jsonl` lacks, an hour and a half of one core."""

from __future__ import annotations

import os

import numpy as np
import pytest

from tests.truth.tradeoffs import JUDGED, PROBLEMS, Problem, log_of, reached, run

LONG = bool(os.environ.get("ABLOOP_LONG"))


def test_what_serves_changes_nothing_and_logs_are_what_they_say() -> None:
    """The point that serves is the origin; an informative log goes with the truth, a misleading one against it."""
    problem = Problem("BraninCurrin")
    assert np.allclose(problem.change(problem.served[None]), 0.0)
    for kind, sign in (("informative", 1), ("misleading", -1)):
        found = log_of(problem, 0, kind)
        points, said = found[:, : problem.weights], found[:, problem.weights :]
        true = problem.change(points if sign > 0 else 1 - points)
        assert sign * np.corrcoef(true[:, 0], said[:, 0])[0, 1] > 0.95


def at(problem: str, way: str, trials: int) -> float:
    """Return the mean hypervolume of a way after so many trials."""
    run([way], [problem], JUDGED, 600.0)
    found = reached(problem, way, trials, JUDGED)
    assert len(found) == len(JUDGED)
    return float(np.mean(found))


@pytest.mark.skipif(not LONG, reason="an hour and a half: ABLOOP_LONG=1")
@pytest.mark.parametrize("problem", PROBLEMS)
def test_it_is_not_behind_bare_ax(problem: str) -> None:
    """After 20 trials it has the hypervolume of bare Ax; with a misleading log, 10 % less at most."""
    ax = at(problem, "ax", 20)
    assert at(problem, "ours", 20) >= ax
    assert at(problem, "misleading", 20) >= 0.9 * ax


@pytest.mark.skipif(not LONG, reason="an hour and a half: ABLOOP_LONG=1")
@pytest.mark.parametrize("problem", PROBLEMS)
def test_a_misleading_log_costs_little(problem: str) -> None:
    """With a misleading log, it has 10 % less at most than without any."""
    assert at(problem, "misleading", 20) >= 0.9 * at(problem, "ours", 20)


@pytest.mark.skipif(not LONG, reason="an hour and a half: ABLOOP_LONG=1")
@pytest.mark.parametrize("problem", PROBLEMS)
def test_an_informative_log_halves_the_trials(problem: str) -> None:
    """With an informative log, 15 trials reach what bare Ax reaches in 30."""
    assert at(problem, "informative", 15) >= at(problem, "ax", 30)
