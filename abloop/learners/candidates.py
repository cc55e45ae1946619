"""The learners that compete, by name, and the fit of several with shared outcome models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from abloop.learners.base import Base, Effects, Frame, Learner, Regression, Sample
from abloop.learners.nuisance import fit_outcomes, predict_outcomes
from abloop.learners.plugged import fit_dr, fit_forest, fit_r, fit_uplift
from abloop.learners.regress import fit_linear, fit_trees
from abloop.learners.s import fit_s
from abloop.learners.t import fit_t
from abloop.learners.x import fit_x

CONSTANT = "constant"


class Candidate(NamedTuple):
    """A learner and the base that it is made of."""

    learner: Learner
    base: Base


CANDIDATES: Mapping[str, Candidate] = {
    "s": Candidate(fit_s, fit_trees),
    "t": Candidate(fit_t, fit_trees),
    "x": Candidate(fit_x, fit_trees),
    "t_linear": Candidate(fit_t, fit_linear),
    "x_linear": Candidate(fit_x, fit_linear),
    "r": Candidate(fit_r, fit_trees),
    "dr": Candidate(fit_dr, fit_trees),
    "forest": Candidate(fit_forest, fit_trees),
    "uplift": Candidate(fit_uplift, fit_trees),
}


class Fitted(NamedTuple):
    """What was fitted on the same rows.

    Attributes:
        outcomes: Outcome model of each arm, for each base in use.
        effects: The effects of each learner, in the order of the names.
    """

    outcomes: tuple[tuple[Regression, ...], ...]
    effects: tuple[Effects, ...]

    def predict(self, features: Frame) -> Frame:
        """Return each arm's predicted outcome, the mean over bases, shape (n, d) to (n, k)."""
        found: Frame = np.mean([predict_outcomes(each, features) for each in self.outcomes], axis=0)
        return found


def fit_candidates(names: Sequence[str | Candidate], sample: Sample, seed: int) -> Fitted:
    """Fit several learners, each base's outcome models once.

    Args:
        names: Of `CANDIDATES`, or candidates themselves.
        sample: Training rows; every arm has some.
        seed: For the tie breaks of the library.
    """
    candidates = [CANDIDATES[name] if isinstance(name, str) else name for name in names]
    bases = dict.fromkeys(candidate.base for candidate in candidates)
    outcomes = {base: fit_outcomes(sample, seed, base) for base in bases}
    effects = tuple(learner(sample, outcomes[base], seed, base) for learner, base in candidates)
    return Fitted(tuple(outcomes.values()), effects)
