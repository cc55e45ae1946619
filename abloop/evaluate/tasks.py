"""How well a proxy task is predicted: proper losses row by row, and the figures people know. Knows no model."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from abloop.evaluate.rankings import ndcg, pair_losses

Frame = NDArray[np.float64]
Index = NDArray[np.intp]
BINS = 10  # of calibration
FEWEST_OF_PLACE = 20  # training rows at a place in a list, or it is taken with the next one


def losses_of(
    name: str,
    task: str,
    values: Frame,
    predicted: Mapping[str, Frame],
    arm: Index,
    lists: Index | None = None,
    *,
    classes: int = 0,
    quantile: float = 0.5,
) -> Frame:
    """Return each row's loss, least in the mean for who predicts the truth.

    Args:
        name: The label.
        task: `binary` (Brier), `regression` (squared error), `quantile` (pinball), `multiclass` (Brier over classes) or
            `rank` (share of the pairs of the row's list that are in the wrong order).
        values: The label, shape (n,).
        predicted: What the formula reads, each of shape (n,), or (n, k) by arm.
        arm: Index of each row's arm, shape (n,).
        lists: List of each row, shape (n,).
        classes: Number of classes.
        quantile: Of a quantile: which.

    Example:
        >>> losses_of("y", "binary", np.array([1.0, 0.0]), {"y": np.array([0.5, 0.0])}, np.zeros(2, int)).tolist()
        [0.25, 0.0]
    """
    if task == "multiclass":
        total = np.zeros(len(values))
        for number in range(classes):
            total += (predicted[f"{name}_{number}"] - (values == number)) ** 2
        return total
    found = predicted[name]
    if found.ndim == 2:
        found = found[np.arange(len(values)), arm]
    if task == "quantile":
        gap = values - found
        return np.maximum(quantile * gap, (quantile - 1.0) * gap)
    if task == "rank":
        return pair_losses(values, found, np.zeros(len(values), dtype=np.intp) if lists is None else lists)
    squared: Frame = (values - found) ** 2
    return squared


def nothing_known(
    name: str,
    task: str,
    past: Frame,
    rows: int,
    *,
    classes: int = 0,
    quantile: float = 0.5,
    past_places: Frame | None = None,
    places: Frame | None = None,
) -> dict[str, Frame]:
    """Return what is predicted of a label without any feature: mean, quantile, shares of classes; shape (rows,) each.

    Args:
        name: The label.
        task: As for `losses_of`.
        past: Its values on training rows, one or more.
        rows: Rows to predict.
        classes: Number of classes.
        quantile: Of a quantile: which.
        past_places: Where training rows were in their lists, NaN for nowhere; None where that is no matter.
        places: The same of the rows to predict, shape (rows,): each is then predicted by those of its place.

    Example:
        >>> where = np.array([0.0, 1.0])
        >>> nothing_known("y", "rank", np.array([1.0, 0.0]), 2, past_places=where, places=where)["y"].tolist()
        [0.5, 0.5]
    """
    if past_places is not None and places is not None:
        return _known_by_place(name, task, past, classes, quantile, past_places, places)
    if task == "multiclass":
        return {f"{name}_{number}": np.full(rows, float((past == number).mean())) for number in range(classes)}
    if task == "rank":
        return {name: np.zeros(rows)}
    return {name: np.full(rows, float(np.quantile(past, quantile) if task == "quantile" else past.mean()))}


def _known_by_place(
    name: str, task: str, past: Frame, classes: int, quantile: float, past_places: Frame, places: Frame
) -> dict[str, Frame]:
    """Return what is predicted by place alone; places with few training rows are taken with those beside them."""
    there = np.nan_to_num(past_places, nan=-1.0)
    order = np.argsort(there, kind="stable")
    starts = np.flatnonzero(np.r_[True, np.diff(there[order]) > 0])
    parts: list[list[int]] = []
    for start, end in zip(starts, [*starts[1:], len(order)], strict=True):
        if parts and parts[-1][1] - parts[-1][0] < FEWEST_OF_PLACE:
            parts[-1][1] = int(end)
        else:
            parts.append([int(start), int(end)])
    of = np.searchsorted(there[order][[start for start, _ in parts]], np.nan_to_num(places, nan=-1.0), "right") - 1
    groups = [past[order[start:end]] for start, end in parts]
    like = "regression" if task == "rank" else task
    each = [nothing_known(name, like, group, 1, classes=classes, quantile=quantile) for group in groups]
    return {key: np.array([float(found[key][0]) for found in each])[np.maximum(of, 0)] for key in each[0]}


def figures(task: str, values: Frame, predicted: Frame, lists: Index | None = None) -> dict[str, float]:
    """Return the figures by which people judge a task's predictions on rows that the model never saw.

    Args:
        task: As for `losses_of`.
        values: The label, shape (n,).
        predicted: Shape (n,); of multiclass (n, c).
        lists: List of each row, shape (n,).

    Returns:
        Of binary: `auc`, `log_loss`, `calibration` (mean distance of predicted and observed shares in ten parts of
        equal size); of numbers `rmse`, `mae`, `r2`; of a quantile `below` (share of rows below it); of multiclass
        `accuracy` and `log_loss`; of an order `ndcg_3` and `ndcg_10`.

    Example:
        >>> figures("binary", np.array([0.0, 1.0]), np.array([0.2, 0.8]))["auc"]
        1.0
    """
    if task == "quantile":
        return {"below": float((values <= predicted).mean())}
    if task == "multiclass":
        chosen = np.clip(predicted[np.arange(len(values)), values.astype(np.intp)], 1e-12, 1.0)
        accuracy = float((predicted.argmax(axis=1) == values).mean())
        return {"accuracy": accuracy, "log_loss": -float(np.log(chosen).mean())}
    if task == "rank":
        of = np.zeros(len(values), dtype=np.intp) if lists is None else lists
        return {f"ndcg_{top}": ndcg(values, predicted, of, top) for top in (3, 10)}
    if task == "binary":
        safe = np.clip(predicted, 1e-12, 1 - 1e-12)
        log_loss = -float((values * np.log(safe) + (1 - values) * np.log1p(-safe)).mean())
        return {"auc": _auc(values, predicted), "log_loss": log_loss, "calibration": _calibration(values, predicted)}
    gap = values - predicted
    spread = float(values.var())
    r2 = 1.0 - float((gap**2).mean()) / spread if spread else 0.0
    return {"rmse": float(np.sqrt((gap**2).mean())), "mae": float(np.abs(gap).mean()), "r2": r2}


def _auc(values: Frame, predicted: Frame) -> float:
    """Return the share of pairs of a 1 and a 0 in which the 1 is predicted higher, ties counting half."""
    from scipy.stats import rankdata

    ones = values > 0
    count, others = int(ones.sum()), int((~ones).sum())
    if not count or not others:
        return float("nan")
    ranks = rankdata(predicted)
    return float((ranks[ones].sum() - count * (count + 1) / 2) / (count * others))


def _calibration(values: Frame, predicted: Frame) -> float:
    """Return the mean distance of predicted and observed shares, in parts of equal size."""
    parts = np.array_split(np.argsort(predicted, kind="stable"), BINS)
    gaps = [len(part) * abs(float(values[part].mean() - predicted[part].mean())) for part in parts if len(part)]
    return sum(gaps) / len(values)
