"""How a model's score becomes its prediction, with the same bits for one score and for an array."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from abloop.libm import exp, exp_all

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Link = Literal["identity", "logistic", "softmax"]


def linked_one(score: float, link: Link) -> float:
    """Return a score as a prediction: unchanged, or as a probability.

    Example:
        >>> linked_one(0.0, "logistic")
        0.5
    """
    return 1.0 / (1.0 + exp(-score)) if link == "logistic" else score


def linked(scores: NDArray[np.float64], link: Link) -> NDArray[np.float64]:
    """Return scores as predictions: unchanged, or as probabilities, shape (n,)."""
    if link != "logistic":
        return scores
    probabilities: NDArray[np.float64] = 1.0 / (1.0 + exp_all(-scores))
    return probabilities


def softmax_one(scores: Sequence[float]) -> tuple[float, ...]:
    """Return the scores of classes as their probabilities, shape (c,).

    Example:
        >>> softmax_one((0.0, 0.0))
        (0.5, 0.5)
    """
    most = max(scores)
    parts = [exp(score - most) for score in scores]
    total = 0.0
    for part in parts:
        total += part
    return tuple([part / total for part in parts])


def softmax_rows(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return `softmax_one` of each row, shape (n, c)."""
    parts = exp_all((scores - scores.max(axis=1)[:, None]).ravel()).reshape(scores.shape)
    total = parts[:, 0].copy()
    for column in parts.T[1:]:
        total += column
    shares: NDArray[np.float64] = parts / total[:, None]
    return shares
