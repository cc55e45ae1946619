"""The JSON Schema of a blueprint, for editors and forms. Derived from the sections, so that it cannot drift."""

from __future__ import annotations

import inspect
import re
from typing import Any

import msgspec

from abloop.blueprint.spec import Blueprint
from abloop.features.spec import Seconds

DURATION = r"^\d+(\.\d+)?(ms|s|m|h|d)$"
DIALECT = "https://json-schema.org/draft/2020-12/schema"


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema, draft 2020-12, each field with its description.

    Example:
        >>> sorted(json_schema()["required"])
        ['metrics', 'strategy']
    """
    (reference,), components = msgspec.json.schema_components([Blueprint], ref_template="#/$defs/{name}")
    definitions: dict[str, Any] = {name: _described(name, schema) for name, schema in components.items()}
    for section in _sections(Blueprint):
        for field in msgspec.structs.fields(section):
            if field.type == Seconds:
                properties = definitions[section.__name__]["properties"]
                properties[field.name] = {
                    "description": properties[field.name]["description"],
                    "anyOf": [{"type": "number", "minimum": 0}, {"type": "string", "pattern": DURATION}],
                    "default": field.default,
                }
    root = definitions.pop(reference["$ref"].rsplit("/", 1)[1])
    return {"$schema": DIALECT, **root, "title": "abloop blueprint", "$defs": definitions}


def _described(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    """Return a section's schema with the descriptions that its docstring gives to its fields."""
    sections = {item.__name__: item for item in _sections(Blueprint)}
    text = inspect.getdoc(sections[name]) or ""
    fields = dict(re.findall(r"^ {4}(\w+): (.+(?:\n {8}.+)*)$", text, re.MULTILINE))
    for field, properties in schema["properties"].items():
        properties["description"] = " ".join(fields[field].split())
        _bound(properties)
    return {**schema, "description": text.splitlines()[0]}


def _bound(properties: dict[str, Any]) -> None:
    """Give a number the range that its description names, e.g. `in [0, 0.5)`, unless its default is outside."""
    named = re.search(r"\bin ([\[(])([\d.]+), ([\d.]+)([\])])", properties["description"])
    kinds = [kind for kind in properties.get("anyOf", [properties]) if kind.get("type") in ("number", "integer")]
    if not named or not kinds:
        return
    left, low, high, right = named[1], float(named[2]), float(named[3]), named[4]
    default = properties.get("default")
    above = default is None or default > low or (left == "[" and default == low)
    below = default is None or default < high or (right == "]" and default == high)
    if above and below:
        kinds[0]["minimum" if left == "[" else "exclusiveMinimum"] = low
        kinds[0]["maximum" if right == "]" else "exclusiveMaximum"] = high


def _sections(spec: type) -> set[type]:
    """Return a section and all sections inside it."""
    found = {spec}
    for kind in msgspec.inspect.multi_type_info([field.type for field in msgspec.structs.fields(spec)]):
        inner = kind.item_type if isinstance(kind, msgspec.inspect.VarTupleType) else kind
        for option in inner.types if isinstance(inner, msgspec.inspect.UnionType) else (inner,):
            if isinstance(option, msgspec.inspect.StructType):
                found |= _sections(option.cls)
    return found
