"""The canary: does a model of the labels predict rows it never saw better than their mean does?

Of a decision space without arms nothing can be randomised before there is a policy, so that the model is proven
on logged rows first; what its decisions are worth is then measured on the explore share.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np

from abloop.evaluate.ope import Frame, Index, clustered_mean, count_units
from abloop.evaluate.verdict import Answer, Verdict, refuse
from abloop.stats.sequential import always_valid_z, one_sided_z

FEWEST_JUDGING = 20  # units on whose rows a model is judged


def judge_labels(
    losses: Mapping[str, tuple[Frame, Frame]],
    groups: Index,
    alpha: float = 0.05,
    *,
    always_valid: bool = False,
    placed: Collection[str] = (),
) -> Verdict:
    """Return the verdict on label models: each must beat the mean of its label.

    Args:
        losses: Label to squared error of the model and of the mean, out of fold, each of shape (n,), NaN where
            the label is missing.
        groups: Unit of each row, shape (n,).
        alpha: Error rate of serving a model that is no better, in (0, 0.5).
        always_valid: Whether it will be asked again as rows come in.
        placed: Labels whose mean is that of a candidate's place in its list.

    Returns:
        The verdict; its gain is the share of the mean's squared error that the weakest model takes away.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> errors = rng.normal(size=400) ** 2
        >>> judge_labels({"opened": (errors * 0.5, errors)}, np.arange(400)).verdict
        'personalise'
    """
    found = []
    for name, (model, mean) in losses.items():
        known = ~np.isnan(model)
        units = count_units(groups[known])
        if units < FEWEST_JUDGING:
            return refuse(
                f"Label {name!r} is known of {units:,} units later than those that it is first learned from; "
                f"{FEWEST_JUDGING} are needed to judge its model. Wait.",
                n=units,
            )
        if not mean[known].any():
            return refuse(
                f"Label {name!r} is known without any feature: there is nothing that they could add.", n=units
            )
        z = always_valid_z(units, alpha) if always_valid else one_sided_z(alpha)
        base = float(mean[known].mean())
        saved, error = clustered_mean(mean[known] - model[known], groups[known])
        found.append(((saved - z * error) / base, saved / base, (saved + z * error) / base, name, units))
    low, gain, high, name, units = min(found)
    answer: Answer = "personalise" if low > 0 else "not enough evidence"
    beaten = "place in the list alone" if name in placed else "mean"
    said = f"{name!r} is predicted {gain:.1%} better than by its {beaten} (lower bound {low:+.1%}, {units:,} units)"
    words = f"Personalise: {said}." if low > 0 else f"Not enough evidence: {said}; the bound must be above zero."
    return Verdict(
        verdict=answer,
        arm="",
        gain=gain,
        low=low,
        high=high,
        learner="labels",
        reason=words,
        n=units,
        alpha=alpha,
        always_valid=always_valid,
    )
