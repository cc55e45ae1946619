"""From verdict to served release."""

from __future__ import annotations

from abloop.evaluate.verdict import Verdict
from abloop.models.artefact import Artefact, pack
from abloop.records import Phase
from abloop.rollout.pause import refuse_paused
from abloop.store.serving import Serving
from abloop.store.workspace import Workspace


def promote(
    workspace: Workspace, serving: Serving, verdict: Verdict, artefact: Artefact, *, who: str = "gate"
) -> Serving:
    """Serve what the gate proved: the best arm for each unit, or one arm for all; the explore share stays.

    Args:
        workspace: Where it is kept.
        serving: What is served now.
        verdict: What the gate said: `personalise` or `ship`.
        artefact: The release that decides from now on.
        who: Who switches.

    Returns:
        What is served from now on.
    """
    phase: Phase = "personalise" if verdict.verdict == "personalise" else "ship"
    if (serving.phase, serving.release) == (phase, pack(artefact)[0]):
        return serving
    promoted = Serving(serving.strategy, serving.version, phase, "", workspace.clock(), who, verdict.reason)
    return workspace.catalogue.serve(promoted, artefact, what="promote release")


def withdraw(workspace: Workspace, serving: Serving, *, who: str, why: str) -> Serving:
    """Stop serving a release at once: every unit is randomised again, or gets the default.

    Args:
        workspace: Where it is kept.
        serving: What is served now.
        who: Who withdraws it.
        why: Why.

    Returns:
        What is served from now on.

    Raises:
        DataError: The strategy is paused.
    """
    refuse_paused(serving)
    _, blueprint = workspace.catalogue.blueprint(serving.strategy, serving.version)
    phase: Phase = "randomise" if blueprint.is_choice else "default"
    return workspace.catalogue.serve(
        Serving(serving.strategy, serving.version, phase, "", workspace.clock(), who, why), what="withdraw"
    )
