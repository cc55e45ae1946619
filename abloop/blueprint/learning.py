"""What a blueprint says of learning: the labels that are predicted, and what learns them and the effects."""

from __future__ import annotations

from typing import Literal

import msgspec

from abloop.features.spec import Seconds

LearnerName = Literal[
    "s", "t", "x", "t_linear", "x_linear", "r", "dr", "forest", "uplift", "bandit_linear", "bandit_trees", "q"
]
Task = Literal["auto", "binary", "regression", "quantile", "multiclass", "rank"]
Kind = Literal["trees", "linear", "network", "auto"]
Size = Literal["small", "medium", "large"]
BANDITS: tuple[LearnerName, ...] = ("bandit_linear", "bandit_trees")
LONG_TERM: LearnerName = "q"


class Label(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One proxy task: a metric that is predicted at the decision, and read by the formula under its name.

    Attributes:
        name: The metric.
        by_arm: Whether it is predicted for each arm, as one number an arm, or once for the decision.
        task: `binary` (a probability), `regression` (the mean), `quantile` (as many are below it), `multiclass` (the
            probability of each class, which the formula reads as NAME_0, NAME_1, ...) or `rank` (a score that orders
            the candidates of one list, LambdaMART); `auto` is binary where every training row is 0 or 1, and
            regression elsewhere.
        quantile: Of a quantile: which, in (0, 1).
        classes: Of multiclass: how many; the metric is logged as their number, from 0.
        position: Of an ordering: whether the position at which a candidate was shown is known in training and
            taken away in prediction, so that what is seen first does not pass for what is liked.
    """

    name: str
    by_arm: bool = False
    task: Task = "auto"
    quantile: float = 0.5
    classes: int = 0
    position: bool = False

    def names(self) -> tuple[str, ...]:
        """Return what the formula reads."""
        if self.task == "multiclass":
            return tuple(f"{self.name}_{number}" for number in range(self.classes))
        return (self.name,)


class Model(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What learns.

    Attributes:
        learners: What learns the effects: meta-learners that compete, with each other and with one effect for
            everybody: `s`, `t`, `x` on boosted trees; `t_linear`, `x_linear` on linear models; `r`, `dr`, `forest` of
            econml and `uplift` of causalml, which take longer to fit. Or one of these alone: `bandit_linear`,
            `bandit_trees`, which know how sure they are of each unit; `q`, which learns what an arm brings in the long
            run.
        folds: Folds of cross-fitting, in [2, 20].
        repeats: Times that cross-fitting is repeated with other folds, in [1, 50].
        seed: Makes a fit repeatable.
        kind: What predicts the labels: boosted `trees`, `linear` models, a neural `network` that all labels share, or
            `auto`: for each label whichever predicts later rows best, linear models also of numbers cut by rank.
        size: Of trees and network.
        sequences: Of a network: categorical features that are steps in time, the oldest first, e.g. `[[page_3, page_2,
            page_1]]`; each sequence is read step by step (a gated recurrent unit) besides its features themselves.
        budget: Seconds that may be spent on a search for the settings of whatever kind it is, and for how numbers enter
            linear models and networks; also written `90s`, `10m`. 0 for none.
        discount: Of `q`: worth of what comes one decision later, in [0, 1).
        gap: Of `q`: seconds without a decision after which what follows is no consequence; 0 for never.
    """

    learners: tuple[LearnerName, ...] = ("s", "t", "x", "t_linear", "x_linear")
    folds: int = 5
    repeats: int = 4
    seed: int = 0
    kind: Kind = "trees"
    size: Size = "medium"
    sequences: tuple[tuple[str, ...], ...] = ()
    budget: Seconds = 0.0
    discount: float = 0.9
    gap: Seconds = 0.0

    @property
    def is_bandit(self) -> bool:
        """Whether each unit's uncertainty is predicted besides the effects."""
        return self.learners[:1] in ((BANDITS[0],), (BANDITS[1],))
