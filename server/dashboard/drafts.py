"""A draft of a blueprint: its text, what it says, and what is wrong with it, with field and line. Keeps nothing."""

from __future__ import annotations

import math
import re
from typing import Any

import msgspec

from abloop.blueprint import Blueprint
from abloop.blueprint.source import Source
from abloop.blueprint.text import from_source
from abloop.blueprint.yaml_text import parse
from abloop.blueprint.yaml_write import write
from abloop.errors import BlueprintError
from abloop.registration import inspect
from abloop.store.workspace import Workspace

NAME = "text"
MOST_DEPTH = 40


class Problem(msgspec.Struct, frozen=True):
    """What is wrong with a draft.

    Attributes:
        path: The field, e.g. `arms[1].weight`; empty where it is none.
        line: Its line in the text, from 1; 0 where it has none.
        column: Its column, from 1.
        said: What came, what is allowed and what to do.
    """

    path: str
    line: int
    column: int
    said: str


class Draft(msgspec.Struct, frozen=True):
    """A draft, read.

    Attributes:
        text: As YAML.
        value: What it says, as plain values; None where the text cannot be read.
        problem: What is wrong; None where nothing is.
        blueprint: The blueprint; None where something is wrong.
    """

    text: str
    value: Any
    problem: Problem | None = None
    blueprint: Blueprint | None = None


def read_draft(workspace: Workspace, text: str, strategy: str = "") -> Draft:
    """Return a text as a draft, after every check that registration makes.

    Args:
        workspace: The installation, for the checks beside other strategies.
        text: YAML or JSON.
        strategy: The strategy that it is a version of; empty for a new one.

    Raises:
        StoreError: The database cannot be read.
    """
    source = Source(NAME, None)
    try:
        source = parse(text, NAME)
        blueprint = inspect(workspace, from_source(source))
        _check_name(workspace, blueprint.strategy, strategy)
    except BlueprintError as error:
        return Draft(text, finite(source.value), _problem(error, source))
    return Draft(text, finite(source.value), None, blueprint)


def read_value(workspace: Workspace, value: Any, strategy: str = "") -> Draft:
    """Return plain values, as a form gives them, as a draft with its text."""
    try:
        text = write(value)
    except (RecursionError, ValueError, TypeError) as error:
        return Draft("", None, Problem("", 0, 0, f"the form cannot be read: {error}"))
    return read_draft(workspace, text, strategy)


def _check_name(workspace: Workspace, name: str, strategy: str) -> None:
    """Check that a version keeps its strategy's name, and that a new strategy has a new one."""
    if strategy and name != strategy:
        raise BlueprintError(
            f"strategy is {name!r}; allowed: {strategy!r}, for a version keeps its strategy's name. "
            "Write it back, or make a new strategy",
            place="strategy",
        )
    if not strategy and name in workspace.catalogue.servings():
        raise BlueprintError(
            f"strategy is {name!r}, which there is already; allowed: a new name. To change it, edit its blueprint",
            place="strategy",
        )


def _problem(error: BlueprintError, source: Source) -> Problem:
    """Return an error with its field and its line."""
    said = re.sub(rf"^{NAME}(:\d+:\d+)?: ", "", str(error))
    place = re.match(rf"^{NAME}:(\d+):(\d+): ", str(error)) or re.match(
        rf"^{NAME}:(\d+):(\d+)$", source.at(error.place)
    )
    line, column = (int(place[1]), int(place[2])) if place else (0, 0)
    return Problem(error.place, line, column, said)


def finite(value: Any, depth: int = 0) -> Any:
    """Return plain values as JSON can hold them: numbers that are none become text."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if depth < MOST_DEPTH and isinstance(value, dict):
        return {key: finite(item, depth + 1) for key, item in value.items()}
    return [finite(item, depth + 1) for item in value] if depth < MOST_DEPTH and isinstance(value, list) else value
