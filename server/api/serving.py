"""What is served, over HTTP: which version of which strategy, and how; pause, resume, withdraw, go back."""

from __future__ import annotations

from typing import Literal

import msgspec

from abloop.rollout.pause import pause, resume
from abloop.rollout.promote import withdraw
from abloop.rollout.versions import rollback
from abloop.store.serving import Serving
from server.access import principal
from server.api.blueprints import Number, refresh, workspace
from server.api.deciding import Name
from server.api.endpoint import endpoint
from server.audit import audited


class ServeRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which version is to be served.

    Attributes:
        strategy: The strategy.
        version: Its number.
        why: Why.
    """

    strategy: Name
    version: Number
    why: Name


class PhaseRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a strategy is to do.

    Attributes:
        strategy: Its name.
        action: `pause`: every unit gets control; `resume`: goes back; `withdraw`: the model, randomised again.
        why: Why.
    """

    strategy: Name
    action: Literal["pause", "resume", "withdraw"]
    why: Name


@endpoint("GET", "/strategies", "read", answer=list[Serving])
def get_strategies() -> list[Serving]:
    """List the strategies, each with what it serves."""
    return list(workspace().catalogue.servings().values())


@endpoint("POST", "/blueprints/serve", "edit", body=ServeRequest, answer=Serving, statuses=(404, 409))
def post_serve(body: ServeRequest) -> Serving:
    """Serve a version, e.g. an earlier one, in the phase and with the model it had."""
    made = rollback(workspace(), body.strategy, body.version, who=principal().name, why=body.why)
    audited("serve version", body.strategy, body.why, {"version": body.version})
    refresh()
    return made


@endpoint("POST", "/strategies/phase", "edit", body=PhaseRequest, answer=Serving, statuses=(404, 409))
def post_phase(body: PhaseRequest) -> Serving:
    """Pause a strategy, resume it, or withdraw its model."""
    opened, who = workspace(), principal().name
    if body.action == "withdraw":
        made = withdraw(opened, opened.catalogue.serving(body.strategy), who=who, why=body.why)
    else:
        made = {"pause": pause, "resume": resume}[body.action](opened, body.strategy, who=who, why=body.why)
    audited(body.action, body.strategy, body.why)
    refresh()
    return made
