"""Clicks into relevance: a candidate is clicked where it was looked at and liked, and the top is looked at more.

Both are fitted in turns, from clicks and positions alone. Source: Wang, Golbandi, Bendersky, Metzler, Najork, "Position
bias estimation for unbiased learning to rank in personal search", WSDM 2018.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from abloop.learners.base import Frame
from abloop.models.gbdt import bin_rows, fit_binned, flatten, raw_scores
from abloop.models.link import linked
from abloop.models.trees import Tree

TURNS = 20
LEAST = 1e-3  # share of looks at any position
MOST_POSITIONS = 50  # those beyond are one


@dataclass(frozen=True)
class Relevance:
    """What was fitted.

    Attributes:
        trees: Their sum, through the logistic function, is the chance of a click where a candidate is looked at.
        looked: Share of looks at each position, the first 1, shape (p,).
    """

    trees: tuple[Tree, ...]
    looked: Frame


def fit_relevance(
    inputs: Frame, clicked: Frame, positions: Frame, seed: int = 0, options: dict[str, Any] | None = None
) -> Relevance:
    """Fit relevance and examination to clicks.

    P(click) = looked(position) * relevance(inputs): given both, a candidate without a click was relevant with
    probability (1 - looked) * relevance / (1 - looked * relevance), and looked at likewise.

    Args:
        inputs: Shape (n, d), NaN where missing.
        clicked: 0 or 1, shape (n,).
        positions: From 0, shape (n,); rows where it is missing were looked at.
        seed: For the tie breaks of the library.
        options: LightGBM parameters, and `rounds`.
    """
    chosen = dict(options or {})
    rounds = int(chosen.pop("rounds", 100))
    at = np.minimum(np.nan_to_num(positions, nan=0.0), MOST_POSITIONS - 1).astype(np.intp)
    places = int(at.max()) + 1
    known = ~np.isnan(positions)
    counts = np.bincount(at, minlength=places)
    rate = np.bincount(at, clicked, minlength=places) / np.maximum(counts, 1)
    looked = np.clip(rate / max(rate[0], LEAST), LEAST, 1.0)
    data = bin_rows(inputs)
    relevant = np.full(len(clicked), float(np.clip(clicked.mean(), LEAST, 1 - LEAST)))
    for turn in range(TURNS):
        share = np.where(known, looked[at], 1.0)
        unseen = np.maximum(1.0 - share * relevant, 1e-9)
        was_relevant = np.where(clicked > 0, 1.0, (1.0 - share) * relevant / unseen)
        was_looked = np.where(clicked > 0, 1.0, share * (1.0 - relevant) / unseen)
        looked = np.bincount(at[known], was_looked[known], minlength=places) / np.maximum(
            np.bincount(at[known], minlength=places), 1
        )
        looked = np.clip(looked / max(looked[0], LEAST), LEAST, 1.0)
        fewer = rounds if turn == TURNS - 1 else max(20, rounds // 3)
        booster = fit_binned(data, np.clip(was_relevant, 0.0, 1.0), seed, "cross_entropy", chosen, fewer)
        relevant = np.clip(linked(raw_scores(booster, inputs), "logistic"), LEAST, 1 - LEAST)
    return Relevance(flatten(booster), looked)
