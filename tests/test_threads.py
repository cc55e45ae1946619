"""Small tables are fitted by one thread each, several of them side by side."""

from __future__ import annotations

import os
from functools import partial

import numpy as np
import pytest
import torch

from abloop.threads import CROWD, crew, hands, side_by_side, torch_alone
from abloop.train.fit import cross_fit
from tests.train.test_labels import table as told_table


def test_few_numbers_take_one_thread() -> None:
    """One thread below the bound, one a core from it on."""
    assert crew(1, CROWD - 1) == 1
    assert crew(CROWD, 1) == 0


def fail() -> None:
    """Fail in the middle of a small fit."""
    with torch_alone(10, 10):
        raise RuntimeError(f"{torch.get_num_threads()} thread")


def test_torch_has_its_threads_back() -> None:
    """What torch may use is as before, also where a fit fails."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with pytest.raises(RuntimeError, match="1 thread"):
            fail()
        assert torch.get_num_threads() == 2
        with torch_alone(CROWD, 1):
            assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("most", [1, 3])
def test_what_runs_side_by_side_is_all_done(most: int) -> None:
    """Every task is done once, each is told of, and the first that fails is who is heard of."""
    found: list[int] = []
    told: list[int] = []
    side_by_side([partial(found.append, number) for number in range(7)], most, told.append)
    assert sorted(found) == list(range(7))
    assert told == list(range(1, 8))
    with pytest.raises(RuntimeError, match="1 thread"):
        side_by_side([fail, fail], most, told.append)


def test_a_crew_is_as_large_as_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """OMP_NUM_THREADS is followed where it is a number; else the cores of the process."""
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert hands() == 3
    monkeypatch.setenv("OMP_NUM_THREADS", "many")
    assert hands() == len(os.sched_getaffinity(0))


def test_folds_side_by_side_give_the_same_evidence(monkeypatch: pytest.MonkeyPatch) -> None:
    """How many folds are fitted at a time changes not one bit of what the gate sees."""
    table = told_table([{"name": "opened", "by_arm": True}], {"learners": ["s", "x", "t_linear"], "repeats": 2}, 400)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    alone = cross_fit(table)
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    together = cross_fit(table)
    for name in ("arm_scores", "policy_scores", "losses", "effects"):
        np.testing.assert_array_equal(getattr(alone, name), getattr(together, name))


def test_a_system_that_tells_no_cores_has_some(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a process cannot ask which cores it may use, all that are there count."""
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.delattr(os, "sched_getaffinity")
    assert hands() == os.cpu_count()
