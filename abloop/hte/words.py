"""What a report says, in a paragraph for who has to decide, and as text for the terminal. No arithmetic."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from abloop.evaluate.verdict import Verdict
from abloop.hte.results import Branch
from abloop.learners.candidates import CONSTANT
from abloop.readout.text import interval, number, paragraph, table
from abloop.stats.compare import Estimate
from abloop.stats.segments import Heterogeneity

if TYPE_CHECKING:
    from abloop.hte.results import EffectReport

Segments = Mapping[str, Mapping[str, Heterogeneity]]
DIFFERS = 0.01  # p-value, after Bonferroni over features and treatments, below which segments are said to differ
MOST_NAMED = 3


def tell(
    verdict: Verdict,
    shares: Mapping[str, float],
    segments: Segments,
    importance: Mapping[str, Mapping[str, float]],
    rank: Mapping[str, Estimate],
    tree: Branch,
    gain: Estimate,
) -> str:
    """Return the report in a paragraph."""
    said = [verdict.reason]
    if verdict.learner != CONSTANT:
        ranked = sorted(shares.items(), key=lambda item: -item[1])
        given = ", ".join(f"{arm!r} to {share:.0%}" for arm, share in ranked if share >= 0.005)
        said.append(f"Choosing by predicted effects gives {given} of decisions.")
        for arm, features in importance.items():
            named = [f"{name} ({share:.0%})" for name, share in list(features.items())[:MOST_NAMED] if share >= 0.05]
            if named:
                said.append(f"The predicted effect of {arm!r} moves most with {', '.join(named)}.")
    for arm, found in rank.items():
        if found.low > 0:
            more = f"{found.mean:+.4g} {interval(found, sign=True)}"
            said.append(f"Those who are ranked first gain more from {arm!r} than the average: {more}.")
    differing = differ(segments)
    for feature, arm in differing[:MOST_NAMED]:
        effects = sorted(segments[feature][arm].segments.items(), key=lambda item: item[1].mean)
        (low, least), (high, most) = effects[0], effects[-1]
        ends = f"from {least.mean:+.4g} ({low}) to {most.mean:+.4g} ({high})"
        said.append(f"By {feature}, the measured effect of {arm!r} goes {ends}.")
    if not differing:
        said.append("No feature by itself shows segments whose effects differ beyond chance.")
    if tree.question:
        proven = "more than" if gain.low > 0 else "not provably more than"
        asked = f"A policy of {questions(tree)} questions" if questions(tree) > 1 else "A policy of one question"
        said.append(f"{asked} gains {gain.mean:+.4g} a decision, {proven} {verdict.arm!r} for all.")
    return " ".join(said)


def differ(segments: Segments) -> list[tuple[str, str]]:
    """Return the features and treatments whose segments differ beyond chance, the clearest first."""
    found = [(each.p, feature, arm) for feature, arms in segments.items() for arm, each in arms.items()]
    return [(feature, arm) for p, feature, arm in sorted(found) if p * len(found) < DIFFERS]


def questions(tree: Branch) -> int:
    """Return how many questions a tree asks."""
    if tree.yes is None or tree.no is None:
        return 0
    return 1 + questions(tree.yes) + questions(tree.no)


def tree_lines(tree: Branch, total: int, indent: str = "") -> list[str]:
    """Return a tree as lines: questions, and at each end the arm, its share and its gain."""
    if tree.yes is None or tree.no is None:
        gained = (
            f", {tree.gain.mean:+.4g} each {interval(tree.gain, sign=True)}" if tree.gain and tree.gain.mean else ""
        )
        return [f"{indent}{tree.arm}  ({tree.n / total:.0%} of decisions{gained})"]
    return [
        f"{indent}if {tree.question}:",
        *tree_lines(tree.yes, total, indent + "    "),
        f"{indent}else:",
        *tree_lines(tree.no, total, indent + "    "),
    ]


def report_text(report: EffectReport) -> str:
    """Return a report for the terminal."""
    head = f"{report.strategy}, version {report.version}: for whom each arm works."
    parts = [head, paragraph(report.words)]
    rows = [[arm, f"{worth.n:,}", number(worth.mean), interval(worth)] for arm, worth in report.verdict.arms.items()]
    parts.append(table(["net value a decision", "units", "mean", "95 % interval"], rows))
    if report.verdict.learner != CONSTANT:
        changed = [
            [name, f"{each.n:,}", number(each.mean), interval(each, sign=True)] for name, each in report.metrics.items()
        ]
        head = f"choosing by unit changes, against {report.verdict.arm} for all"
        parts.append(table([head, "units", "a decision", "95 % interval"], changed))
    if report.tree.question:
        parts.append(
            "\n".join(
                [
                    "Whom to give what, in few questions (gains over the best arm for all, on rows that grew the tree)",
                    "",
                    *tree_lines(report.tree, report.tree.n),
                ]
            )
        )
    for arm, effects in report.fifths.items():
        shown = [
            [f"fifth {at}{' (highest)' if at == 1 else ''}", f"{each.n:,}", number(each.mean), interval(each)]
            for at, each in enumerate(effects, 1)
        ]
        parts.append(table([f"effect of {arm}, by what was predicted", "units", "measured", "95 % interval"], shown))
    for arm, features in report.importance.items():
        shown = [[name, f"{share:.0%}"] for name, share in features.items() if share >= 0.005]
        if shown:
            parts.append(table([f"effect of {arm} moves with", "share"], shown))
    for feature, arms in report.segments.items():
        for arm, found in arms.items():
            rows = [[name, f"{each.n:,}", number(each.mean), interval(each)] for name, each in found.segments.items()]
            p = "p < 1e-6" if found.p < 1e-6 else f"p = {found.p:.2g}"
            parts.append(table([f"{feature}: effect of {arm} ({p})", "units", "effect", "95 % interval"], rows))
    return "\n\n".join(part.rstrip("\n") for part in parts)
