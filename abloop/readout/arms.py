"""From products to results: each measure of each arm against control, by the inference that the blueprint asks for."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import NormalDist

import msgspec

from abloop.blueprint.reading import Inference, Measure, Reading
from abloop.errors import DataError
from abloop.readout.results import Comparison
from abloop.stats.bayes import Normal, posterior
from abloop.stats.compare import Effect, Estimate, effect, estimate, refuse
from abloop.stats.contrast import Contrast, contrast
from abloop.stats.estimand import Estimand
from abloop.stats.group_sequential import looks
from abloop.stats.guardrail import guardrail
from abloop.stats.moments import Moments, Products
from abloop.stats.power import Design, Kind, Outlook, outlook
from abloop.stats.sequential import always_valid
from abloop.stats.strata import Stratum, stratified
from abloop.store.products import VALUE, WEIGHT

Found = Mapping[str, Products]  # arm to what is known of it
DESIGNS: dict[Inference, Kind] = {
    "fixed": "fixed",
    "sequential": "always_valid",
    "group": "group_sequential",
    "bayes": "fixed",
}
NO_BOUND = 7.99  # a group-sequential look this early spends nothing


def estimand(found: Products) -> Estimand:
    """Return what is compared of some products: a mean, or a ratio, less its covariates."""
    covariates = tuple(Estimand(name) for name in found.columns if name.startswith("c"))
    return Estimand(VALUE, WEIGHT if WEIGHT in found.columns else "", covariates=covariates)


def as_moments(found: Products) -> Moments:
    """Return the moments of numerator and denominator, which is 1 for each unit where there is none."""
    s, units = found.index(VALUE), found.units
    if WEIGHT not in found.columns:
        return Moments(units, found.means[s] * units, float(units), found.products[s][s], 0.0, 0.0)
    m = found.index(WEIGHT)
    around = found.products[s][s], found.products[s][m], found.products[m][m]
    return Moments(units, found.means[s] * units, found.means[m] * units, *around)


def contrast_arms(arm: Products, control: Products, strata: Sequence[Stratum] = ()) -> tuple[Contrast, float]:
    """Return an arm against control, and the share of the variance that covariates and strata took away.

    Args:
        arm: What is known of it.
        control: The same of control.
        strata: Both by stratum; none where not asked for.
    """
    wanted = estimand(control)
    plain = contrast(arm, control, msgspec.structs.replace(wanted, covariates=()))
    if not strata and not wanted.covariates:
        return plain, 0.0
    found = stratified(strata, wanted) if strata else contrast(arm, control, wanted)
    cut = 1.0 - found.variance / plain.variance if plain.variance > 0 else 0.0
    return found, cut if math.isfinite(cut) else 0.0


def infer(found: Contrast, reading: Reading, relative: bool, history: Sequence[int] = ()) -> Effect:
    """Return the test of a contrast by the inference of a reading.

    Args:
        found: An arm against control.
        reading: Says how.
        relative: Whether as a share of control's value.
        history: Units of both arms at each look so far, rising; for `group`.
    """
    confidence = reading.confidence
    if reading.inference == "sequential":
        return always_valid(found, confidence, relative=relative, tuning=float(reading.planned))
    if reading.inference == "bayes":
        return _believed(found, reading, relative)
    if reading.inference == "group":
        if refused := refuse(found, relative=relative):
            return refused
        seen = sorted({*history, found.n} - {0})
        z = min(looks(list(map(float, seen)), float(reading.planned), 1.0 - confidence)[-1].z, NO_BOUND)
        each = effect(found, 2.0 * NormalDist().cdf(z) - 1.0, relative=relative, law="z")
        spent = 2.0 * NormalDist().cdf(-z)  # of this look alone: p is said so that it is alpha at the bound
        return msgspec.structs.replace(each, p_value=min(1.0, each.p_value * (1.0 - confidence) / spent))
    return effect(found, confidence, relative=relative)


def _believed(found: Contrast, reading: Reading, relative: bool) -> Effect:
    """Return the belief about an effect as an effect; its p-value is twice the lesser chance."""
    prior = Normal(variance=reading.prior**2) if reading.prior else None
    belief = posterior(found, prior, reading.confidence, relative=relative)
    if belief.reason:
        return refuse(found, relative=relative) or effect(found, reading.confidence, relative=relative)
    p = 2.0 * min(belief.chance, 1.0 - belief.chance)
    return Effect(belief.n, belief.value, belief.error, belief.low, belief.high, p, math.inf)


def as_estimate(found: Effect) -> Estimate:
    """Return value and interval of an effect; without an interval where there is a reason."""
    return Estimate(found.n, found.value, found.low, found.high)


def show_mean(found: Products, confidence: float) -> Estimate:
    """Return an arm's own mean with its interval of one look."""
    return estimate(as_moments(found), confidence)


def compare_arm(
    measure: Measure,
    reading: Reading,
    found: Contrast,
    cut: float,
    per_day: float,
    history: Sequence[int] = (),
) -> Comparison:
    """Return an arm against control on one measure; what needs all measures is added later.

    Args:
        measure: It.
        reading: Says how.
        found: The contrast.
        cut: Share of the variance that was taken away.
        per_day: New units of both arms on a day; 0 where nobody knows.
        history: Units at each look so far.
    """
    difference = infer(found, reading, False, history)
    relative = infer(found, reading, True, history)
    chance = risk = None
    if reading.inference == "bayes" and not difference.reason:
        prior = Normal(variance=reading.prior**2) if reading.prior else None
        belief = posterior(found, prior, reading.confidence, lower_is_better=measure.better == "lower")
        chance, risk = (belief.chance, belief.loss) if not belief.reason else (None, None)
    verdict = ""
    if measure.role == "guardrail":
        verdict = _guard(measure, reading, found, difference)
    ahead = _outlook(found, reading, per_day) if not difference.reason else None
    return Comparison(difference, relative, difference.p_value, False, chance, risk, cut, ahead, verdict)


def _guard(measure: Measure, reading: Reading, found: Contrast, difference: Effect) -> str:
    """Return whether a guardrail holds: with a margin by non-inferiority, else by whether it is clearly worse."""
    if measure.margin:
        alpha = (1.0 - reading.confidence) / 2
        return guardrail(found, measure.margin, relative=True, better=measure.better, alpha=alpha).verdict
    if difference.reason:
        return "unclear"
    sign = 1.0 if measure.better == "higher" else -1.0
    low, high = sorted((sign * difference.low, sign * difference.high))
    return "fail" if high < 0 else "pass" if low > 0 else "unclear"


def _outlook(found: Contrast, reading: Reading, per_day: float) -> Outlook | None:
    """Return what the test still needs to see the wanted relative lift."""
    _, variance = found.scaled(relative=True)
    if not (math.isfinite(variance) and variance > 0 and found.n > 2):
        return None
    design = Design(DESIGNS[reading.inference], alpha=1.0 - reading.confidence, tuning=float(reading.planned))
    try:
        return outlook(reading.effect, variance * found.n, found.n, per_day, design)
    except DataError:  # it would take more units than anybody has
        return None
