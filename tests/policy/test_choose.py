"""The choice of an arm: one rule for a unit and for a frame."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from abloop.policy.choose import best_arm, best_arms

levels = st.sampled_from([-1.0, -0.0, 0.0, 0.1, 0.2, 0.30000000000000004, 0.3]) | st.floats(-1e6, 1e6)
shapes = st.integers(2, 5).flatmap(
    lambda k: st.tuples(
        st.lists(st.lists(levels, min_size=k, max_size=k), min_size=1, max_size=8),
        st.lists(levels, min_size=k, max_size=k),
    )
)


@settings(max_examples=300, deadline=None)
@given(shapes)
def test_one_unit_equals_a_frame(drawn: tuple[list[list[float]], list[float]]) -> None:
    """The arm chosen in product code is the arm that the evaluation scored, ties included."""
    effects, costs = drawn
    assert best_arms(np.asarray(effects), costs).tolist() == [best_arm(row, costs) for row in effects]


@settings(deadline=None)
@given(shapes)
def test_no_arm_is_better(drawn: tuple[list[list[float]], list[float]]) -> None:
    """No arm has a greater effect net of cost than the chosen one, and no earlier one an equal."""
    effects, costs = drawn
    for row in effects:
        chosen = best_arm(row, costs)
        net = [effect - cost for effect, cost in zip(row, costs, strict=True)]
        assert net[chosen] == max(net)
        assert chosen == net.index(max(net))


def test_without_effects_control_wins() -> None:
    """With nothing to choose between, everybody gets control."""
    assert best_arm((0.0, 0.0, 0.0), (0.0, 0.0, 0.0)) == 0
