"""Blueprints as text: YAML, JSON and mappings in, canonical JSON and its hash out."""

from __future__ import annotations

import hashlib
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from abloop.blueprint.check import check
from abloop.blueprint.mistyped import explain
from abloop.blueprint.source import Source
from abloop.blueprint.spec import Blueprint
from abloop.errors import BlueprintError, unknown
from abloop.features.spec import Seconds


def to_json(blueprint: Blueprint) -> str:
    """Return the canonical JSON text: sorted keys, defaults left out.

    Without the defaults, a field that a later abloop adds changes no hash.
    """
    return msgspec.json.encode(to_plain(blueprint, defaults=False), order="sorted").decode()


def to_plain(value: Any, *, defaults: bool) -> Any:
    """Return sections as mappings and lists, with fields at their default or without."""
    if isinstance(value, msgspec.Struct):
        return {
            field.name: to_plain(getattr(value, field.name), defaults=defaults)
            for field in msgspec.structs.fields(value)
            if defaults or getattr(value, field.name) != _default(field)
        }
    return [to_plain(item, defaults=defaults) for item in value] if isinstance(value, tuple) else value


def _default(field: msgspec.structs.FieldInfo) -> Any:
    """Return the default of a field; an empty mapping is made anew for each section."""
    return field.default if field.default_factory is msgspec.NODEFAULT else field.default_factory()


def content_hash(blueprint: Blueprint) -> str:
    """Return the SHA-256 of the canonical JSON, in hexadecimal."""
    return hashlib.sha256(to_json(blueprint).encode()).hexdigest()


def from_mapping(raw: object, name: str = "blueprint") -> Blueprint:
    """Return the checked blueprint of a mapping, as read from YAML or JSON.

    Args:
        raw: The mapping.
        name: Named in messages.

    Raises:
        BlueprintError: With path, value, what is allowed and the fix.

    Example:
        >>> raw = {"strategy": "checkout", "arms": [{"name": "a"}, {"name": "b"}], "metrics": [{"name": "bought"}]}
        >>> from_mapping(raw).ordered_arms()[0].name
        'a'
    """
    return from_source(Source(name, raw))


def load(path: str | Path) -> Blueprint:
    """Return the blueprint in a YAML or JSON file.

    Raises:
        BlueprintError: The file cannot be read or the blueprint is refused, with file, line and column.
    """
    from abloop.blueprint.yaml_text import read_file  # here, so that `import abloop` loads no YAML library

    return from_source(read_file(path))


def from_source(source: Source) -> Blueprint:
    """Return the checked blueprint of a parsed text.

    Raises:
        BlueprintError: With file, line, column, path, value, what is allowed and the fix.
    """
    try:
        return check(_convert(source.value))
    except BlueprintError as error:
        raise BlueprintError(f"{source.at(error.place)}: {error}", place=error.place) from error


def _convert(raw: Any) -> Blueprint:
    """Return the values as a blueprint, types checked."""
    try:
        raw = msgspec.to_builtins(raw)
        msgspec.msgpack.encode(raw)  # as the record of a decision will hold it
    except (TypeError, RecursionError, OverflowError) as error:
        raise BlueprintError(f"a value cannot be logged: {error}. Use texts, numbers, lists and mappings") from error
    if place := _zero(raw, ""):
        raise BlueprintError(f"{place} holds a zero character, which databases refuse; remove it", place=place)
    raw = _known(raw, Blueprint, "")
    try:
        return msgspec.convert(raw, Blueprint)
    except msgspec.ValidationError as error:
        message, place = explain(str(error), raw)
        raise BlueprintError(message, place=place) from error


def _zero(raw: Any, path: str) -> str:
    """Return where a text holds a zero character; an empty text where none does."""
    if isinstance(raw, dict):
        for key, item in raw.items():
            if place := _zero(item, f"{path}.{key}" if path else str(key)) or _zero(key, path):
                return place.replace("\0", "\ufffd")
        return ""
    if isinstance(raw, list):
        return next(filter(None, (_zero(item, f"{path}[{index}]") for index, item in enumerate(raw))), "")
    return (path or "the text") if isinstance(raw, str) and "\0" in raw else ""


def _seconds(text: str, place: str) -> float:
    """Return the seconds of `5ms`, `90s`, `30m`, `24h`, `7d`."""
    units = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3_600.0, "d": 86_400.0}
    number = text.strip().rstrip("smhd")
    unit = text.strip()[len(number) :]
    if unit not in units or not number.isascii() or not number.replace(".", "", 1).isdigit():
        message = f"{place} is {text!r}; allowed: seconds, or a text like '5ms', '90s', '30m', '24h', '7d'"
        raise BlueprintError(message, place=place)
    return float(number) * units[unit]


def _known(raw: object, spec: Any, path: str) -> Any:
    """Return the values with durations in seconds; refuse unknown keys, before types are looked at."""
    if isinstance(spec, types.UnionType):
        spec = typing.get_args(spec)[0]
    if isinstance(spec, type) and issubclass(spec, msgspec.Struct) and isinstance(raw, Mapping):
        fields = {field.name: field.type for field in msgspec.structs.fields(spec)}
        found = {}
        for key, value in raw.items():
            inner = f"{path}.{key}" if path else str(key)
            if key not in fields:
                raise BlueprintError(f"{inner}: {unknown('key', key, fields)}", place=inner)
            found[key] = _known(value, fields[key], inner)
        return found
    if typing.get_origin(spec) is typing.Literal and isinstance(raw, str) and raw not in typing.get_args(spec):
        raise BlueprintError(f"{path}: {unknown('value', raw, typing.get_args(spec))}", place=path)
    if spec == Seconds and isinstance(raw, str):
        return _seconds(raw, path)
    if typing.get_origin(spec) is tuple and isinstance(raw, list):
        return [_known(item, typing.get_args(spec)[0], f"{path}[{index}]") for index, item in enumerate(raw)]
    return raw
