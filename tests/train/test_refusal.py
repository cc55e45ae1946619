"""What cannot be learned from is refused in words, or has a defined answer; never a crash, never a silent default."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from abloop import offline
from abloop.evaluate.canary import judge_labels
from abloop.models.labels import LabelSet
from abloop.testing import ManualClock
from abloop.train.held_out import held_out
from abloop.train.labels import fit_labels
from abloop.train.refusal import cannot_judge, cannot_predict
from abloop.train.table import TrainingTable
from tests.loops import open_loop
from tests.train.test_labels import ROWS, table

KINDS = ("trees", "linear", "network", "auto")


def changed(name: str, values: Any, task: dict[str, Any] | None = None, kind: str = "trees") -> TrainingTable:
    """Return rows of one or two labels where one has other values."""
    labels = [{"name": name, **(task or {})}]
    found = table(labels, {"kind": kind, "size": "small"})
    found.metrics[name] = np.broadcast_to(np.asarray(values, dtype=float), ROWS).copy()
    read = {"policy": {"formula": labels[0]["name"] + ("_0" if task and "classes" in task else "")}}
    return replace(found, blueprint=_with(found, read))


def _with(found: TrainingTable, sections: dict[str, Any]) -> Any:
    """Return a table's blueprint with another formula."""
    policy = msgspec.structs.replace(found.blueprint.policy, formula=sections["policy"]["formula"])
    return msgspec.structs.replace(found.blueprint, policy=policy)


def some(*rows: tuple[int, float]) -> np.ndarray:
    """Return a label of zeros with other values in some rows."""
    values = np.arange(ROWS) % 2.0
    for row, value in rows:
        values[row] = value
    return values


CLASSES = {"task": "multiclass", "classes": 3}
WRONG = [
    (
        "next",
        some((7, 6.0), (9, 3.0)),
        CLASSES,
        r"'multiclass' is 6 on a row, and out of its range on 2; allowed: 0 to",
    ),
    ("next", some((7, -1.0)), CLASSES, "is -1 on a row"),
    ("next", some((7, 0.5)), CLASSES, r"is 0\.5 on a row"),
    ("opened", some((7, 2.0)), {"task": "binary"}, "allowed: 0 or 1"),
    ("spend", some((7, 1e200)), None, r"is 1e\+200 on a row, and out of its range on 1; allowed: numbers from"),
    ("spend", some((7, -1e200)), {"task": "quantile"}, r"is -1e\+200"),
    ("spend", 3.0, None, "is 3 on every row: it never varies"),
    (
        "spend",
        np.where(np.arange(ROWS) < 40, some(), np.nan),
        None,
        "needs 100 units before it is predicted; it has 40",
    ),
    ("spend", np.nan, None, "was never logged"),
]


@pytest.mark.parametrize(("name", "values", "task", "words"), WRONG)
def test_labels_that_teach_nothing_are_named(name: str, values: Any, task: Any, words: str) -> None:
    """A label out of its task's range, of one value, or hardly known is refused with what came and what is allowed."""
    assert re.search(words, cannot_predict(changed(name, values, task)))


def test_labels_of_a_choice_are_asked_as_well() -> None:
    """Where arms are chosen by a formula of labels, these are refused in the same words."""
    found = table([{"name": "opened", "by_arm": True}, {"name": "spend"}], {})
    found = replace(found, features=[], groups=np.arange(ROWS))
    assert cannot_judge(found) == ""
    found.metrics["spend"][:] = 1.0
    assert cannot_judge(found) == "Label 'spend' is 1 on every row: it never varies, so nothing can predict it."
    found.sample.outcome[3] = 1e200
    assert "The value is 1e+200 on a row" in cannot_judge(found)


@pytest.mark.parametrize("kind", KINDS[:3])
def test_a_value_seen_too_late_is_no_proof(kind: str) -> None:
    """Whoever saw one value alone is not better than the mean, and no model is served for it."""
    late = np.where(np.arange(ROWS) < ROWS - 10, 0.0, 1.0)
    found = changed("opened", late, kind=kind)
    judged = held_out(found, ("opened",))["opened"]
    model, none = judged.model, judged.none
    known = ~np.isnan(model)
    assert known.sum() == 0.8 * ROWS
    assert (model[known] == none[known]).all()
    assert judge_labels({"opened": (model, none)}, found.groups).verdict == "not enough evidence"
    inputs = found.sample.features
    fitted = fit_labels(found, inputs, np.arange(ROWS) < 500)
    assert (fitted.predict(inputs)["opened"] < 0.1).all()


@pytest.mark.parametrize("task", [{}, {"task": "quantile"}, CLASSES, {"task": "regression"}])
def test_what_never_varies_among_some_rows_is_a_constant(task: dict[str, Any]) -> None:
    """On rows where a label has one value, its model is that value, for every kind and task."""
    for kind in ("trees", "linear"):
        found = changed("next", 1.0, task, kind)
        fitted = fit_labels(found, found.sample.features, np.ones(ROWS, dtype=bool))
        (spec,) = fitted.specs
        predicted = LabelSet((spec,)).frame(found.sample.features[:5])
        name = "next_1" if "classes" in task else "next"
        assert predicted[name] == pytest.approx(1.0, abs=1e-3)


@pytest.mark.parametrize("task", [{"task": "regression"}, {"task": "binary"}])
def test_linear_models_of_zero_and_one_keep_to_their_task(task: dict[str, Any]) -> None:
    """A regression of 0 and 1 is a mean and no logit; binary a probability."""
    found = table([{"name": "opened", **task}], {"kind": "linear"})
    predicted = fit_labels(found, found.sample.features, np.ones(ROWS, dtype=bool)).predict(found.sample.features)
    assert predicted["opened"].mean() == pytest.approx(found.metrics["opened"].mean(), abs=0.01)
    assert (predicted["opened"].min() < 0) == (task["task"] == "regression")


@pytest.mark.parametrize("kind", KINDS)
def test_huge_and_missing_features_spoil_nothing(kind: str, tmp_path: Path) -> None:
    """One feature near the end of the numbers, one that is always missing, levels never seen: a model, and answers."""
    clock, rng = ManualClock(), np.random.default_rng(0)
    loop = open_loop(tmp_path, clock)
    raw = {"strategy": "s", "space": {"type": "number"}, "metrics": [{"name": "y", "default": None}]}
    raw |= {"features": [{"name": "x"}, {"name": "wild"}, {"name": "never"}, {"name": "c", "type": "categorical"}]}
    raw |= {"labels": [{"name": "y"}], "policy": {"formula": "y"}, "model": {"kind": kind, "size": "small"}}
    loop.register(raw | {"lifecycle": {"ttl": "1h"}, "experiment": {"explore": 0.01}})
    handle = loop.strategy("s")
    for row in range(400):
        x, wild = float(rng.normal()), float(rng.normal()) * 10.0 ** int(rng.integers(-300, 307))
        handle.get_decision(f"d{row}", {"user_id": f"u{row}", "x": x, "wild": wild, "c": "ab"[row % 2]})
        handle.log_observations(f"d{row}", {"y": x + float(rng.normal()) / 10})
    clock.advance(7_200)
    found = offline.cycle(loop, "s", always_valid=False)
    assert found.serving.phase == "personalise", found.verdict.reason
    loop.refresh()
    given = [{"x": 1.0, "wild": 1e307}, {}, {"c": "unseen"}, {"x": -1e308}, {"x": "text", "wild": [1], "c": {}}]
    answers = [handle.get_decision(f"n{at}", {"user_id": f"n{at}", **each}) for at, each in enumerate(given)]
    assert handle.errors == 0
    assert all(answer is None or np.isfinite(answer) for answer in answers)
    loop.close()


def test_the_top_of_a_list_is_no_proof(tmp_path: Path) -> None:
    """Where only the first place is clicked, whatever is there, no ranker is served: features tell nothing."""
    for task in ("auto", "rank"):
        clock, rng = ManualClock(), np.random.default_rng(0)
        (tmp_path / task).mkdir()
        loop = open_loop(tmp_path / task, clock)
        raw = {"strategy": "feed", "space": {"type": "ordering"}, "metrics": [{"name": "click"}]}
        raw |= {"features": [{"name": "x"}], "labels": [{"name": "click", "task": task, "position": True}]}
        loop.register(raw | {"lifecycle": {"ttl": "1h"}})
        for number in range(200):
            contexts = [{"user_id": f"u{number}", "x": float(rng.normal())} for _ in range(5)]
            for place, index in enumerate(loop.strategy("feed").get_ranking(f"d{number}", contexts)):
                clicked = rng.random() < (0.6, 0.3, 0.1, 0.05, 0.0)[place]
                loop.strategy("feed").log_observations(f"d{number}/{index}", {"click": bool(clicked)})
        clock.advance(7_200)
        found = offline.cycle(loop, "feed", always_valid=False)
        assert found.serving.phase == "default", found.verdict.reason
        assert found.verdict.gain < 0.05
        loop.close()
