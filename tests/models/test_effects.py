"""Effect models as data: one row equals a frame, and parts that do not fit together are refused."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from abloop.errors import ArtefactError
from abloop.models.effects import EffectModel, EffectSpec, Term
from abloop.models.trees import Tree

COLUMNS = 2
STUMPS = tuple(
    Tree((column,), (threshold,), (-1,), (-2,), (bits,), leaves)
    for column, threshold, bits, leaves in ((0, 0.5, 2, (1.0, 3.0)), (1, -1.0, 3, (0.1, -0.7)), (0, 0.0, 4, (5.0, 0.3)))
)
ON_ARM = Tree((COLUMNS,), (0.5,), (-1,), (-2,), (0,), (0.25, -0.5))
weights = st.floats(-10, 10)


@st.composite
def specs(draw: st.DrawFn) -> EffectSpec:
    """Draw an effect model of two to four arms."""
    arms = draw(st.integers(2, 4))
    mix = st.lists(weights, min_size=arms, max_size=arms).map(tuple)
    terms = [
        Term(2, draw(mix), draw(st.integers(0, arms - 1)))
        if draw(st.booleans())
        else Term(draw(st.integers(0, 1)), draw(mix))
        for _ in range(draw(st.integers(0, 5)))
    ]
    ensembles = (STUMPS[:2], STUMPS[1:], (*STUMPS, ON_ARM) if any(term.arm is not None for term in terms) else STUMPS)
    return EffectSpec(base=draw(mix), columns=COLUMNS, terms=tuple(terms), ensembles=ensembles)


inputs = st.lists(
    st.lists(st.sampled_from([math.nan, 0.0, -1.0, 0.5, 0.6, 1e9]), min_size=COLUMNS, max_size=COLUMNS),
    min_size=1,
    max_size=6,
)


@settings(max_examples=150, deadline=None)
@given(specs(), inputs)
def test_row_equals_frame(spec: EffectSpec, rows: list[list[float]]) -> None:
    """The effects served for one unit are those of the frame, to the last bit."""
    model = EffectModel(spec)
    np.testing.assert_array_equal(model.frame(np.asarray(rows)), [model.row(row) for row in rows])


def test_terms_add_up() -> None:
    """An effect is its base and the weighted predictions, the arm as a last column where a term names one."""
    terms = (Term(0, (0.0, 2.0)), Term(1, (0.0, -1.0), arm=1), Term(1, (0.0, 4.0), arm=0))
    model = EffectModel(EffectSpec((0.0, 0.125), COLUMNS, terms, ((STUMPS[0],), (ON_ARM,))))
    assert model.row([0.7, 0.0]) == (0.0, 0.125 + 2 * 3.0 + 0.5 + 4 * 0.25)


def test_a_constant_needs_no_features() -> None:
    """An effect model without trees serves its base to everybody."""
    model = EffectModel(EffectSpec(base=(0.0, 0.3, -0.1), columns=0))
    assert model.row([]) == (0.0, 0.3, -0.1)
    assert model.frame(np.empty((2, 0))).tolist() == [[0.0, 0.3, -0.1]] * 2


REFUSED = {
    "one-arm": (EffectSpec((0.0,), 1), "two finite numbers"),
    "base-nan": (EffectSpec((0.0, math.nan), 1), "finite"),
    "ensemble-beyond": (EffectSpec((0.0, 0.0), 1, (Term(1, (0.0, 1.0)),), ((STUMPS[0],),)), "ensemble 1; there are 1"),
    "ensemble-below": (EffectSpec((0.0, 0.0), 1, (Term(-1, (0.0, 1.0)),), ((STUMPS[0],),)), "ensemble -1"),
    "weights-short": (EffectSpec((0.0, 0.0), 1, (Term(0, (1.0,)),), ((STUMPS[0],),)), "2 finite numbers"),
    "weights-infinite": (EffectSpec((0.0, 0.0), 1, (Term(0, (0.0, math.inf)),), ((STUMPS[0],),)), "finite"),
    "arm-beyond": (EffectSpec((0.0, 0.0), 1, (Term(0, (0.0, 1.0), 2),), ((STUMPS[0],),)), "arm 2; there are 2"),
    "arm-below": (EffectSpec((0.0, 0.0), 1, (Term(0, (0.0, 1.0), -1),), ((STUMPS[0],),)), "arm -1"),
    "column-beyond": (EffectSpec((0.0, 0.0), 0, (Term(0, (0.0, 1.0)),), ((STUMPS[0],),)), "column 0"),
    "mixed-inputs": (
        EffectSpec((0.0, 0.0), 2, (Term(0, (0.0, 1.0), 1), Term(0, (0.0, 1.0))), ((ON_ARM,),)),
        "ensemble 0",
    ),
}


@pytest.mark.parametrize(("spec", "words"), REFUSED.values(), ids=REFUSED)
def test_parts_must_fit(spec: EffectSpec, words: str) -> None:
    """What could fail at the first decision is refused when the model is loaded."""
    with pytest.raises(ArtefactError, match=words):
        EffectModel(spec)


@given(st.lists(st.lists(st.floats(-5, 5), min_size=2, max_size=2), min_size=1, max_size=5), st.integers(1, 3))
def test_one_function_of_all_ensembles_is_their_sums(rows: list[list[float]], parts: int) -> None:
    """A model without arms in its terms is one compiled function, and equals the ensembles to the last bit."""
    stump = Tree((0,), (0.5,), (-1,), (-2,), (2,), (0.1, 0.7))
    other = Tree((1,), (-0.25,), (-1,), (-2,), (3,), (1e-3, -0.2))
    trees = tuple((stump, other) * (index + 1) for index in range(parts))
    terms = tuple(Term(index, (0.0, 0.3, 1.0 + index)) for index in range(parts))
    model = EffectModel(EffectSpec((0.0, 0.1, 0.2), 2, terms, trees))
    assert np.array_equal(np.asarray([model.row(row) for row in rows]), model.frame(np.asarray(rows)))


def test_a_long_ensemble_is_not_one_function() -> None:
    """Where an ensemble is too long for one expression the model gives the same, in several steps."""
    stump = Tree((0,), (0.5,), (-1,), (-2,), (2,), (0.1, 0.7))
    model = EffectModel(EffectSpec((0.0, 0.0), 1, (Term(0, (0.0, 1.0)),), ((stump,) * 250,)))
    assert model.row([1.0]) == tuple(model.frame(np.asarray([[1.0]]))[0])
    assert model.row([math.nan])[1] == pytest.approx(250 * 0.7)
