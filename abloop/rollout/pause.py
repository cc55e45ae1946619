"""Pause and resume: control for every unit at once, and back to what was served."""

from __future__ import annotations

from abloop.errors import DataError
from abloop.store.serving import Serving
from abloop.store.workspace import Workspace


def pause(workspace: Workspace, strategy: str, *, who: str, why: str) -> Serving:
    """Give every unit control, or the default, from now on; nobody is randomised and no readout counts it.

    Args:
        workspace: Where it is kept.
        strategy: Its name.
        who: Who pauses it.
        why: Why.

    Returns:
        What is served from now on.

    Raises:
        UnknownNameError: There is no such strategy.
    """
    serving = workspace.catalogue.serving(strategy)
    if serving.phase == "paused":
        return serving
    return workspace.catalogue.serve(
        Serving(strategy, serving.version, "paused", "", workspace.clock(), who, why), what="pause"
    )


def refuse_paused(serving: Serving) -> None:
    """Refuse a change that would end a pause without saying so.

    Raises:
        DataError: The strategy is paused.
    """
    if serving.phase == "paused":
        name = serving.strategy
        raise DataError(
            f"strategy {name!r} is paused: {serving.why or 'no reason given'}. Resume it first: "
            f"abloop resume {name} --why TEXT"
        )


def resume(workspace: Workspace, strategy: str, *, who: str, why: str) -> Serving:
    """Serve a paused strategy again, in the phase and with the release that its version had.

    Args:
        workspace: Where it is kept.
        strategy: Its name.
        who: Who resumes it.
        why: Why.

    Returns:
        What is served from now on.

    Raises:
        UnknownNameError: There is no such strategy.
        DataError: It is not paused.
    """
    serving = workspace.catalogue.serving(strategy)
    if serving.phase != "paused":
        raise DataError(f"strategy {strategy!r} is not paused; it is served in phase {serving.phase!r}")
    last = workspace.catalogue.last_serving(strategy, serving.version)
    again = Serving(strategy, serving.version, last.phase, last.release, workspace.clock(), who, why)
    return workspace.catalogue.serve(again, what="resume")
