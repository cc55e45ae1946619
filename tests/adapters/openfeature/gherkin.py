"""Feature files, read and run: features, backgrounds, scenarios, outlines with examples, steps with tables.

What the specification's files use is understood; anything else raises, so that nothing is passed over.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

STEP = re.compile(r"(Given|When|Then|And|But)\s+(.*)")
HEADING = re.compile(r"(Feature|Background|Scenario Outline|Scenario|Examples)\s*:\s*(.*)")
Table = list[list[str]]


@dataclass
class Step:
    """One step: its text, and the table under it."""

    text: str
    table: Table = field(default_factory=list)

    def filled(self, values: dict[str, str]) -> Step:
        """Return the step with the values of one example."""

        def fill(text: str) -> str:
            for name, value in values.items():
                text = text.replace(f"<{name}>", value)
            return text

        return Step(fill(self.text), [[fill(cell) for cell in row] for row in self.table])


@dataclass
class Scenario:
    """A scenario, an outline with its examples, or a background."""

    name: str
    steps: list[Step] = field(default_factory=list)
    examples: list[Table] = field(default_factory=list)
    outline: bool = False

    def expanded(self) -> list[Scenario]:
        """Return a scenario for each example."""
        if not self.outline:
            return [self]
        found = []
        for header, *rows in self.examples:
            for row in rows:
                values = dict(zip(header, row, strict=True))
                name = f"{self.name} [{', '.join(row)}]"
                found.append(Scenario(name, [step.filled(values) for step in self.steps]))
        return found


def read_feature(path: Path) -> list[Scenario]:
    """Return the scenarios of a file, one for each example, each with the steps of the background in front."""
    background, scenarios = Scenario("Background"), list[Scenario]()
    current, table = background, None
    for number, line in enumerate(path.read_text().splitlines(), 1):
        text = line.strip()
        if not text or text[0] in "#@":
            continue
        heading, step = HEADING.match(text), STEP.match(text)
        if heading:
            kind, name = heading.groups()
            if kind.startswith("Scenario"):
                current = Scenario(name, outline=kind == "Scenario Outline")
                scenarios.append(current)
            elif kind == "Background":
                current = background
            elif kind == "Examples":
                table = list[list[str]]()
                current.examples.append(table)
        elif step:
            current.steps.append(Step(step[2]))
            table = current.steps[-1].table
        elif text[0] == "|" and text[-1] == "|" and table is not None:
            table.append([cell.strip() for cell in re.split(r"(?<!\\)\|", text)[1:-1]])
        else:
            raise SyntaxError(f"{path}:{number}: {text!r} is no heading, step or row")
    found = [item for scenario in scenarios for item in scenario.expanded()]
    return [replace(scenario, steps=[*background.steps, *scenario.steps]) for scenario in found]


class Steps:
    """Functions by the pattern of the steps that they carry out."""

    def __init__(self) -> None:
        """Begin with none."""
        self._known: list[tuple[re.Pattern[str], Callable[..., None]]] = []

    def __call__(self, pattern: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
        """Let a function carry out the steps that a pattern matches as a whole."""

        def keep(function: Callable[..., None]) -> Callable[..., None]:
            self._known.append((re.compile(pattern, re.IGNORECASE), function))
            return function

        return keep

    def run(self, world: Any, scenario: Scenario) -> None:
        """Carry out a scenario; a step that no pattern, or more than one, matches is an error."""
        for step in scenario.steps:
            found = [(match, function) for pattern, function in self._known if (match := pattern.fullmatch(step.text))]
            if len(found) != 1:
                raise LookupError(f"{len(found)} patterns match the step {step.text!r}; write exactly one")
            match, function = found[0]
            table = {"table": step.table} if step.table else {}
            function(world, *match.groups(), **table)
