"""Registration: a blueprint, checked by itself and beside all others, becomes a version of its strategy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from abloop.blueprint import Blueprint, from_mapping
from abloop.ids import user
from abloop.overlap import check_neighbours
from abloop.store.versions import Seen
from abloop.store.workspace import Workspace


def register(
    workspace: Workspace,
    blueprint: Blueprint | Mapping[str, Any],
    *,
    who: str = "",
    why: str = "",
    serve: bool = True,
    seen: Seen | None = None,
) -> int:
    """Keep a blueprint as the newest version of its strategy, and serve it.

    Args:
        workspace: What `abloop.connect` gave.
        blueprint: A `Blueprint`, or a mapping as read from YAML.
        who: Who registers it; the current user where empty.
        why: Why.
        serve: Whether a new version is served from now on; the first one always is.
        seen: The newest and the served version that it was written after, 0 where there was none; whatever is there
            where None.

    Returns:
        Its version, from 1; that of an equal version, if there is one: then nothing changed.

    Raises:
        BlueprintError: With path, value, what is allowed and the fix.
        ConflictError: Something else is newest or served by now than what was seen; nothing was changed.
        StoreError: The database refused.
    """
    checked = inspect(workspace, blueprint)
    return workspace.catalogue.add_blueprint(
        checked, at=workspace.clock(), who=who or user(), why=why, serve=serve, seen=seen
    )


def inspect(workspace: Workspace, blueprint: Blueprint | Mapping[str, Any]) -> Blueprint:
    """Return a blueprint after every check that `register` makes; nothing is kept.

    Raises:
        BlueprintError: With path, value, what is allowed and the fix.
        StoreError: The database cannot be read.
    """
    checked = from_mapping(blueprint if isinstance(blueprint, Mapping) else msgspec.to_builtins(blueprint))
    check_neighbours(workspace, checked)
    return checked
