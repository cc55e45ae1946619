"""Run the benchmarks: `python -m benchmarks [NAME ...] [--json] [--quick]`."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any

from benchmarks import NAMES


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what is named, all without names; return the exit code: 0, or 2 for an unknown name."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="abloop beside its peers and limits")
    parser.add_argument("names", metavar="NAME", nargs="*", help=f"one of: {', '.join(NAMES)}; all without one")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--quick", action="store_true", help="few calls: shows that it works, and no more")
    options = parser.parse_args(arguments)
    unknown = [name for name in options.names if name not in NAMES]
    if unknown:
        print(f"no benchmark {', '.join(unknown)}; known: {', '.join(NAMES)}", file=sys.stderr)
        return 2
    chosen = dict.fromkeys(options.names or NAMES)
    results = {name: import_module(f"benchmarks.{name}").measure(quick=options.quick) for name in chosen}
    print(json.dumps(results, indent=2) if options.json else "\n\n".join(map(table, results, results.values())))
    return 0


def table(name: str, result: Mapping[str, Any]) -> str:
    """Return a result as text: a line for each ratio, then everything else."""
    width = max(map(len, result["ratios"]))
    lines = [f"{name}: time of the first as a multiple of the second", ""]
    lines.append(f"{'ratio':<{width}} {'median':>8} {'low':>8} {'high':>8} {'rounds':>7}  target")
    for key, value in result["ratios"].items():
        numbers = " ".join(f"{value[part]:>8.3g}" for part in ("median", "low", "high"))
        goal = result.get("target", {}).get(key)
        verdict = "" if goal is None else f"{goal:g} or less: {'met' if value['median'] <= goal else 'missed'}"
        lines.append(f"{key:<{width}} {numbers} {value['n']:>7}  {verdict}".rstrip())
    rest = {key: value for key, value in result.items() if key not in ("ratios", "target")}
    lines += ["", *(f"{key}: {_words(value)}" for key, value in rest.items())]
    return "\n".join(lines)


def _words(value: Any) -> str:
    """Return a value as words, a mapping as its pairs."""
    return ", ".join(f"{key} {item}" for key, item in value.items()) if isinstance(value, Mapping) else str(value)


if __name__ == "__main__":
    sys.exit(main())
