"""The compiled graph: one code for a decision and for a frame, on any plan."""

from __future__ import annotations

import datetime as dt
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from abloop.errors import BlueprintError
from abloop.features.column import to_column
from abloop.features.fit import fit_encoder, training_inputs
from abloop.features.graph import Graph, type_of
from abloop.features.read import embed_text
from abloop.features.spec import Feature

VALUES: dict[str, st.SearchStrategy[Any]] = {
    "numeric": st.none()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from([0.0, -0.0, 1e308, 5e-324]),
    "time": st.none() | st.floats(-4e9, 4e9) | st.sampled_from([1e300, -1e11, 0.0, -0.5]),
    "categorical": st.none() | st.sampled_from(["FI", "SE", "", "a|b", "é"]) | st.text(max_size=3),
    "sparse": st.none() | st.dictionaries(st.sampled_from(["k", "j", ""]), st.floats(-1e6, 1e6), max_size=3),
    "embedding": st.none() | st.tuples(*[st.floats(-1e3, 1e3)] * 3),
}
DERIVED = {
    "numeric": ["log", "bucketise", "date", "standardise", "cross"],
    "time": ["bucketise", "date", "standardise"],
    "categorical": ["hash", "cross", "target"],
    "sparse": ["hash"],
    "embedding": [],
}


@st.composite
def plans(draw: st.DrawFn) -> list[Feature]:
    """Return random features: some read, some made of others, up to several steps deep, in any order."""
    found = [
        Feature(f"f{index}", kind, size=3)  # type: ignore[arg-type]
        for index, kind in enumerate(draw(st.lists(st.sampled_from(sorted(VALUES)), min_size=1, max_size=5)))
    ]
    fitted: list[Feature] = []
    for index in range(draw(st.integers(0, 6))):
        given_by = draw(st.sampled_from(found))
        ways = DERIVED[type_of(given_by)]
        if not ways:
            continue
        way, of = draw(st.sampled_from(ways)), [given_by.name]
        if way == "cross":
            of += [f.name for f in found if type_of(f) in ("numeric", "categorical") and draw(st.booleans())][:2]
        made = Feature(
            f"d{index}",
            transform=way,  # type: ignore[arg-type]
            of=tuple(of),
            edges=(-1.0, 0.0, 2.5),
            part=draw(st.sampled_from(["hour", "weekday", "day", "month", "year"])),
            size=draw(st.integers(1, 5)),
            learn=draw(st.booleans()),
        )
        (fitted if way in ("standardise", "target") else found).append(made)
    return draw(st.permutations([*found, *fitted]))


@settings(max_examples=300)
@given(plans(), st.data())
def test_plan_row_equals_plan_frame(features: list[Feature], data: st.DataObject) -> None:
    """What a decision computes and what training computes are the same bits, on any plan and any values."""
    graph = Graph(features)
    rows = data.draw(st.lists(st.tuples(*[VALUES[feature.type] for feature in graph.sourced]), min_size=1, max_size=8))
    columns = graph.frame(
        [to_column([row[i] for row in rows], feature.type, feature.size) for i, feature in enumerate(graph.sourced)]
    )
    learned = [columns[slot] for slot in graph.slots]
    with np.errstate(over="ignore", invalid="ignore"):  # the deviation of 1e308 and -1e308
        encoder = fit_encoder(graph.learned, learned, np.arange(float(len(rows))))
        frame = encoder.frame(learned) if learned else np.empty((len(rows), 0))
    alone = [encoder.row([graph.row(row)[slot] for slot in graph.slots]) for row in rows]
    assert frame.shape == (len(rows), encoder.width)
    assert frame.tobytes() == np.asarray(alone, dtype=np.float64).reshape(frame.shape).tobytes() or np.array_equal(
        frame, np.asarray(alone).reshape(frame.shape), equal_nan=True
    )


@given(st.datetimes(dt.datetime(1600, 1, 1), dt.datetime(3000, 1, 1)))
def test_parts_of_a_date_are_those_of_the_calendar(moment: dt.datetime) -> None:
    """Hour, weekday, day, month and year are what the standard library's calendar says."""
    parts = ("hour", "weekday", "day", "month", "year")
    features = [Feature("t", "time"), *(Feature(part, transform="date", of=("t",), part=part) for part in parts)]  # type: ignore[arg-type]
    seconds = moment.replace(tzinfo=dt.UTC).timestamp()
    expected = (moment.hour, moment.weekday(), moment.day, moment.month, moment.year)
    assert tuple(Graph(features).row((seconds,))[1:]) == expected


@pytest.mark.parametrize(
    ("features", "said"),
    [
        ([Feature("a", transform="log", of=("a",))], "circle: 'a' <- 'a'"),
        (
            [Feature("a", transform="log", of=("b",)), Feature("b", transform="log", of=("a",))],
            "circle: 'a' <- 'b' <- 'a'",
        ),
        (
            [
                Feature("x"),
                Feature("ok", transform="log", of=("x",)),
                Feature("top", transform="cross", of=("ok", "p")),
                Feature("p", transform="log", of=("q",)),
                Feature("q", transform="log", of=("p",)),
            ],
            "circle: 'p' <- 'q' <- 'p'",
        ),
        ([Feature("a", transform="log", of=("agee",)), Feature("age")], "Did you mean 'age'"),
        ([Feature("c", "categorical"), Feature("l", transform="log", of=("c",))], "log of 'c', which is categorical"),
        (
            [Feature("a"), Feature("s", transform="standardise", of=("a",)), Feature("l", transform="log", of=("s",))],
            "learned from the training rows",
        ),
    ],
    ids=["itself", "two", "below", "unknown", "type", "of fitted"],
)
def test_impossible_graphs_are_refused(features: list[Feature], said: str) -> None:
    """A circle, an unknown name, a wrong type: the message names the feature and what to do."""
    with pytest.raises(BlueprintError, match=said.replace("(", r"\(")):
        Graph(features)


def test_target_encoding_never_tells_a_row_its_own_outcome() -> None:
    """On pure noise, the inputs of training rows do not correlate with their outcome, though each has few peers."""
    rng = np.random.default_rng(0)
    rows = 6_000
    features = [Feature("c", "categorical", learn=False), Feature("t", transform="target", of=("c",))]
    graph = Graph(features)
    column = to_column([f"c{level}" for level in rng.integers(0, 1_500, rows)], "categorical")
    columns = graph.frame([column])
    outcome, groups = rng.normal(size=rows), np.arange(rows)
    learned = [columns[slot] for slot in graph.slots]
    everything = np.ones(rows, dtype=np.bool_)
    honest = training_inputs(graph.learned, learned, outcome, groups, everything)[:, 0]
    naive = fit_encoder(graph.learned, learned, outcome).frame(learned)[:, 0]
    assert np.corrcoef(naive, outcome)[0, 1] > 0.2
    assert abs(np.corrcoef(honest, outcome)[0, 1]) < 3 / math.sqrt(rows) + 0.02


def test_rows_outside_the_training_part_teach_nothing() -> None:
    """The inputs do not change when the outcomes of held-out rows do."""
    rng = np.random.default_rng(1)
    features = [Feature("c", "categorical", learn=False), Feature("t", transform="target", of=("c",))]
    graph = Graph(features)
    learned = [
        graph.frame([to_column(rng.choice(["a", "b"], 400).tolist(), "categorical")])[slot] for slot in graph.slots
    ]
    outcome, groups, train = rng.normal(size=400), np.arange(400), np.arange(400) < 300
    first = training_inputs(graph.learned, learned, outcome, groups, train)
    second = training_inputs(graph.learned, learned, np.where(train, outcome, 99.0), groups, train)
    np.testing.assert_array_equal(first, second)


def test_a_text_is_embedded_by_its_words() -> None:
    """Texts with words in common are near, others are not; case and spaces do not count; an empty text is all zero."""
    shoes, boots, soup = (
        np.array(embed_text(t, 256)) for t in ("red running shoes", "red running boots", "tomato soup")
    )
    assert shoes @ boots > 0.3 > abs(shoes @ soup)
    assert embed_text("", 4) == (0.0,) * 4
    assert math.isclose(float(shoes @ shoes), 1.0)
