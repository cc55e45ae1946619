"""Small tables are fitted by one thread."""

from __future__ import annotations

import pytest
import torch

from abloop.threads import CROWD, crew, torch_alone


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
