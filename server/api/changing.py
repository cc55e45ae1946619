"""What takes long or goes deep over HTTP: reports of who gains, tuning, erasure."""

from __future__ import annotations

from typing import Annotated

import msgspec

from abloop import tuning
from abloop.hte.kept import keep, newest
from abloop.hte.results import EffectReport
from abloop.optimize.trials import State, Trial
from abloop.store.erasure import Erasure, erase
from abloop.store.serving import Comparison
from abloop.store.tombstones import hash_unit
from server.access import principal
from server.api.blueprints import StrategyQuery, refresh, workspace
from server.api.deciding import Name, Text
from server.api.endpoint import endpoint
from server.audit import audited


class EffectsQuery(msgspec.Struct, frozen=True):
    """Of which strategy.

    Attributes:
        strategy: Its name.
        fresh: Whether the report is made now, from the rows there are.
    """

    strategy: Name
    fresh: bool = False


class TuningRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A step of tuning.

    Attributes:
        strategy: The strategy.
        why: Why.
        arms: Of a proposal: how many weights to try; as the blueprint says where 0.
        early: Of a reading: whether to read a round although units are missing.
    """

    strategy: Name
    why: Text = ""
    arms: Annotated[int, msgspec.Meta(ge=0, le=100)] = 0
    early: bool = False


class PickRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A trial to serve beside what serves.

    Attributes:
        strategy: The strategy.
        trial: Number of the trial.
        why: Why.
    """

    strategy: Name
    trial: Annotated[int, msgspec.Meta(ge=0, le=1 << 31)]
    why: Name


class ErasureRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A unit to erase.

    Attributes:
        unit: The unit, as product code names it.
        strategy: Only from this one; from all where empty.
        why: Why.
    """

    unit: Name
    why: Name
    strategy: Text = ""


@endpoint("GET", "/effects", "read", query=EffectsQuery, answer=EffectReport, statuses=(404,))
def get_effects(query: EffectsQuery) -> EffectReport:
    """Tell for whom each arm works: the newest report that is kept, or one that is made now, in some seconds."""
    opened = workspace()
    opened.catalogue.serving(query.strategy)
    kept = None if query.fresh else newest(opened, query.strategy)
    if kept is not None:
        return kept.report
    from abloop.hte.strategy import report  # here, so that a server that is never asked loads no learners

    made = report(opened, query.strategy)
    keep(opened, made, who=principal().name)
    return made


@endpoint("GET", "/tuning", "read", query=StrategyQuery, answer=State, statuses=(404,))
def get_tuning(query: StrategyQuery) -> State:
    """Give all that is known of a strategy's tuning: rounds and trials."""
    return tuning.status(workspace(), query.strategy)


@endpoint("GET", "/tuning/frontier", "read", query=StrategyQuery, answer=list[Trial], statuses=(404,))
def get_frontier(query: StrategyQuery) -> list[Trial]:
    """List the trials that none beats: the measured trade-offs."""
    return tuning.best(workspace(), query.strategy)


@endpoint("POST", "/tuning/propose", "edit", body=TuningRequest, answer=State, statuses=(404, 409))
def post_propose(body: TuningRequest) -> State:
    """Propose the weights of a round and serve them beside those that serve; takes some seconds."""
    made = tuning.propose(workspace(), body.strategy, count=body.arms, who=principal().name, why=body.why)
    audited("propose round", body.strategy, body.why, {"round": len(made.rounds) - 1})
    refresh()
    return made


@endpoint("POST", "/tuning/read", "edit", body=TuningRequest, answer=State, statuses=(404, 409))
def post_read(body: TuningRequest) -> State:
    """Read the round that runs, if its units are there, and end it."""
    before = tuning.status(workspace(), body.strategy)
    made = tuning.read(workspace(), body.strategy, early=body.early, who=principal().name)
    if made.step != before.step:
        audited("read round", body.strategy, body.why, {"round": len(made.rounds) - 1})
        refresh()
    return made


@endpoint("POST", "/tuning/pick", "edit", body=PickRequest, answer=Comparison, statuses=(404, 409))
def post_pick(body: PickRequest) -> Comparison:
    """Serve a trial's weights beside those that serve, to confirm them."""
    made = tuning.pick(workspace(), body.strategy, body.trial, who=principal().name, why=body.why)
    audited("pick trial", body.strategy, body.why, {"trial": body.trial})
    refresh()
    return made


@endpoint("POST", "/erasures", "admin", body=ErasureRequest, answer=Erasure, statuses=(404, 409))
def post_erasure(body: ErasureRequest) -> Erasure:
    """Erase a unit from everywhere, and say what was found, and what is left: ask again where that is not 0."""
    if body.strategy:
        workspace().catalogue.serving(body.strategy)
    done = erase(workspace(), body.unit, body.strategy, who=principal().name, why=body.why)
    audited("erase unit", hash_unit(body.unit, body.strategy), body.why, {"found": done.found})
    return done
