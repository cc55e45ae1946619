"""Cross-fitting of all learners, and the fit of the one that serves. Knows no storage."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import msgspec
import numpy as np
from numpy.typing import NDArray

from abloop.blueprint.learning import BANDITS, LONG_TERM
from abloop.blueprint.policy import Policy
from abloop.evaluate.choice import constant_effects, effect_losses
from abloop.evaluate.gate import Evidence
from abloop.evaluate.ope import doubly_robust
from abloop.learners.bandit import fit_bandit_linear, fit_bandit_trees
from abloop.learners.base import Frame, Sample
from abloop.learners.candidates import CONSTANT, fit_candidates
from abloop.learners.nuisance import split_folds
from abloop.models.artefact import Artefact
from abloop.models.effects import EffectSpec
from abloop.policy.choose import best_arms, hurdles
from abloop.threads import crew, hands, side_by_side
from abloop.train.labels import Labels, fit_labels
from abloop.train.long_term import fit_long_term
from abloop.train.progress import Progress, further
from abloop.train.table import TrainingTable

NO_LABELS = Labels(())
PRIVATE = {"s", "t", "x", "t_linear", "x_linear"}  # learners that touch no generator and no filter of the process


def cross_fit(table: TrainingTable, progress: Progress = lambda done, total: None) -> Evidence:
    """Return doubly-robust scores of every arm and of every learner's choice, each from models of other rows.

    Args:
        table: The rows; every arm has some in every fold.
        progress: Called with fits done and fits in all.

    Returns:
        The evidence for the gate, in value net of costs.
    """
    model, sample = table.blueprint.model, table.sample
    if not table.has_features:  # every model is then the mean of its arm, and the gate compares the arms alone
        sample = replace(sample, features=np.zeros((len(sample.arm), 1)))
    rows, arms = len(sample.arm), sample.arms
    names = (*model.learners, CONSTANT)
    scores, centred = np.zeros((rows, arms)), np.zeros((len(names), rows, arms))
    choices, losses = np.zeros((len(names), rows)), np.zeros((len(names), rows))
    folds = [
        split_folds(table.groups, model.folds, np.random.default_rng([model.seed, repeat]))
        for repeat in range(model.repeats)
    ]
    for repeat, fold_of in enumerate(folds):
        predicted = np.empty((rows, arms))
        effects = np.empty((len(names), rows, arms))
        policy = _PolicyValue(table)
        tasks = [
            partial(_fill_fold, table, sample, fold_of == fold, predicted, effects, policy)
            for fold in range(model.folds)
        ]
        side_by_side(tasks, _at_once(table), further(progress, repeat * model.folds, model.repeats * model.folds))
        net = doubly_robust(predicted, sample.arm, sample.outcome, table.propensity) - table.costs
        scores += net / model.repeats
        gross = net + table.costs
        effects[-1] = constant_effects(gross, fold_of)
        for index in range(len(names)):
            centred[index] += _centred(effects[index], fold_of) / model.repeats
            choices[index] += policy.of(net, effects[index]) / model.repeats
            losses[index] += effect_losses(effects[index], gross) / model.repeats
    return Evidence(
        names=[arm.name for arm in table.blueprint.ordered_arms()],
        arm_scores=scores,
        policy_scores=choices,
        losses=losses,
        learners=names,
        effects=centred,
        folds=folds[0],
        groups=table.groups,
    )


def _fill_fold(
    table: TrainingTable,
    sample: Sample,
    test: NDArray[np.bool_],
    predicted: Frame,
    effects: Frame,
    policy: _PolicyValue,
) -> None:
    """Predict the rows of one fold, and what the policy would choose for them, by models of all others."""
    model = table.blueprint.model
    inputs = table.inputs(~test) if table.has_features else sample.features
    train, held_out = replace(sample, features=inputs).of(~test), inputs[test]
    fitted = fit_candidates(model.learners, train, model.seed)
    predicted[test] = fitted.predict(held_out)
    for index, learned in enumerate(fitted.effects):
        effects[index, test] = learned.effect(held_out)
    policy.fill(inputs, test)


def _at_once(table: TrainingTable) -> int:
    """Return how many folds may be fitted side by side: one where a fit takes all cores, or changes what others use."""
    model, sample = table.blueprint.model, table.sample
    private = set(model.learners) <= PRIVATE and (not table.blueprint.labels or model.kind in ("trees", "linear"))
    return hands() if private and crew(*sample.features.shape) == 1 else 1


def fit_release(table: TrainingTable, learner: str, net_values: Sequence[float] = ()) -> Artefact:
    """Fit one learner, and the labels, on all rows and return them as the artefact that serves.

    Args:
        table: The rows.
        learner: Of `CANDIDATES`, or `constant`; `labels` where the decision space has no arms.
        net_values: Net value of each arm, which is all that a constant effect needs, shape (k,).
    """
    seed, everything = table.blueprint.model.seed, np.ones(len(table.sample.arm), dtype=np.bool_)
    inputs = table.inputs(everything)
    labels = fit_labels(table, inputs, everything)
    if not table.blueprint.is_choice:
        return _artefact(table, learner, None, labels)
    if learner == CONSTANT:
        return _artefact(table, learner, _constant(table, net_values), labels)
    if learner in BANDITS:
        fit = fit_bandit_linear if learner == "bandit_linear" else fit_bandit_trees
        bandit = fit(replace(table.sample, features=inputs), seed)
        return msgspec.structs.replace(_artefact(table, learner, None, labels), arms=_arm_names(table), bandit=bandit)
    if learner == LONG_TERM:
        spec = fit_long_term(table).spec(table.encoder.width, table.costs)
        return _artefact(table, learner, spec, labels)
    (effects,) = fit_candidates([learner], replace(table.sample, features=inputs), seed).effects
    return _artefact(table, learner, effects.spec(), labels)


def constant_release(table: TrainingTable, net_values: Sequence[float]) -> Artefact:
    """Return the artefact that gives everybody the arm of greatest net value.

    Args:
        table: The rows behind the values.
        net_values: Net value of each arm, shape (k,).
    """
    return _artefact(table, CONSTANT, _constant(table, net_values))


def _constant(table: TrainingTable, net_values: Sequence[float]) -> EffectSpec:
    """Return one effect of each arm for everybody."""
    gross = np.asarray(net_values) + table.costs
    return EffectSpec(tuple(float(value) for value in gross - gross[0]), table.encoder.width)


def _artefact(table: TrainingTable, learner: str, effects: EffectSpec | None, labels: Labels = NO_LABELS) -> Artefact:
    names = _arm_names(table) if effects else ()
    sd = tuple(standard_errors(table.sample)) if effects else ()
    rows, columns = len(table.sample.arm), table.encoder.columns
    return Artefact(1, learner, names, columns, effects, rows, labels.specs, sd, labels.network)


def _arm_names(table: TrainingTable) -> tuple[str, ...]:
    return tuple(arm.name for arm in table.blueprint.ordered_arms())


def standard_errors(sample: Sample) -> list[float]:
    """Return the standard error of each arm's mean value, length k; 0 for an arm with fewer than two rows."""
    found = []
    for arm in range(sample.arms):
        values = sample.outcome[sample.arm == arm]
        found.append(float(values.std(ddof=1) / np.sqrt(len(values))) if len(values) > 1 else 0.0)
    return found


class _PolicyValue:
    """Scores what the blueprint's policy would have chosen, from predictions of models that saw other rows.

    Args:
        table: The rows.
    """

    def __init__(self, table: TrainingTable) -> None:
        """Make room for the predictions."""
        rows, arms = len(table.sample.arm), table.sample.arms
        self._table = table
        self._policy = Policy(table.blueprint) if table.blueprint.policy.formula else None
        self._labels = {
            name: np.empty((rows, arms) if label.by_arm else rows)
            for label in table.blueprint.labels
            for name in label.names()
        }
        self._sd = np.empty((rows, arms))

    def fill(self, inputs: Frame, test: NDArray[np.bool_]) -> None:
        """Predict the labels of some rows from all others."""
        if self._policy is None:
            return
        self._sd[test] = standard_errors(self._table.sample.of(~test))
        for name, predicted in fit_labels(self._table, inputs, ~test).predict(inputs[test]).items():
            self._labels[name][test] = predicted

    def of(self, net: Frame, effects: Frame) -> Frame:
        """Return each row's score of what the policy chooses given predicted effects, shape (n,)."""
        if self._policy is None:
            needed = hurdles(self._table.costs.tolist(), self._table.blueprint.experiment.margin)
            return net[np.arange(len(net)), best_arms(effects, needed)]
        predictions = {"effect": effects, **self._labels}
        shares = self._policy.frame(self._table.features, predictions, len(net), {"sd": self._sd})
        scores: Frame = (shares * net).sum(axis=1)
        return scores


def _centred(effects: Frame, folds: NDArray[np.intp]) -> Frame:
    """Return effects less their mean in each fold.

    A fold's mean prediction leans against the fold's own mean outcome, which is what the other folds lack; left
    in, it would pass for heterogeneity with the wrong sign.
    """
    sums = np.stack([np.bincount(folds, column) for column in effects.T], axis=1)
    centred: Frame = effects - (sums / np.bincount(folds)[:, None])[folds]
    return centred
