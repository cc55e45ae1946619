"""The hypervolume of two objectives and of more, beside BoTorch's."""

from __future__ import annotations

import random

import pytest

from abloop.optimize.volume import dominated


@pytest.mark.parametrize(("size", "number"), [(2, 30), (3, 30), (4, 20), (5, 8)])
def test_it_is_that_of_botorch(size: int, number: int) -> None:
    """Random points, some of them beaten by others and some twice, dominate what BoTorch says."""
    torch = pytest.importorskip("torch")
    hypervolume = pytest.importorskip("botorch.utils.multi_objective.hypervolume").Hypervolume
    rng = random.Random(size)
    points = [[rng.choice((0.25, 0.5, rng.random() + 0.01)) for _ in range(size)] for _ in range(number)]
    points.append(points[0])
    peer = hypervolume(torch.zeros(size, dtype=torch.double)).compute(torch.tensor(points, dtype=torch.double))
    assert dominated(points) == pytest.approx(float(peer), rel=1e-12)


def test_one_point_is_its_box() -> None:
    """A single point dominates the box between itself and the origin."""
    assert dominated([(2.0, 3.0, 0.5, 1.0)]) == pytest.approx(3.0)
