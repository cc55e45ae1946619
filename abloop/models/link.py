"""How a model's score becomes its prediction, with the same bits for one score and for an array."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from abloop.libm import exp, exp_all

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Link = Literal["identity", "logistic"]


def linked_one(score: float, link: Link) -> float:
    """Return a score as a prediction: unchanged, or as a probability.

    Example:
        >>> linked_one(0.0, "logistic")
        0.5
    """
    return score if link == "identity" else 1.0 / (1.0 + exp(-score))


def linked(scores: NDArray[np.float64], link: Link) -> NDArray[np.float64]:
    """Return scores as predictions: unchanged, or as probabilities, shape (n,)."""
    if link == "identity":
        return scores
    probabilities: NDArray[np.float64] = 1.0 / (1.0 + exp_all(-scores))
    return probabilities
