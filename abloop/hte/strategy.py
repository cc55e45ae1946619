"""Who gets which arm and why, of a strategy: a tree, segments, what matters, one paragraph."""

from __future__ import annotations

import numpy as np

from abloop.errors import DataError
from abloop.evaluate.gate import Evidence, cross_choose, judge
from abloop.evaluate.ope import clustered_mean, count_units, weighted_value
from abloop.evaluate.targeting import Calibrated, Histogram, Reached, calibrate, histogram, targeting_curve
from abloop.evaluate.uplift import effect_deciles, rate
from abloop.evaluate.verdict import Verdict, paced
from abloop.hte.results import EffectReport
from abloop.hte.segments import chosen_shares, segment_effects
from abloop.hte.tradeoff import held_out_choices, metric_changes
from abloop.hte.tree import grow, names_of, tree_gain
from abloop.hte.words import tell
from abloop.learners.base import Frame
from abloop.learners.candidates import CONSTANT, fit_candidates
from abloop.learners.plugged import distil
from abloop.learners.regress import Design, Trees
from abloop.policy.choose import best_arms, hurdles
from abloop.readout import SRM_ALARM, readout
from abloop.stats.compare import Estimate
from abloop.store.workspace import Workspace
from abloop.train.fit import cross_fit
from abloop.train.progress import Progress
from abloop.train.refusal import cannot_judge
from abloop.train.table import TrainingTable, load_table

MOST_EXPLAINED = 5_000  # rows whose predictions are taken apart: shares are then right to half a percentage point
FIFTHS = 5
Z = 1.96  # 95 %
TENTHS, TENTHS_FROM = 10, 2_000  # parts of predicted effects where so many units are there; else fifths


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
    centred = evidence.effects[evidence.learners.index(learner)]
    rank, fifths = _ranking(evidence, centred)
    spread, calibration, curves = _predictions(evidence, centred)
    personalised, against = _against(evidence, verdict, learner)
    planned = np.asarray(table.blueprint.weights())
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
        predicted=spread,
        calibration=calibration,
        curves=curves,
        personalised=personalised,
        against=against,
        randomised=weighted_value(evidence.arm_scores @ planned, evidence.groups),
        given=chosen_shares(sample, table.encoder.columns, held_out, evidence.names),
        rows=len(held_out),
    )


def _predictions(
    evidence: Evidence, centred: Frame
) -> tuple[dict[str, Histogram], dict[str, tuple[Calibrated, ...]], dict[str, tuple[Reached, ...]]]:
    """Return of each treatment how predictions are spread, how right they are, and what following them brings.

    What is known of one effect for everybody, the mean, is that of the measured ones: cross-fitting leaves it open.
    """
    measured = evidence.arm_scores - evidence.arm_scores[:, :1]
    parts = TENTHS if count_units(evidence.groups) >= TENTHS_FROM else FIFTHS
    spread, calibration, curves = {}, {}, {}
    for arm, name in enumerate(evidence.names):
        if arm and np.ptp(centred[:, arm]) > 0:
            predicted = centred[:, arm] + measured[:, arm].mean()
            spread[name] = histogram(predicted)
            calibration[name] = calibrate(predicted, measured[:, arm], evidence.groups, parts)
            curves[name] = targeting_curve(predicted, measured[:, arm], evidence.groups)
    return spread, calibration, curves


def _against(evidence: Evidence, verdict: Verdict, learner: str) -> tuple[Estimate, dict[str, Estimate]]:
    """Return the value of choosing by predicted effects, and what it is above each arm for all.

    By the learners that the gate judged, chosen fold by fold; where it trusted none, by the closest.
    """
    scores, groups = evidence.policy_scores, evidence.groups
    chosen = np.full(len(groups), evidence.learners.index(learner))
    if verdict.learner != CONSTANT:
        chosen, _ = cross_choose(scores, evidence.losses, evidence.folds, groups)
    policy, units = scores[chosen, np.arange(len(groups))], count_units(groups)
    against = {}
    for arm, name in enumerate(evidence.names):
        mean, error = clustered_mean(policy - evidence.arm_scores[:, arm], groups)
        against[name] = Estimate(units, mean, mean - Z * error, mean + Z * error)
    return weighted_value(policy, groups), against


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
