"""Does a ranking by predicted effect find those who gain? Qini, uplift curve, TOC, deciles, and what a budget buys.

Knows no learner and no storage. Predictions must come from models that did not see the rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from abloop.errors import DataError
from abloop.evaluate.ope import Frame, Index, clustered_mean, count_units, weighted_value
from abloop.stats.compare import Estimate
from abloop.stats.sequential import one_sided_z

DRAWS = 200  # of the bootstrap


class Ranked(msgspec.Struct, frozen=True):
    """A curve over the share of rows that a ranking puts first.

    Attributes:
        share: Share of the rows, from 0 to 1, shape (m,).
        height: The curve, shape (m,).
    """

    share: Frame
    height: Frame


def qini_curve(outcome: Frame, treated: NDArray[np.bool_], predicted: Frame) -> Ranked:
    """Return outcomes won among the first rows: of the treated, less those of control at the treated's number.

    Source: Radcliffe, "Using control groups to target on predicted lift", 2007; ties count as one step, as in
    scikit-uplift.

    Args:
        outcome: Shape (n,).
        treated: Shape (n,).
        predicted: Predicted effect of each row, shape (n,).

    Raises:
        DataError: The arrays do not fit together, or one arm is missing.

    Example:
        >>> outcome, treated = np.array([1.0, 0.0, 0.0, 0.0]), np.array([True, False, True, False])
        >>> curve = qini_curve(outcome, treated, np.array([4.0, 3.0, 2.0, 1.0]))
        >>> curve.height.tolist()
        [0.0, 1.0, 1.0, 1.0, 1.0]
    """
    _check(outcome, treated, predicted)
    order = np.argsort(-predicted, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(predicted[order])), len(order) - 1)
    first, given = outcome[order], treated[order]
    rows, helped = (ends + 1).astype(float), np.cumsum(given)[ends].astype(float)
    won, lost = np.cumsum(first * given)[ends], np.cumsum(first * ~given)[ends]
    others = rows - helped
    height = won - lost * np.divide(helped, others, out=np.zeros_like(helped), where=others > 0)
    return Ranked(np.append(0.0, rows / len(order)), np.append(0.0, height))


def qini_score(outcome: Frame, treated: NDArray[np.bool_], predicted: Frame) -> float:
    """Return the area between the Qini curve and a random ranking's, over that of the best ranking there can be.

    The best one puts treated rows with an outcome first and control rows with one last, as in scikit-uplift's
    `qini_auc_score`. A random ranking scores about 0.

    Args:
        outcome: Shape (n,), 0 or more.
        treated: Shape (n,).
        predicted: Predicted effect of each row, shape (n,).

    Raises:
        DataError: The arrays do not fit together, one arm is missing, or no outcome differs.
    """
    ours, best = (
        qini_curve(outcome, treated, predicted),
        qini_curve(outcome, treated, outcome * np.where(treated, 1, -1)),
    )
    line = best.height[-1] / 2
    room = _area(best) - line
    if abs(room) < 1e-12:
        raise DataError("no ranking is better than another: every outcome is the same")
    return float((_area(ours) - line) / room)


def auuc(outcome: Frame, treated: NDArray[np.bool_], predicted: Frame) -> float:
    """Return the mean over ranks of the gain among the first rows, over that among all: about .5 at random.

    The gain is the difference of the arms' means times the rows, as in causalml's `auuc_score`. Source: Gutierrez,
    Gerardy, PMLR 2016. Ranks before both arms appeared are filled in on a line, from zero.

    Args:
        outcome: Shape (n,).
        treated: Shape (n,).
        predicted: Predicted effect of each row, shape (n,).

    Raises:
        DataError: The arrays do not fit together, or one arm is missing.
    """
    _check(outcome, treated, predicted)
    order = np.argsort(-predicted, kind="stable")
    first, given = outcome[order], treated[order]
    ranks = np.arange(1, len(order) + 1)
    helped = np.cumsum(given)
    others = ranks - helped
    known = (helped > 0) & (others > 0)
    lift = np.cumsum(first * given)[known] / helped[known] - np.cumsum(first * ~given)[known] / others[known]
    filled = np.interp(np.arange(len(order) + 1), np.append(0, ranks[known]), np.append(0.0, lift))
    gain = filled * np.arange(len(order) + 1)
    return float(gain.mean() / abs(gain[-1]))


def rate(
    predicted: Frame,
    measured: Frame,
    groups: Index | None = None,
    *,
    weight: Literal["autoc", "qini"] = "autoc",
    draws: int = DRAWS,
    confidence: float = 0.95,
    seed: int = 0,
) -> Estimate:
    """Return the rank-weighted average treatment effect: how much more the first ranked gain than everybody.

    It is the mean over shares q of TOC(q), the mean measured effect of the first q less that of all; with `qini`,
    of q TOC(q). Zero where the ranking finds nobody. Source: Yadlowsky, Fleming, Shah, Brunskill, Wager,
    "Evaluating treatment prioritization rules", JASA 2024. The interval is normal, its error from units drawn with
    replacement.

    Args:
        predicted: Predicted effect of each row, or any priority, shape (n,).
        measured: Doubly-robust score of the effect of each row, shape (n,).
        groups: Unit of each row, 0 to g - 1, shape (n,); None for one row a unit.
        weight: What shares count: `autoc` finds few who gain much, `qini` many who gain somewhat.
        draws: Of the bootstrap, from 2.
        confidence: Coverage, in (0, 1).
        seed: Of the draws.

    Example:
        >>> effect = np.random.default_rng(0).normal(size=4_000)
        >>> found = rate(effect, effect + np.random.default_rng(1).normal(size=4_000))
        >>> found.low < 0.903 < found.high  # the mean hazard of a normal
        True
    """
    units = np.arange(len(predicted)) if groups is None else groups
    order = np.argsort(-predicted, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(predicted[order])), len(order) - 1)
    scores, owners, count = measured[order], units[order], int(units.max()) + 1
    rng, found = np.random.default_rng(seed), _rate(scores, np.ones(len(order)), ends, weight)
    drawn = [
        _rate(scores, rng.multinomial(count, np.full(count, 1.0 / count))[owners].astype(float), ends, weight)
        for _ in range(draws)
    ]
    half = one_sided_z((1.0 - confidence) / 2) * float(np.std(drawn, ddof=1))
    return Estimate(count_units(units), found, found - half, found + half)


def _rate(scores: Frame, weights: Frame, ends: Index, weight: str) -> float:
    """Return the rank-weighted average of weighted rows in order; rows that tie share the mean of their tie."""
    heavy = np.add.reduceat(weights, np.append(0, ends[:-1] + 1))
    summed = np.add.reduceat(weights * scores, np.append(0, ends[:-1] + 1))
    reached, total = np.cumsum(heavy), np.cumsum(summed)
    kept = reached > 0
    toc = total[kept] / reached[kept] - total[-1] / reached[-1]
    share, step = reached[kept] / reached[-1], heavy[kept] / reached[-1]
    return float((toc * step * (share if weight == "qini" else 1.0)).sum())


def effect_deciles(predicted: Frame, measured: Frame, groups: Index, parts: int = 10) -> tuple[Estimate, ...]:
    """Return the measured effect by parts of about equal size, from the greatest predicted effect to the least.

    Args:
        predicted: Predicted effect of each row, shape (n,).
        measured: Doubly-robust score of the effect of each row, shape (n,).
        groups: Unit of each row, 0 to g - 1, shape (n,).
        parts: How many, from 2.
    """
    order = np.argsort(-predicted, kind="stable")
    return tuple(weighted_value(measured[rows], groups[rows]) for rows in np.array_split(order, parts))


class Spent(msgspec.Struct, frozen=True):
    """What a budget buys.

    Attributes:
        budget: Cost a row that was allowed.
        cost: Cost a row that is used.
        gain: Measured value a row over control for all, costs not taken away, with its interval.
        shares: Share of rows that each arm gets, length k.
    """

    budget: float
    cost: float
    gain: Estimate
    shares: tuple[float, ...]


def spend_curve(
    effects: Frame, costs: Frame | Sequence[float], scores: Frame, groups: Index, budgets: Sequence[float]
) -> tuple[Spent, ...]:
    """Return what each budget buys where it goes, step by step, to whom it brings the most predicted effect a cost.

    Source: Sverdrup, Wu, Athey, Wager, "Qini curves for multi-armed treatment rules", JCGS 2025, section 2. The
    intervals take the steps as given.

    Args:
        effects: Predicted effect of each arm against control, shape (n, k), column 0 zero.
        costs: Cost of each arm above control's, shape (k,), or of each row's, shape (n, k); from 0.
        scores: Doubly-robust score of each arm, gross, shape (n, k).
        groups: Unit of each row, 0 to g - 1, shape (n,).
        budgets: Cost a row that may be used, each from 0.

    Raises:
        DataError: A cost or a budget is below zero.
    """
    rows, arms = effects.shape
    price: Frame = np.broadcast_to(np.asarray(costs, dtype=np.float64), effects.shape)
    if (price < 0).any() or any(not budget >= 0 for budget in budgets):
        raise DataError(f"costs start at {price.min():g}, budgets at {min(budgets):g}; allowed: from 0")
    row, arm, extra, bargain = _steps(effects, price)
    order = np.argsort(-bargain, kind="stable")
    paid = np.cumsum(extra[order]) / rows
    found = []
    for budget in budgets:
        chosen = np.zeros(rows, dtype=np.intp)
        taken = order[: int(np.searchsorted(paid, budget * (1 + 1e-12) + 1e-15, side="right"))]
        chosen[row[taken]] = arm[taken]  # in order, so that a row's last step stays
        every = np.arange(rows)
        mean, error = clustered_mean(scores[every, chosen] - scores[:, 0], groups)
        gain = Estimate(count_units(groups), mean, mean - 1.96 * error, mean + 1.96 * error)
        shares = np.bincount(chosen, minlength=arms) / rows
        found.append(Spent(float(budget), float(price[every, chosen].mean()), gain, tuple(shares.tolist())))
    return tuple(found)


def _steps(effects: Frame, price: Frame) -> tuple[Index, Index, Frame, Frame]:
    """Return each row's steps to dearer arms on the hull of effect over cost: row, arm, extra cost, effect a cost."""
    rows, arms = effects.shape
    at, every = np.zeros(rows, dtype=np.intp), np.arange(rows)
    parts: list[tuple[Index, Index, Frame, Frame]] = []
    for _ in range(arms - 1):
        extra, more = price - price[every, at][:, None], effects - effects[every, at][:, None]
        with np.errstate(divide="ignore", invalid="ignore"):
            slope = np.where((more > 0) & (extra >= 0), np.where(extra > 0, more / extra, np.inf), -np.inf)
        best = slope.max(axis=1)
        # Of arms that are as good a bargain, the one that brings most: those between lie on the same line.
        step = np.where(slope == best[:, None], more, -np.inf).argmax(axis=1)
        moves = np.flatnonzero(np.isfinite(more[every, step]) & (best > 0))
        if not len(moves):
            break
        parts.append((moves, step[moves], extra[moves, step[moves]], best[moves]))
        at[moves] = step[moves]
    if not parts:
        none = np.zeros(0, dtype=np.intp)
        return none, none, np.zeros(0), np.zeros(0)
    row, arm, cost, bargain = (np.concatenate(each) for each in zip(*parts, strict=True))
    return row, arm, cost, bargain


def _area(curve: Ranked) -> float:
    """Return the area under a curve over shares."""
    return float(np.trapezoid(curve.height, curve.share))


def _check(outcome: Frame, treated: NDArray[np.bool_], predicted: Frame) -> None:
    """Refuse arrays that do not fit together."""
    if not len(outcome) == len(treated) == len(predicted):
        raise DataError(
            f"rows are outcome {len(outcome):,}, treated {len(treated):,}, predicted {len(predicted):,}; allowed: as "
            "many in each"
        )
    if not treated.any() or treated.all():
        raise DataError("every row is of one arm; allowed: treated rows and others")
