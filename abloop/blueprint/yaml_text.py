"""YAML and JSON text to plain values, with the line and column of every value. Knows no blueprint.

Limits are checked before and while the text is parsed: its size, its depth, the number of its values. Aliases
are refused, because a few lines of them can stand for gigabytes; so is a key that stands twice, because one of
its values would silently not count.
"""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import yaml

from abloop.blueprint.source import Mark, Source
from abloop.errors import BlueprintError

MOST_CHARACTERS = 64_000
MOST_VALUES = 20_000
MOST_DEPTH = 32
PLAIN_TAGS = tuple(
    f"tag:yaml.org,2002:{kind}"
    for kind in ("bool", "float", "int", "map", "merge", "null", "seq", "str", "time", "value")
)
_WHOLE = re.compile(r"[-+]?[0-9]{1,19}")
_NUMBER = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_WORDS: dict[str, float | bool | None] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), math.nan),
    **dict.fromkeys((".inf", "+.inf", ".Inf", ".INF"), math.inf),
    **dict.fromkeys(("-.inf", "-.Inf", "-.INF"), -math.inf),
}


def read_file(path: str | Path) -> Source:
    """Return the values in a YAML or JSON file.

    Raises:
        BlueprintError: The file cannot be read, or its text not be parsed.
    """
    try:
        with Path(path).open(encoding="utf-8") as file:
            text = file.read(MOST_CHARACTERS + 1)
    except OSError as error:
        raise BlueprintError(f"{path}: cannot be read: {error.strerror}. Name a YAML or JSON file") from error
    except UnicodeDecodeError as error:
        raise BlueprintError(f"{path}: is not UTF-8 text: {error.reason} at byte {error.start}") from error
    return parse(text, str(path))


def parse(text: str, name: str = "blueprint") -> Source:
    """Return the values in a YAML or JSON text.

    Args:
        text: At most 64,000 characters.
        name: Named in messages.

    Raises:
        BlueprintError: With file, line, column, what is wrong and what is allowed.

    Example:
        >>> source = parse("arms: [{name: a, weight: 1}]", "x.yaml")
        >>> source.value, source.at("arms[0].weight")
        ({'arms': [{'name': 'a', 'weight': 1}]}, 'x.yaml:1:18')
    """
    if len(text) > MOST_CHARACTERS:
        raise BlueprintError(f"{name}: more than {MOST_CHARACTERS:,} characters; a blueprint is some dozen lines")
    loader = yaml.SafeLoader(text)
    try:
        _check_size(text, name)
        node = loader.get_single_node()
        marks: dict[str, Mark] = {}
        value = _read(node, "", marks, name) if node is not None else None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise BlueprintError(f"{_where(name, mark)}: is not YAML: {error.problem or error.context}") from error
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise BlueprintError(f"{name}: is not YAML: {' '.join(str(error).split())[:200]}") from error
    finally:
        loader.dispose()
    return Source(name, value, marks)


def _check_size(text: str, name: str) -> None:
    """Refuse aliases, depth and length in one pass over the events, before anything is built."""
    depth = 0
    for values, event in enumerate(yaml.parse(text, yaml.SafeLoader)):
        where = _where(name, event.start_mark)
        if isinstance(event, yaml.AliasEvent):
            raise BlueprintError(f"{where}: alias *{event.anchor}; allowed: none. Write the value out")
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > MOST_DEPTH:
            raise BlueprintError(f"{where}: nested deeper than {MOST_DEPTH} levels")
        if values > MOST_VALUES:
            raise BlueprintError(f"{where}: more than {MOST_VALUES:,} values; a blueprint is some dozen lines")


def _scalar(node: yaml.Node) -> str | float | int | bool | None:
    """Return the value of a scalar; one that is quoted, or a block, is a text."""
    return str(node.value) if getattr(node, "style", None) else read_scalar(str(node.value))


def read_scalar(text: str) -> str | float | int | bool | None:
    """Return the value of a plain scalar as YAML 1.2 and JSON read it: `no` and `on` are texts, `1e-3` is a number.

    Args:
        text: The scalar, without quotes.

    Example:
        >>> read_scalar("no"), read_scalar("1e-3"), read_scalar("true")
        ('no', 0.001, True)
    """
    if text in _WORDS:
        return _WORDS[text]
    if _WHOLE.fullmatch(text):
        return int(text)
    return float(text) if _NUMBER.fullmatch(text) else text


def _where(name: str, mark: Any) -> str:
    return f"{name}:{mark.line + 1}:{mark.column + 1}" if mark else name


def _read(node: yaml.Node, path: str, marks: dict[str, Mark], name: str) -> Any:
    """Return a node's value and keep where it and its parts stand."""
    here = (node.start_mark.line + 1, node.start_mark.column + 1)
    marks.setdefault(path, here)
    if not node.tag.startswith(PLAIN_TAGS):
        raise BlueprintError(f"{_where(name, node.start_mark)}: tag {node.tag!r:.80}; allowed: no tags")
    if isinstance(node, yaml.SequenceNode):
        return [_read(item, f"{path}[{index}]", marks, name) for index, item in enumerate(node.value)]
    if not isinstance(node, yaml.MappingNode):
        return _scalar(node)
    found: dict[str, Any] = {}
    for key_node, value_node in node.value:
        where = _where(name, key_node.start_mark)
        key = _scalar(key_node) if isinstance(key_node, yaml.ScalarNode) else None
        if not isinstance(key, str):
            raise BlueprintError(f"{where}: key {key_node.value!r:.80} is not a text; quote it")
        if key in found:
            raise BlueprintError(f"{where}: key {key!r} stands twice; only one of its values could count. Remove one")
        inner = f"{path}.{key}" if path else key
        marks[inner] = (key_node.start_mark.line + 1, key_node.start_mark.column + 1)
        found[key] = _read(value_node, inner, marks, name)
    return found
