"""What is read over HTTP: experiments, readouts, comparisons, who gains, models, why a decision was what it was."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

from abloop.blueprint import Blueprint
from abloop.blueprint.reading import Inference
from abloop.compare import VersionsReadout, check_no_round, compare, read_comparison, stop_comparing
from abloop.errors import DataError
from abloop.evaluate.verdict import Verdict
from abloop.explanation import FeatureExplained, explain
from abloop.models.artefact import unpack
from abloop.readout import readout
from abloop.readout.results import Readout
from abloop.store.serving import Comparison, Serving
from abloop.store.workspace import Workspace
from server.access import principal
from server.api.blueprints import Number, StrategyQuery, refresh, workspace
from server.api.clients import artefact_bytes
from server.api.deciding import Name, Text
from server.api.endpoint import endpoint
from server.audit import audited


class Experiment(msgspec.Struct, frozen=True):
    """What a strategy tries.

    Attributes:
        strategy: Its name.
        version: Blueprint version that is served.
        phase: How.
        since: Since when, in seconds since 1970.
        arms: Arm to its share while randomised.
        metrics: Names of the metrics.
        rows: Complete rows of this version.
        waiting: Decisions whose TTL has not ended.
        compared: Versions that are compared; empty for none.
    """

    strategy: str
    version: int
    phase: str
    since: float
    arms: dict[str, float]
    metrics: list[str]
    rows: int
    waiting: int
    compared: list[int]


class ReadoutQuery(msgspec.Struct, frozen=True):
    """Which readout.

    Attributes:
        strategy: The strategy.
        inference: How lifts are tested; as the blueprint says where left out.
    """

    strategy: Name
    inference: Inference | None = None


class CompareRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which versions are to decide side by side.

    Attributes:
        strategy: The strategy.
        versions: Two or more; the others are compared with the first.
        shares: Share of units of each; equal shares where left out.
        why: Why.
    """

    strategy: Name
    versions: Annotated[list[Number], msgspec.Meta(min_length=2, max_length=100)]
    why: Name
    shares: list[float] | None = None


class StopRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which comparison is to end.

    Attributes:
        strategy: The strategy.
        why: Why.
    """

    strategy: Name
    why: Name


class DecisionQuery(msgspec.Struct, frozen=True):
    """Which decision.

    Attributes:
        decision_id: Its id.
        strategy: Its strategy; needed only where several have a decision of this id.
    """

    decision_id: Name
    strategy: Text = ""


class Trace(msgspec.Struct, frozen=True):
    """A decision, explained.

    Attributes:
        decision: The record, by field.
        features: Every feature with its source and age.
        predictions: What the release predicted, by name.
        formula: The policy's formula; empty where it was not asked.
        filled: The formula with the numbers put in.
        reason: Why this arm, in words.
        repeated: Whether the same comes out when it is computed again from the record.
    """

    decision: dict[str, Any]
    features: list[FeatureExplained]
    predictions: dict[str, float]
    formula: str
    filled: str
    reason: str
    repeated: bool


class Judged(msgspec.Struct, frozen=True):
    """What the gate said.

    Attributes:
        at: When, in seconds since 1970.
        version: Blueprint version.
        verdict: What.
    """

    at: float
    version: int
    verdict: Verdict


class Models(msgspec.Struct, frozen=True):
    """Models and verdicts of a strategy.

    Attributes:
        strategy: Its name.
        serving: What is served now.
        history: What was served, newest first.
        verdicts: What the gate said, newest first.
    """

    strategy: str
    serving: Serving
    history: list[Serving]
    verdicts: list[Judged]


class Card(msgspec.Struct, frozen=True):
    """What a model is, without its numbers.

    Attributes:
        name: SHA-256 of its bytes.
        bytes: How many.
        learner: What fitted it.
        arms: Arm names in the order of the effects.
        columns: The features it reads, in order.
        labels: How many labels it predicts.
        rows: Training rows behind it.
        kind: `effects`, `bandit`, `network` or `labels`.
    """

    name: str
    bytes: int
    learner: str
    arms: tuple[str, ...]
    columns: list[str]
    labels: int
    rows: int
    kind: Literal["effects", "bandit", "network", "labels"]


@endpoint("GET", "/experiments", "read", answer=list[Experiment])
def get_experiments() -> list[Experiment]:
    """List what each strategy tries, with how many rows there are."""
    opened = workspace()
    compared = opened.comparisons.current()
    found = []
    for name, serving in opened.catalogue.servings().items():
        _, blueprint = opened.catalogue.blueprint(name, serving.version)
        versions = [entry.version for entry in compared[name].entries] if name in compared else []
        found.append(_experiment(opened, serving, blueprint, versions))
    return found


def _experiment(opened: Workspace, serving: Serving, blueprint: Blueprint, versions: list[int]) -> Experiment:
    names = [arm.name for arm in blueprint.ordered_arms()]
    files = opened.manifest.files(serving.strategy)
    return Experiment(
        serving.strategy,
        serving.version,
        serving.phase,
        serving.at,
        dict(zip(names, blueprint.weights(), strict=True)),
        [metric.name for metric in blueprint.metrics],
        sum(file.rows for file in files if file.version == serving.version),
        opened.journal.backlog(serving.strategy).waiting,
        versions,
    )


@endpoint("GET", "/readouts", "read", query=ReadoutQuery, answer=Readout, statuses=(404,))
def get_readout(query: ReadoutQuery) -> Readout:
    """Give a strategy's readout: every metric, arm by arm, with intervals, and what to do."""
    opened, reading = workspace(), None
    if query.inference is not None:
        _, blueprint = opened.catalogue.blueprint(query.strategy, opened.catalogue.serving(query.strategy).version)
        reading = msgspec.structs.replace(blueprint.readout, inference=query.inference)
    return readout(opened, query.strategy, reading=reading)


@endpoint("GET", "/comparisons", "read", query=StrategyQuery, answer=VersionsReadout, statuses=(404,))
def get_comparison(query: StrategyQuery) -> VersionsReadout:
    """Give the readout of a strategy's newest comparison of versions."""
    return read_comparison(workspace(), query.strategy)


@endpoint("POST", "/comparisons", "edit", body=CompareRequest, answer=Comparison, statuses=(404, 409))
def post_comparison(body: CompareRequest) -> Comparison:
    """Let versions decide side by side."""
    who = principal().name
    check_no_round(workspace(), body.strategy)
    made = compare(workspace(), body.strategy, body.versions, shares=body.shares, who=who, why=body.why)
    audited("compare versions", body.strategy, body.why, {"versions": body.versions})
    refresh()
    return made


@endpoint("POST", "/comparisons/stop", "edit", body=StopRequest, answer=Comparison, statuses=(404, 409))
def post_comparison_stop(body: StopRequest) -> Comparison:
    """End a comparison: what is served decides for all units again."""
    opened = workspace()
    opened.catalogue.serving(body.strategy)
    if body.strategy not in opened.comparisons.current():
        raise DataError(f"strategy {body.strategy!r} compares nothing", place="strategy")
    check_no_round(opened, body.strategy)
    made = stop_comparing(opened, body.strategy, who=principal().name, why=body.why)
    audited("end comparison", body.strategy, body.why)
    refresh()
    return made


@endpoint("GET", "/explanations", "read", query=DecisionQuery, answer=Trace, statuses=(404,))
def get_explanation(query: DecisionQuery) -> dict[str, Any]:
    """Tell why a decision was what it was, computed again from its record."""
    return explain(workspace(), query.decision_id, query.strategy).to_dict()


@endpoint("GET", "/models", "read", query=StrategyQuery, answer=Models, statuses=(404,))
def get_models(query: StrategyQuery) -> Models:
    """Give what the gate said of a strategy, and what was served since when."""
    catalogue = workspace().catalogue
    judged = [Judged(*each) for each in catalogue.verdicts(query.strategy)]
    serving = catalogue.serving(query.strategy)
    return Models(query.strategy, serving, catalogue.history(query.strategy), judged)


@endpoint("GET", "/models/<artefact>", "read", answer=Card, statuses=(404,))
def get_model(artefact: str) -> Card:
    """Say what a model is; /v1/artefacts has its bytes."""
    body = artefact_bytes(workspace(), artefact)
    found = unpack(artefact, body)
    kind: Any = "bandit" if found.bandit else "effects" if found.effects else "network" if found.network else "labels"
    columns = [column.name for column in found.columns]
    return Card(artefact, len(body), found.learner, found.arms, columns, len(found.labels), found.rows, kind)
