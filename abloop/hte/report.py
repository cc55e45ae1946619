"""Who gets which arm and why, of a strategy: a tree, segments, what matters, one paragraph."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np

from abloop.errors import DataError
from abloop.evaluate.gate import Evidence, judge
from abloop.evaluate.uplift import effect_deciles, rate
from abloop.evaluate.verdict import Verdict, paced
from abloop.hte.segments import segment_effects
from abloop.hte.tradeoff import held_out_choices, metric_changes
from abloop.hte.tree import Branch, grow, names_of, tree_gain
from abloop.hte.words import tell
from abloop.learners.base import Frame
from abloop.learners.candidates import CONSTANT, fit_candidates
from abloop.learners.plugged import distil
from abloop.learners.regress import Design, Trees
from abloop.policy.choose import best_arms, hurdles
from abloop.readout import SRM_ALARM, readout
from abloop.stats.compare import Estimate
from abloop.stats.segments import Heterogeneity
from abloop.store.workspace import Workspace
from abloop.train.fit import cross_fit
from abloop.train.progress import Progress
from abloop.train.refusal import cannot_judge
from abloop.train.table import TrainingTable, load_table

MOST_EXPLAINED = 20_000  # rows whose predictions are taken apart
FIFTHS = 5


class EffectReport(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of for whom each arm works.

    Attributes:
        strategy: Its name.
        version: Blueprint version.
        verdict: What the gate would say now, of one planned look.
        shares: Arm to the share of units that the closest learner would give it, proven or not.
        metrics: Metric to what that choice changes a decision, against the best arm for all: guardrails and costs too.
        segments: Feature to treatment to its measured effects by segment, net of costs, drawn towards their mean.
        importance: Treatment to feature to its share of what moves the predicted effect, falling.
        rank: Treatment to its rank-weighted effect: how much more those gain who are ranked first than everybody, with
            its 95 % interval; above zero where the ranking finds them.
        fifths: Treatment to its measured effect by fifths of units, from the greatest predicted effect down.
        tree: A policy of few questions; no questions where one arm is best for all.
        tree_gain: What such a tree gains a decision over the best single arm, each row's by a tree that never saw it.
        words: All that in a paragraph.
    """

    strategy: str
    version: int
    verdict: Verdict
    shares: dict[str, float]
    metrics: dict[str, Estimate]
    segments: dict[str, dict[str, Heterogeneity]]
    importance: dict[str, dict[str, float]]
    rank: dict[str, Estimate]
    fifths: dict[str, tuple[Estimate, ...]]
    tree: Branch
    tree_gain: Estimate
    words: str

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data."""
        found: dict[str, Any] = msgspec.to_builtins(self)
        return found


def report(workspace: Workspace, strategy: str, *, progress: Progress = lambda done, total: None) -> EffectReport:
    """Return for whom each arm of a strategy works, from its complete rows. Nothing is written or switched.

    Args:
        workspace: What `abloop.connect` gave.
        strategy: Its name.
        progress: Called with fits done and fits in all.

    Raises:
        UnknownNameError: There is no such strategy.
        DataError: Nothing can be estimated; the sentence says why, and what to do.
        StoreError: Database or table cannot be used.
    """
    table, seen = load_table(workspace, strategy), readout(workspace, strategy)
    if not table.blueprint.is_choice:
        raise DataError(f"strategy {strategy!r} decides a {table.blueprint.space.type}; effects need a choice of arms")
    reason = cannot_judge(table, seen.notes[0] if seen.srm < SRM_ALARM else "")
    if not reason and not table.has_features:
        reason = "No feature has a value, so nothing tells units apart. Add features to the blueprint, and pass them."
    if reason:
        raise DataError(reason)
    evidence = cross_fit(table, progress)
    verdict = paced(judge(evidence, table.blueprint.lifecycle.alpha), seen.rows, seen.days)
    return explain(table, evidence, verdict)


def explain(table: TrainingTable, evidence: Evidence, verdict: Verdict) -> EffectReport:
    """Return the report of a table on which the evidence and the verdict rest."""
    sample = table.sample
    design = Design.of(sample)
    inputs, names = design.inputs(sample.features), names_of(table.encoder.columns, design)
    best = evidence.names.index(verdict.arm)
    learner = verdict.closest if verdict.learner == CONSTANT else verdict.learner
    (effects,) = fit_candidates([learner], sample, table.blueprint.model.seed).effects
    predicted = effects.effect(sample.features)
    needed = hurdles(table.costs.tolist(), table.blueprint.experiment.margin)
    chosen = np.bincount(best_arms(predicted, needed), minlength=sample.arms) / len(predicted)
    tree, segments = grow(inputs, evidence, names, best), segment_effects(sample, table.encoder.columns, evidence)
    gain, importance = tree_gain(inputs, evidence, best), _importance(table, predicted, evidence)
    shares = dict(zip(evidence.names, chosen.tolist(), strict=True))
    held_out = held_out_choices(evidence, learner, table.costs, np.asarray(needed))
    rank, fifths = _ranking(evidence, evidence.effects[evidence.learners.index(learner)])
    return EffectReport(
        strategy=table.blueprint.strategy,
        version=table.version,
        verdict=verdict,
        shares=shares,
        metrics=metric_changes(table, held_out, best),
        segments=segments,
        importance=importance,
        rank=rank,
        fifths=fifths,
        tree=tree,
        tree_gain=gain,
        words=tell(verdict, shares, segments, importance, rank, tree, gain),
    )


def _ranking(evidence: Evidence, effects: Frame) -> tuple[dict[str, Estimate], dict[str, tuple[Estimate, ...]]]:
    """Return each treatment's rank-weighted effect and its effect by fifths, of predictions for rows never seen."""
    measured = evidence.arm_scores - evidence.arm_scores[:, :1]
    rank: dict[str, Estimate] = {}
    fifths: dict[str, tuple[Estimate, ...]] = {}
    for arm, name in enumerate(evidence.names):
        if arm and np.ptp(effects[:, arm]) > 0:
            rank[name] = rate(effects[:, arm], measured[:, arm], evidence.groups)
            fifths[name] = effect_deciles(effects[:, arm], measured[:, arm], evidence.groups, FIFTHS)
    return rank, fifths


def _importance(table: TrainingTable, predicted: Frame, evidence: Evidence) -> dict[str, dict[str, float]]:
    """Return each feature's share of the mean absolute SHAP value of each treatment's effect.

    The values are exact, of trees that copy the effects. Source: Lundberg, Erion, Lee, "Consistent individualized
    feature attribution for tree ensembles", 2018.
    """
    sample = table.sample
    copies = distil(sample, predicted[:, 1:], 0).parts
    rows = np.random.default_rng(0).permutation(len(predicted))[:MOST_EXPLAINED]
    found: dict[str, dict[str, float]] = {}
    for name, copy in zip(evidence.names[1:], copies, strict=True):
        if not isinstance(copy, Trees):
            continue
        parts = np.asarray(copy.booster.predict(sample.features[rows], pred_contrib=True))[:, :-1]
        size, at = np.abs(parts).mean(axis=0), 0
        shares: dict[str, float] = {}
        for column in table.encoder.columns:
            shares[column.name] = float(size[at : at + column.width].sum())
            at += column.width
        total = sum(shares.values())
        ranked = sorted(shares.items(), key=lambda item: -item[1])
        found[name] = {feature: value / total if total else 0.0 for feature, value in ranked}
    return found
