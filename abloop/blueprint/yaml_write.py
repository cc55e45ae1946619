"""Plain values to YAML that people like to read, and that `yaml_text.parse` reads back as the same values."""

from __future__ import annotations

from typing import Any

import msgspec
import yaml

from abloop.blueprint.text import to_plain
from abloop.blueprint.yaml_text import read_scalar
from abloop.features.spec import Seconds

WIDTH = 110
SHORT = 76


def write(value: Any) -> str:
    """Return values as YAML: keys in their order, short lists and mappings in one line.

    Args:
        value: Mappings, lists, texts, numbers, booleans and None.

    Example:
        >>> print(write({"strategy": "s", "arms": [{"name": "a"}, {"name": "no", "cost": 0.5}]}), end="")
        strategy: s
        arms: [{name: a}, {name: 'no', cost: 0.5}]
    """
    node = _Representer(sort_keys=False).represent_data(value)
    if isinstance(node, yaml.CollectionNode):
        _lay_out(node, top=True)
    return str(yaml.serialize(node, Dumper=yaml.SafeDumper, width=WIDTH, allow_unicode=True))


def readable(value: Any) -> Any:
    """Return a blueprint, or a part of it, as it is written by hand: defaults left out, durations as `2d`.

    Example:
        >>> from abloop.blueprint import Lifecycle
        >>> readable(Lifecycle(ttl=5400.0, switch="manual"))
        {'ttl': '90m', 'switch': 'manual'}
    """
    plain = to_plain(value, defaults=False)
    if isinstance(value, msgspec.Struct):
        for field in msgspec.structs.fields(value):
            if field.name in plain:
                inner = getattr(value, field.name)
                plain[field.name] = _duration(inner) if field.type == Seconds else readable(inner)
        return plain
    return [readable(item) for item in value] if isinstance(value, tuple) else plain


def _duration(seconds: float) -> str | float:
    """Return seconds in the largest unit that holds them without a fraction; as they are where none does."""
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "m"), (1, "s"), (0.001, "ms")):
        count = round(seconds / size)
        if count and count * size == seconds:
            return f"{count}{unit}"
    return seconds


class _Representer(yaml.representer.SafeRepresenter):
    """Quotes each text that would otherwise be read as something else."""

    def ignore_aliases(self, data: Any) -> bool:
        """Write everything out: a blueprint has no aliases."""
        return True


def _text(representer: _Representer, value: str) -> yaml.Node:
    printable = all(letter.isprintable() or letter == "\n" for letter in value)
    lines = "\n" in value and printable and not any(line != line.rstrip() for line in value.split("\n"))
    style = "|" if lines else None if isinstance(read_scalar(value), str) and "\n" not in value else "'"
    return representer.represent_scalar("tag:yaml.org,2002:str", value, style=style if printable else '"')


def _float(representer: _Representer, value: float) -> yaml.Node:
    """Return a number as it is read back, without a fraction where it has none."""
    whole = value == value and abs(value) < 1e15 and value == int(value)
    text = str(int(value)) if whole else repr(value)
    text = text if "." in text else text.replace("e", ".0e")
    text = {"inf": ".inf", "-inf": "-.inf", "nan": ".nan"}.get(text, text)
    return representer.represent_scalar(f"tag:yaml.org,2002:{'int' if whole else 'float'}", text)


_Representer.add_representer(str, _text)
_Representer.add_representer(float, _float)


def _lay_out(node: yaml.CollectionNode, *, top: bool = False) -> int:
    """Choose one line or many for a node and all within; return how long it is in one line."""
    length, tall = 2, False
    for item in node.value:
        for part in item if isinstance(item, tuple) else (item,):
            if isinstance(part, yaml.CollectionNode):
                length += _lay_out(part) + 2
                tall = tall or not part.flow_style
            else:
                length += len(str(part.value)) + 4
                tall = tall or part.style == "|"
    node.flow_style = not top and not tall and length <= SHORT
    return length
