"""The two calls over HTTP: decisions, rankings and observations, one or many at a time. No request waits for a disk."""

from __future__ import annotations

import math
from base64 import b64encode
from typing import Annotated, Any

import msgspec
from flask import current_app, request

from abloop.details import Details, details_of
from abloop.errors import AbloopError, AwayError, DataError, unknown
from abloop.faults import said
from abloop.ids import new_decision_id
from abloop.loop import Loop
from abloop.online import Strategy
from abloop.records import encode as encode_record
from server.api.endpoint import endpoint
from server.source import Source

MOST_DECISIONS = 1_000
Text = Annotated[str, msgspec.Meta(max_length=1_000, pattern="^[^\\x00]*$")]
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=1_000, pattern="^[^\\x00]*$")]
Context = dict[str, Any]


class DecisionRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a decision is asked for.

    Attributes:
        strategy: Its name.
        context: The unit under the blueprint's unit key, and features.
        decision_id: Ties later observations to this decision; made where empty.
        force: Name of the arm to give.
        drawn: Name of the arm that the product's own assignment drew.
        log: Whether the server writes the record; where not, it is in the answer and counts once its owner pushed it.
    """

    strategy: Name
    context: Context
    decision_id: Text = ""
    force: Text = ""
    drawn: Text = ""
    log: bool = True


class DecisionAnswer(msgspec.Struct, frozen=True):
    """A decision.

    Attributes:
        decision_id: Its id.
        strategy: Its strategy.
        value: What the product is given.
        arm: Name of the arm; empty where the call could not be answered.
        propensity: Probability with which it was drawn.
        reason: The phase, or `error`: then the value is the blueprint's default, and nothing was logged.
        version: Blueprint version that decided.
        release: Model that decided; empty for none.
        error: Why the call could not be answered; empty where it was.
        record: Where the server did not write it: the record, in base64.
    """

    decision_id: str
    strategy: str
    value: Any
    arm: str
    propensity: float
    reason: str
    version: int
    release: str
    error: str = ""
    record: str | msgspec.UnsetType = msgspec.UNSET


class RankingRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What an order is asked for.

    Attributes:
        strategy: Its name.
        contexts: One context for each item.
        decision_id: Names the list; made where empty. An item is `DECISION_ID/INDEX`.
        log: As for a decision.
    """

    strategy: Name
    contexts: Annotated[list[Context], msgspec.Meta(max_length=MOST_DECISIONS)]
    decision_id: Text = ""
    log: bool = True


class RankingAnswer(msgspec.Struct, frozen=True):
    """An order.

    Attributes:
        decision_id: Names the list.
        strategy: Its strategy.
        order: Indices of the contexts, best first.
        error: Why it is the order that was given; empty where it was answered.
        records: Where the server did not write them: the records, in base64.
    """

    decision_id: str
    strategy: str
    order: list[int]
    error: str = ""
    records: list[str] | msgspec.UnsetType = msgspec.UNSET


class ObservationRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What happened after a decision, or to a unit.

    Attributes:
        strategy: The decision's strategy.
        observations: Metric to value, a number or a boolean.
        decision_id: The decision.
        unit: Instead of it, the unit, for metrics `by: unit`.
        key: Idempotency key: the same for the same decision and metric counts once, however often sent; one for the
            whole request may stand in the header `Idempotency-Key`.
    """

    strategy: Name
    observations: Annotated[dict[Name, float | bool], msgspec.Meta(min_length=1, max_length=100)]
    decision_id: Text = ""
    unit: Text | int = ""
    key: Text = ""


class Accepted(msgspec.Struct, frozen=True):
    """What was taken.

    Attributes:
        accepted: How many observations, one for each metric; repeated ones count as one in the end.
    """

    accepted: int


Decisions = DecisionRequest | Annotated[list[DecisionRequest], msgspec.Meta(max_length=MOST_DECISIONS)]
Observations = ObservationRequest | Annotated[list[ObservationRequest], msgspec.Meta(max_length=MOST_DECISIONS)]


@endpoint("POST", "/decisions", "ingest", body=Decisions, answer=DecisionAnswer | list[DecisionAnswer], statuses=(404,))
def post_decisions(body: DecisionRequest | list[DecisionRequest]) -> DecisionAnswer | list[DecisionAnswer]:
    """Decide: one decision, or up to 1,000 at a time."""
    return decide_all(loop(), body)


def decide_all(loop: Loop, asked: DecisionRequest | list[DecisionRequest]) -> DecisionAnswer | list[DecisionAnswer]:
    """Return the decisions that are asked for, each logged unless its request says otherwise.

    Raises:
        UnknownNameError: There is no such strategy; nothing was decided.
    """
    if isinstance(asked, DecisionRequest):
        return _decide(handle(loop, asked.strategy), asked)
    handles = {name: handle(loop, name) for name in {each.strategy for each in asked}}
    return [_decide(handles[each.strategy], each) for each in asked]


def _decide(strategy: Strategy, asked: DecisionRequest) -> DecisionAnswer:
    """Return one decision."""
    name = asked.decision_id or new_decision_id()
    record: str | msgspec.UnsetType = msgspec.UNSET
    if asked.log:
        found = strategy.get_details(name, asked.context, force=asked.force, drawn=asked.drawn or None)
    else:
        try:
            made = strategy.make_decision(name, asked.context, force=asked.force, drawn=asked.drawn)
            found, record = details_of(made), b64encode(encode_record(made)).decode()
        except (AbloopError, ArithmeticError, LookupError, TypeError, ValueError) as error:
            found = Details(strategy.snapshot.default, error=said(error))
    return DecisionAnswer(
        name,
        asked.strategy,
        found.value,
        found.arm,
        found.propensity,
        found.reason,
        found.version,
        found.release,
        found.error,
        record,
    )


@endpoint("POST", "/rankings", "ingest", body=RankingRequest, answer=RankingAnswer, statuses=(404,))
def post_rankings(body: RankingRequest) -> RankingAnswer:
    """Order a list, up to 1,000 items."""
    strategy = handle(loop(), body.strategy)
    name = body.decision_id or new_decision_id()
    if strategy.snapshot.blueprint.space.type != "ordering" and strategy.snapshot.version:
        kind = strategy.snapshot.blueprint.space.type
        raise DataError(f"strategy {body.strategy!r} is a {kind}, and no ordering; ask /v1/decisions", place="strategy")
    try:
        order, made = strategy.make_ranking(name, body.contexts, write=body.log)
    except (AbloopError, ArithmeticError, LookupError, TypeError, ValueError) as error:
        return RankingAnswer(name, body.strategy, list(range(len(body.contexts))), said(error))
    records = msgspec.UNSET if body.log else [b64encode(encode_record(each)).decode() for each in made]
    return RankingAnswer(name, body.strategy, order, "", records)


@endpoint(
    "POST",
    "/observations",
    "ingest",
    body=Observations,
    answer=Accepted,
    statuses=(404,),
    headers={"Idempotency-Key": "Names the request: sent again with the same key, it counts once."},
)
def post_observations(body: ObservationRequest | list[ObservationRequest]) -> Accepted:
    """Log what happened: of one decision or unit, or up to 1,000 at a time; all of it or nothing."""
    return observe_all(loop(), body, request.headers.get("Idempotency-Key", ""))


def observe_all(opened: Loop, body: ObservationRequest | list[ObservationRequest], shared: str) -> Accepted:
    """Log what happened, all of it or nothing.

    Args:
        opened: The installation.
        body: What happened.
        shared: Idempotency key of the whole request; empty for none.

    Raises:
        UnknownNameError: There is no such strategy.
        DataError: Something of it could not be kept; nothing was.
        AwayError: The disk takes no more.
    """
    asked, shared = [body] if isinstance(body, ObservationRequest) else body, shared[:200]
    handles = {name: handle(opened, name) for name in {each.strategy for each in asked}}
    for index, each in enumerate(asked):
        _check(handles[each.strategy], each, "" if isinstance(body, ObservationRequest) else f"[{index}].")
    lost = opened.spool.lost_observations
    for index, each in enumerate(asked):
        key = each.key or (f"{shared}/{index}" if shared else "")
        if each.decision_id:
            handles[each.strategy].log_observations(each.decision_id, each.observations, key=key)
        else:
            handles[each.strategy].log_unit_observations(each.unit, each.observations, key=key)
    if opened.spool.lost_observations > lost:
        raise AwayError(f"the server cannot keep them: {opened.spool.last_error}. Send them again, with the same keys")
    return Accepted(sum(len(each.observations) for each in asked))


def _check(strategy: Strategy, asked: ObservationRequest, at: str) -> None:
    """Refuse an observation that could not be kept.

    Raises:
        DataError: It names no metric of the strategy, is no finite number, or is of the wrong thing.
    """
    if bool(asked.decision_id) == (asked.unit != ""):
        raise DataError(f"{at}decision_id: allowed is either decision_id or unit", place=f"{at}decision_id")
    known = {metric.name: metric.by for metric in strategy.snapshot.blueprint.metrics if not metric.measured}
    by = "decision" if asked.decision_id else "unit"
    for name, value in asked.observations.items():
        place = f"{at}observations.{name}"
        if name not in strategy.snapshot.metrics:
            raise DataError(unknown("metric", name, sorted(known)), place=place)
        if not math.isfinite(value):
            raise DataError(f"{place} is {value}; allowed: finite numbers", place=place)
        if known.get(name, by) != by:
            raise DataError(f"{place}: this metric is of a {known[name]}; name that, and not a {by}", place=place)


def loop() -> Loop:
    """Return the installation, for deciding."""
    source: Source = current_app.extensions["abloop"]
    return source.loop()


def handle(loop: Loop, name: str) -> Strategy:
    """Return the handle of a strategy that can decide.

    Raises:
        UnknownNameError: There is no such strategy.
        AwayError: The database is away, and what the strategy serves is not known here yet.
    """
    found = loop.handles.get(name) or loop.strategy(name)
    if not found.snapshot.version:  # asked for while the database was away
        loop.catalogue.serving(name)
        loop.refresh()
    return found
