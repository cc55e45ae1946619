"""Run all simulations and write REPORT.md: `python -m tests.truth [--runs 20000] [--to FILE]` (minutes)."""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.truth import coverage, peeking, shares, streams
from tests.truth.draws import KINDS

REPORT = Path(__file__).with_name("REPORT.md")
TRIALS = Path(__file__).parents[3] / "shared" / "data"
EFFECT = 2.8016  # standard errors that a fixed test finds in 80 % of experiments
PEEKED = {
    "fixed, 14": "fixed, 14 looks",
    "30": "fixed, 30 looks",
    "200": "fixed, 200 looks",
    "2,000": "fixed, 2,000 looks",
    "always valid, 30": "always valid, 30 looks",
    "100": "always valid, 100 looks",
    "2,000 ": "always valid, 2,000 looks",
    "group sequential O'Brien-Fleming, 14": "group sequential, obrien_fleming, 14 looks",
    "30 ": "group sequential, obrien_fleming, 30 looks",
    "Pocock, 14": "group sequential, pocock, 14 looks",
    "30  ": "group sequential, pocock, 30 looks",
}


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.strip() for cell in line) + " |" for line in lines)


def percent(share: float) -> str:
    """Return a share in percent."""
    return f"{100 * share:.2f}"


def peeking_tables(runs: int) -> tuple[str, str]:
    """Return error rates by kind of metric, and power."""
    columns = ["fixed, 1 looks", *PEEKED.values()]
    rates = {kind: peeking.rates(kind, runs) for kind in KINDS}
    rates[f"all {len(KINDS) * runs:,}"] = {
        name: sum(found[name] for found in rates.values()) / len(rates) for name in columns
    }
    rows = [[kind, *(percent(found[name]) for name in columns)] for kind, found in rates.items()]
    errors = table(["A/A, % called different", "fixed, once", *PEEKED], rows)
    found = peeking.rates("normal", runs, seed=2, effect=EFFECT)
    power = [[name, percent(share)] for name, share in found.items() if not name.startswith("fixed, ")]
    once = [["fixed, once at the end (nobody peeks)", percent(found["fixed, 1 looks"])]]
    return errors, table(["effect of 2.80 standard errors at the end", "% found"], [*once, *power])


def coverage_table(runs: int) -> str:
    """Return how often 95 % intervals hold the truth."""
    rows = []
    for name in coverage.CASES:
        below, above = coverage.coverage(name, runs)
        held = 1 - below - above
        mark = "" if 0.94 <= held <= 0.96 else "too narrow" if held < 0.94 else "too wide"
        rows.append([name, percent(held), percent(below), percent(above), mark])
    return table(["interval", "% that hold the truth", "% wholly below", "% wholly above", "outside 94 to 96"], rows)


def streams_table() -> str:
    """Return what peeking flags of real streams."""
    if not TRIALS.is_dir():
        return f"Not run: {TRIALS.name}/ is absent."
    found = streams.flagged(TRIALS)
    rows = [[name, percent(share)] for name, share in found.items() if name != "streams"]
    return table([f"{found['streams']:.0f} streams", "% flagged at .05"], rows)


def report(runs: int) -> str:
    """Return the report."""
    errors, power = peeking_tables(runs)
    error = 100 * math.sqrt(0.05 * 0.95 / runs)
    sound = [[name, percent(share)] for name, share in shares.rates(runs).items()]
    return f"""# Simulations with a known truth

`python -m tests.truth --runs {runs}` writes this file; seeds are fixed. A rate of 5 % out of {runs:,} has a
Monte-Carlo standard error of {error:.2f} points.

## Peeking
{runs:,} A/A experiments of each kind, 200 to 20,190 units an arm, alpha .05. Allowed: 4.5 to 5.5 for the fixed test
read once, at most 5 for always valid and 4 to 5 for group sequential, each with three standard errors.

{errors}

## Power
{runs:,} A/B experiments, normal values; a fixed test read once finds 80 %. "Tuned to the end" has its narrowest
interval at the last look, the others at 5,000 units.

{power}

## Arm shares
Alarms at .001 in {runs:,} streams, %. Allowed: 0.1 where shares are sound. Propensities are .05, .3, .5 and .95.

{table(["truth and test", "% that alarm"], sound)}

## Intervals
95 % intervals in {runs:,} experiments of 2,000 units an arm (1 to 9: 222 and 2,000); the treatment multiplies values
by 1.1. Spend is nine of ten zero, else log-normal.

{coverage_table(runs)}

One arm's mean of money, and arms of very different size, miss on one side: the sample rarely holds its largest
spenders, and the normal law comes slowly (Kohavi, Deng, Longbotham, Xu, KDD 2014: 355 times the squared skewness).
With arms of equal size the skewness of the difference cancels. The 99th percentile of 2,000 units rests on 20 of
them, and its interval is too wide.

## Real streams (ASOS, even ids)
{streams_table()}
"""


def main() -> None:
    """Write the report."""
    parser = argparse.ArgumentParser(prog="python -m tests.truth")
    parser.add_argument("--runs", type=int, default=20_000, help="experiments of each kind")
    parser.add_argument("--to", type=Path, default=REPORT, help="file to write")
    given = parser.parse_args()
    given.to.write_text(report(given.runs))
    sys.stdout.write(f"{given.to} is written\n")


if __name__ == "__main__":
    main()
