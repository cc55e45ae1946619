"""How good an order is: NDCG, and the pairs that it gets wrong. Knows no model."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Frame = NDArray[np.float64]
Index = NDArray[np.intp]
MANY = 200  # candidates of a list, beyond which its pairs are counted and not laid out


def ndcg(grades: Frame, scores: Frame, lists: Index, top: int) -> float:
    """Return the mean over lists of the normalised discounted cumulative gain of the first places.

    DCG = sum over places i from 1 of (2**grade - 1) / log2(i + 1), divided by its greatest value; lists without any
    grade above 0 are left out. Source: Jarvelin, Kekalainen, ACM TOIS 2002, with the gain of Burges et al., ICML 2005.

    Args:
        grades: Relevance of each candidate, from 0, shape (n,).
        scores: By which they are ordered, greatest first, shape (n,).
        lists: List of each candidate, shape (n,).
        top: Places that count, from 1.

    Example:
        >>> ndcg(np.array([1.0, 0.0]), np.array([0.2, 0.9]), np.zeros(2, int), 2).__round__(4)
        0.6309
    """
    found = []
    for here in _members(lists):
        gains = 2.0 ** grades[here] - 1.0
        weights = 1.0 / np.log2(np.arange(2, min(top, len(here)) + 2))
        best = float(np.sort(gains)[::-1][: len(weights)] @ weights)
        if best > 0:
            order = np.argsort(-scores[here], kind="stable")[: len(weights)]
            found.append(float(gains[order] @ weights) / best)
    return float(np.mean(found)) if found else float("nan")


def pair_losses(grades: Frame, scores: Frame, lists: Index) -> Frame:
    """Return for each candidate the share of the pairs of its list that are ordered wrongly, ties counting half.

    Args:
        grades: Relevance of each candidate, shape (n,).
        scores: By which they are ordered, greatest first, shape (n,).
        lists: List of each candidate, shape (n,).

    Returns:
        Shape (n,); one half where a list has no pair of different grades.
    """
    losses = np.full(len(grades), 0.5)
    for here in _members(lists):
        if len(here) > MANY:
            losses[here] = _wrong_share(grades[here], scores[here])
            continue
        better = grades[here][:, None] > grades[here][None, :]
        if better.any():
            gap = scores[here][:, None] - scores[here][None, :]
            wrong = np.where(gap < 0, 1.0, np.where(gap == 0, 0.5, 0.0))
            losses[here] = float(wrong[better].mean())
    return losses


def _wrong_share(grades: Frame, scores: Frame) -> float:
    """Return the share of pairs that are ordered wrongly, grade by grade: no table of all pairs of a long list."""
    wrong = pairs = 0.0
    for grade in np.unique(grades)[1:]:
        above, below = scores[grades == grade], np.sort(scores[grades < grade])
        less, most = (np.searchsorted(below, above, side) for side in ("left", "right"))
        wrong += float((len(below) - most).sum() + 0.5 * (most - less).sum())
        pairs += float(len(above)) * len(below)
    return wrong / pairs if pairs else 0.5


def _members(lists: Index) -> list[Index]:
    """Return the rows of each list, in their order."""
    order = np.argsort(lists, kind="stable")
    return [part for part in np.split(order, np.flatnonzero(np.diff(lists[order])) + 1) if len(part)]
