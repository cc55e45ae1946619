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
from abloop.blueprint.spec import Blueprint
from abloop.errors import BlueprintError, unknown


def to_json(blueprint: Blueprint) -> str:
    """Return the canonical JSON text: sorted keys, defaults left in."""
    return msgspec.json.encode(blueprint, order="sorted").decode()


def content_hash(blueprint: Blueprint) -> str:
    """Return the SHA-256 of the canonical JSON, in hexadecimal."""
    return hashlib.sha256(to_json(blueprint).encode()).hexdigest()


def from_mapping(raw: object, source: str = "blueprint") -> Blueprint:
    """Return the checked blueprint of a mapping, as read from YAML or JSON.

    Args:
        raw: The mapping.
        source: Named in messages, e.g. the file.

    Raises:
        BlueprintError: With path, value, what is allowed and the fix.

    Example:
        >>> raw = {"strategy": "checkout", "arms": [{"name": "a"}, {"name": "b"}], "metrics": [{"name": "bought"}]}
        >>> from_mapping(raw).ordered_arms()[0].name
        'a'
    """
    try:
        raw = msgspec.to_builtins(raw)
    except (TypeError, RecursionError) as error:
        raise BlueprintError(
            f"{source}: a value is not JSON: {error}. Use texts, numbers, lists and mappings"
        ) from error
    _check_keys(raw, Blueprint, source)
    if (
        isinstance(raw, dict)
        and isinstance(raw.get("lifecycle"), dict)
        and isinstance(raw["lifecycle"].get("ttl"), str)
    ):
        raw = {**raw, "lifecycle": {**raw["lifecycle"], "ttl": _seconds(raw["lifecycle"]["ttl"], source)}}
    try:
        blueprint = msgspec.convert(raw, Blueprint)
    except msgspec.ValidationError as error:
        raise BlueprintError(f"{source}: {str(error).replace('`$.', '`').replace('`$', '`')}") from error
    return check(blueprint, source)


def load(path: str | Path) -> Blueprint:
    """Return the blueprint in a YAML or JSON file.

    Raises:
        BlueprintError: The file cannot be read or the blueprint is refused.
    """
    import yaml

    try:
        raw = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise BlueprintError(f"{path}: cannot be read: {error.strerror}. Name a YAML or JSON file") from error
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise BlueprintError(f"{path}: is not YAML: {' '.join(str(error).split())}") from error
    return from_mapping(raw, str(path))


def _seconds(text: str, source: str) -> float:
    """Return the seconds of `90s`, `30m`, `24h`, `7d`."""
    units = {"s": 1.0, "m": 60.0, "h": 3_600.0, "d": 86_400.0}
    number, unit = text.strip()[:-1], text.strip()[-1:]
    if unit not in units or not number.replace(".", "", 1).isdigit():
        raise BlueprintError(
            f"{source}: lifecycle.ttl is {text!r}; allowed: seconds, or a text like '90s', '30m', '24h', '7d'"
        )
    return float(number) * units[unit]


def _check_keys(raw: object, spec: Any, path: str) -> None:
    """Refuse unknown keys with the nearest known one, before types are looked at."""
    if isinstance(spec, type) and issubclass(spec, msgspec.Struct) and isinstance(raw, Mapping):
        fields = {field.name: field.type for field in msgspec.structs.fields(spec)}
        for key, value in raw.items():
            if key not in fields:
                raise BlueprintError(f"{path}: {unknown('key', key, fields)}")
            _check_keys(value, fields[key], f"{path}: {key}" if ":" not in path else f"{path}.{key}")
    elif typing.get_origin(spec) in (tuple, types.UnionType) and isinstance(raw, list):
        for index, item in enumerate(raw):
            _check_keys(item, typing.get_args(spec)[0], f"{path}[{index}]")
