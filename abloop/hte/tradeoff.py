"""What choosing by predicted effects does to every metric, beside the best arm for all: goals, guardrails, costs.

Known propensities and arm means make each row's score unbiased whatever the predictions are worth; the choice of a row
comes from models that never saw it.
"""

from __future__ import annotations

import numpy as np

from abloop.evaluate.gate import Evidence
from abloop.evaluate.ope import Index, clustered_mean, count_units, doubly_robust
from abloop.policy.choose import best_arms
from abloop.stats.compare import Estimate
from abloop.train.table import TrainingTable

FEWEST_UNITS = 50  # with a metric, for an estimate
Z = 1.96  # 95 %


def held_out_choices(evidence: Evidence, learner: str, costs: np.ndarray, needed: np.ndarray) -> Index:
    """Return the arm that a learner would choose for each row, by models that never saw it, shape (n,).

    Args:
        evidence: Out-of-fold scores and effects.
        learner: Of `evidence.learners`.
        costs: Cost of each arm, which the scores are net of, shape (k,).
        needed: What each arm's effect has to exceed, shape (k,).
    """
    centred = evidence.effects[evidence.learners.index(learner)]
    net = evidence.arm_scores.mean(axis=0)
    return best_arms(centred + (net - net[0] + costs - costs[0]), needed)


def metric_changes(table: TrainingTable, chosen: Index, best: int) -> dict[str, Estimate]:
    """Return by how much each metric changes a decision when units get the chosen arms instead of one for all.

    Args:
        table: The rows.
        chosen: Each row's arm, shape (n,).
        best: The arm for all.

    Returns:
        Metric to its change with a 95 % interval; without metrics that too few units have.
    """
    found, arm = {}, table.sample.arm
    for name, values in table.metrics.items():
        known = ~np.isnan(values)
        groups = table.groups[known]
        units = count_units(groups)
        counts = np.bincount(arm[known], minlength=table.sample.arms)
        if units < FEWEST_UNITS or not counts.all():
            continue
        means = np.bincount(arm[known], values[known]) / counts
        scores = doubly_robust(np.tile(means, (len(groups), 1)), arm[known], values[known], table.propensity[known])
        change = scores[np.arange(len(groups)), chosen[known]] - scores[:, best]
        mean, error = clustered_mean(change, groups)
        found[name] = Estimate(units, mean, mean - Z * error, mean + Z * error)
    return found
