"""The versions of a strategy: who made them, when, why, what changed; and back to an earlier one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from abloop.blueprint.diff import Change, diff
from abloop.rollout.pause import refuse_paused
from abloop.store.serving import Serving

if TYPE_CHECKING:
    from abloop.store.workspace import Workspace


class Version(msgspec.Struct, frozen=True):
    """One version of a strategy's blueprint.

    Attributes:
        version: From 1.
        at: When it was registered, in seconds since 1970.
        who: Who registered it.
        why: Why.
        served: Whether it is the one served now.
        changes: What differs from the version before; empty for the first.
    """

    version: int
    at: float
    who: str
    why: str
    served: bool
    changes: tuple[Change, ...]


def versions(workspace: Workspace, strategy: str) -> tuple[Version, ...]:
    """Return all versions of a strategy, oldest first.

    Raises:
        UnknownNameError: There is no such strategy.
        StoreError: A stored blueprint was altered.
    """
    served = workspace.catalogue.serving(strategy).version
    found, before = [], None
    for registered, blueprint in workspace.catalogue.blueprints(strategy):
        changes = diff(before, blueprint) if before else ()
        version = registered.version
        found.append(Version(version, registered.at, registered.who, registered.why, version == served, changes))
        before = blueprint
    return tuple(found)


def rollback(workspace: Workspace, strategy: str, version: int, *, who: str, why: str) -> Serving:
    """Serve an earlier version again, in the phase and with the release it had when it was last served.

    Args:
        workspace: Where it is kept.
        strategy: Its name.
        version: The version to serve.
        who: Who rolls back.
        why: Why.

    Returns:
        What is served from now on.

    Raises:
        UnknownNameError: There is no such strategy or version.
        DataError: The strategy is paused.
    """
    refuse_paused(workspace.catalogue.serving(strategy))
    workspace.catalogue.blueprint(strategy, version)
    last = workspace.catalogue.last_serving(strategy, version)
    again = Serving(strategy, version, last.phase, last.release, workspace.clock(), who, why)
    return workspace.catalogue.serve(again)
