"""Releases as tables: what each is, what was promised of it, and what it does. Pure: no store, no clock, no HTML."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence

import msgspec

from abloop.evaluate.verdict import Verdict
from abloop.models.artefact import Artefact
from abloop.readout import Readout
from abloop.readout.labels import LabelResult
from abloop.stats.compare import Estimate
from abloop.store.serving import Serving
from server.dashboard.present import CHIPS, PHASES, Chip, Judged
from server.dashboard.scorecard import share_ends
from server.numbers import DASH, Moment, decimals, interval, moment, number, percent

MOST = 12
MOST_VERDICTS = 40


class Model(msgspec.Struct, frozen=True):
    """What is known of an artefact.

    Attributes:
        learner: What fitted it.
        rows: Training rows.
        features: Its features, with how each is encoded.
        parts: Trees, linear models or networks in it.
        reads: Feature to the share of its splits that read it; empty where it has no trees.
        size: Bytes.
    """

    learner: str
    rows: int
    features: tuple[tuple[str, str], ...]
    parts: str
    reads: dict[str, float]
    size: int


class Release(msgspec.Struct, frozen=True):
    """One release in the list."""

    name: str
    version: int
    phase: Chip
    since: Moment
    who: str
    why: str
    learner: str
    rows: str
    size: str
    served: bool


class Said(msgspec.Struct, frozen=True):
    """One word of the gate, with its gain and bounds."""

    at: Moment
    version: int
    chip: Chip
    gain: str
    ends: str
    n: str
    learner: str


def model_of(artefact: Artefact, size: int) -> Model:
    """Return what is known of an artefact.

    Args:
        artefact: It.
        size: Bytes that it has.
    """
    names = [column.name for column in artefact.columns for _ in range(column.width)]
    ensembles = [*(artefact.effects.ensembles if artefact.effects else ()), *(label.trees for label in artefact.labels)]
    splits = Counter(
        names[column] for trees in ensembles for tree in trees for column in tree.feature if column < len(names)
    )
    total = sum(splits.values())
    trees = sum(len(each) for each in ensembles)
    linears = len(artefact.effects.linears if artefact.effects else ())
    linears += sum(len(label.linears) for label in artefact.labels)
    parts = [f"{trees:,} trees"] if trees else []
    parts += [f"{linears:,} linear models"] if linears else []
    parts += ["a network"] if artefact.network else []
    parts += ["a bandit's posterior"] if artefact.bandit else []
    return Model(
        artefact.learner,
        artefact.rows,
        tuple((column.name, _encoded(column.type, len(column.levels), column.width)) for column in artefact.columns),
        ", ".join(parts) or "one effect for everybody",
        {name: count / total for name, count in splits.most_common()},
        size,
    )


def _encoded(kind: str, levels: int, width: int) -> str:
    return f"{kind}, {levels} levels" if levels else f"{kind}, {width} columns" if width > 1 else kind


def releases(history: Sequence[Serving], known: Mapping[str, Model], served: str, now: float) -> tuple[Release, ...]:
    """Return the releases that were served, newest first.

    Args:
        history: What was served, newest first.
        known: What is known of each.
        served: The one that serves; empty for none.
        now: Seconds since 1970.
    """
    first: dict[str, Serving] = {}
    for serving in history:
        if serving.release:
            first[serving.release] = serving  # the last one that is seen is the first that was served
    found = sorted(first.values(), key=lambda serving: -serving.at)[:MOST]
    rows = []
    for serving in found:
        model = known.get(serving.release)
        told = (model.learner, f"{model.rows:,}", f"{model.size / 1000:,.0f} kB") if model else (DASH, DASH, DASH)
        since, phase = moment(serving.at, now), PHASES[serving.phase]
        here = serving.release == served
        rows.append(
            Release(serving.release, serving.version, phase, since, serving.who or DASH, serving.why, *told, here)
        )
    return tuple(rows)


def verdicts(judged: Sequence[Judged], now: float) -> tuple[Said, ...]:
    """Return what the gate said, newest first, with gains and bounds."""
    found = []
    for at, version, verdict in judged[:MOST_VERDICTS]:
        gain, ends = _gain(verdict)
        told = (f"{verdict.n:,}", verdict.learner or DASH)
        found.append(Said(moment(at, now), version, CHIPS[verdict.verdict], gain, ends, *told))
    return tuple(found)


def _gain(verdict: Verdict) -> tuple[str, str]:
    """Return the gain of a verdict and its bounds: in value, or of labels as a share of the error."""
    bounds = Estimate(verdict.n, verdict.gain, verdict.low, verdict.high)
    if not math.isfinite(verdict.gain):
        return DASH, DASH
    if verdict.learner == "labels":
        return percent(verdict.gain, sign=True), share_ends(bounds)
    places = decimals([bounds], digits=3)
    return number(verdict.gain, places, sign=True), interval(bounds, places, sign=True)


def promised(judged: Sequence[Judged], serving: Serving, seen: Readout) -> tuple[tuple[str, str, str, str], ...]:
    """Return what was promised of the served release beside what is measured: what, number, interval, units.

    Args:
        judged: What the gate said, newest first.
        serving: What is served.
        seen: Its readout.
    """
    rows = []
    said = next((verdict for _, _, verdict in judged if verdict.reason == serving.why), None)
    if said is not None and math.isfinite(said.gain):
        gain, ends = _gain(said)
        what = (
            "label models, weakest label: error taken away" if said.learner == "labels" else f"gain over '{said.arm}'"
        )
        rows.append((f"Promised offline by the gate: {what}", gain, ends, f"{said.n:,}"))
    if seen.policy is not None:
        gains = decimals(seen.policy.gains.values(), digits=3)
        for arm, found in seen.policy.gains.items():
            told = (number(found.mean, gains, sign=True), interval(found, gains, sign=True), f"{found.n:,}")
            rows.append((f"Measured in production: gain over '{arm}'", *told))
    return tuple(rows)


def label_rows(found: Sequence[LabelResult], order: Sequence[str]) -> tuple[tuple[str, ...], ...]:
    """Return production errors of labels: label, release, rows, error taken away, interval, predicted, observed.

    Args:
        found: The results.
        order: Releases, newest first.
    """
    place = {name: at for at, name in enumerate(order)}
    rows = []
    for each in sorted(found, key=lambda each: (each.label, place.get(each.release, len(place)))):
        places = decimals([Estimate(each.units, each.observed, each.observed * 0.99, each.observed * 1.01)])
        rows.append(
            (
                each.label,
                each.release[:12],
                f"{each.rows:,}",
                percent(each.taken.mean, sign=True),
                share_ends(each.taken),
                number(each.predicted, places),
                number(each.observed, places),
            )
        )
    return tuple(rows)
