"""What crosses the rooms: frozen records and their one encoding (msgpack arrays). Knows no storage.

A record's tag is its kind and its format version in one: a later format takes a new tag, so that old
spools and tables stay readable.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import msgspec

Phase = Literal[
    "randomise",
    "personalise",
    "explore",
    "ship",
    "limited",
    "default",
    "holdout",
    "forced",
    "paused",
    "untargeted",
    "outside",
]
FeatureType = Literal["numeric", "categorical", "time", "sparse", "embedding"]
ColumnType = Literal["numeric", "categorical", "sparse", "embedding", "standardise", "target"]
FeatureValue = float | str | dict[str, float] | tuple[float, ...] | None


class Decision(msgspec.Struct, frozen=True, array_like=True, tag=1, gc=False):
    """One answer of `get_decision`, with all that was known when it was given.

    Attributes:
        decision_id: Name given by the product; ties observations to this decision.
        strategy: The decision point.
        version: Blueprint version that decided, from 1.
        unit: What was randomised, as text.
        time: Seconds since 1970, UTC.
        features: Values of the features that were read or fetched, in the order of the blueprint; None where missing.
        predictions: What the release predicted, in the order of its outputs: the effect of each arm against
            control, in value, then the labels; empty without a model.
        arm: Name of the arm that was drawn.
        propensity: Probability with which this arm was drawn, in (0, 1].
        phase: Why: `randomise`, `personalise`, `explore`, `ship` (one arm for everybody), `limited` (drawn among some
            of the arms), `default` (nothing to decide with yet), `forced` (asked for by name); or control because of
            `holdout`, `paused`, `untargeted` (its features are not those of the target) or `outside` (of the traffic
            or the part of the layer).
        decision: What the product was given.
        release: Hash of the model that served; empty without a model.
        latency: Nanoseconds spent deciding.
        entities: Id of the entity of each feature group, as text; empty where the context had none.
        ages: Seconds since the values of each feature group were fetched; None where they are missing.
        share: Share by which the arm was drawn elsewhere or before; None where the unit's hash tells it.
    """

    decision_id: str
    strategy: str
    version: int
    unit: str
    time: float
    features: tuple[FeatureValue, ...]
    predictions: tuple[float, ...]
    arm: str
    propensity: float
    phase: Phase
    decision: Any
    release: str = ""
    latency: int = 0
    entities: tuple[str, ...] = ()
    ages: tuple[float | None, ...] = ()
    share: float | None = None


class Observation(msgspec.Struct, frozen=True, array_like=True, tag=2, gc=False):
    """One thing that happened after a decision.

    Attributes:
        decision_id: The decision it belongs to.
        strategy: The decision point.
        time: Seconds since 1970, UTC.
        name: The metric.
        value: Its value.
        key: Idempotency key: two observations with one key count once; empty for none.
        unit: Where it is of a unit and of no decision: the unit; empty otherwise.
    """

    decision_id: str
    strategy: str
    time: float
    name: str
    value: float
    key: str = ""
    unit: str = ""


class Loss(msgspec.Struct, frozen=True, array_like=True, tag=3, gc=False):
    """What a process could not write, written once it could again.

    Attributes:
        time: Seconds since 1970, UTC, when it was noted.
        decisions: Decisions that were made and not kept.
        observations: Observations that were not kept.
        reason: Why the last one was not.
    """

    time: float
    decisions: int
    observations: int
    reason: str


class Column(msgspec.Struct, frozen=True, array_like=True):
    """How one feature is encoded.

    Attributes:
        name: The feature.
        type: Its type.
        levels: Known categories or sparse keys, most frequent first, at most 255; empty for others.
        numbers: What was learned of it: mean and deviation of a standardised feature; mean outcome of each level
            and of all rows, of a target-encoded one.
        width: Number of model inputs it becomes.
    """

    name: str
    type: ColumnType
    levels: tuple[str, ...] = ()
    numbers: tuple[float, ...] = ()
    width: int = 1


Record = Decision | Observation | Loss

encode = msgspec.msgpack.Encoder().encode
_decoder = msgspec.msgpack.Decoder(Decision | Observation | Loss)
_many = msgspec.msgpack.Decoder(list[Decision | Observation | Loss])


def decode(payload: bytes | memoryview) -> Record:
    """Return the record that `encode` made.

    Args:
        payload: One record.

    Raises:
        msgspec.DecodeError: The bytes are not one whole record.

    Example:
        >>> decode(encode(Observation("d1", "checkout", 0.0, "clicked", 1.0))).name
        'clicked'
    """
    record: Record = _decoder.decode(payload)
    return record


def decode_many(payloads: Sequence[bytes]) -> list[Record]:
    """Return what `decode` gives for each of many payloads, in one call.

    Args:
        payloads: Records, n of them.

    Returns:
        n records.

    Raises:
        msgspec.DecodeError: One of them is not one whole record.

    Example:
        >>> len(decode_many([encode(Observation("d1", "checkout", 0.0, "clicked", 1.0))] * 3))
        3
    """
    found: list[Record] = _many.decode(b"\xdd" + len(payloads).to_bytes(4) + b"".join(payloads))
    return found
