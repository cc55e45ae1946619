"""Artefacts: named by their bytes, read only when the bytes are what the name says."""

from __future__ import annotations

import hashlib
import pickle

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from abloop.errors import ArtefactError
from abloop.models import artefact as module
from abloop.models.artefact import Artefact, pack, unpack
from abloop.models.effects import EffectSpec, Term
from abloop.models.trees import Tree
from abloop.records import Column

ARTEFACT = Artefact(
    format=1,
    learner="t",
    arms=("control", "green"),
    columns=(Column("age", "numeric"), Column("channel", "categorical", ("web", "é"))),
    effects=EffectSpec(
        base=(0.0, 0.0),
        columns=2,
        terms=(Term(0, (0.0, 1.0)),),
        ensembles=((Tree((0,), (0.1,), (-1,), (-2,), (2,), (0.1 + 0.2, -1e-300)),),),
    ),
    rows=1_000,
)
NAME, BYTES = pack(ARTEFACT)


def named(payload: bytes) -> tuple[str, bytes]:
    """Return bytes with the name that is theirs, whatever they are."""
    return hashlib.sha256(payload).hexdigest(), payload


def test_what_was_packed_is_unpacked() -> None:
    """unpack(pack(a)) == a, and equal artefacts have one name."""
    assert unpack(NAME, BYTES) == ARTEFACT
    assert pack(unpack(NAME, BYTES)) == (NAME, BYTES)
    assert hashlib.sha256(BYTES).hexdigest() == NAME


@pytest.mark.parametrize("bit", [0, 7])
def test_any_flipped_byte_is_refused(bit: int) -> None:
    """No byte of an artefact can change unnoticed."""
    for spot in range(len(BYTES)):
        altered = bytearray(BYTES)
        altered[spot] ^= 1 << bit
        with pytest.raises(ArtefactError, match="does not match its hash"):
            unpack(NAME, bytes(altered))


@pytest.mark.parametrize("payload", [b"", BYTES[:-1], BYTES + b" "], ids=["empty", "cut", "longer"])
def test_cut_and_extended_bytes_are_refused(payload: bytes) -> None:
    """An artefact is whole or it is not read; the refusal says what goes on serving and what to do."""
    with pytest.raises(ArtefactError) as refused:
        unpack(NAME, payload)
    assert [word for word in (NAME[:12], "previous release", "train again") if word not in str(refused.value)] == []


WRONG = {
    "empty": b"",
    "no-json": b"\xff\x00",
    "list": b"[]",
    "deep": b"[" * 100_000,
    "later-format": BYTES.replace(b'"format":1', b'"format":2'),
    "unknown-field": BYTES.replace(b'"format":1', b'"format":1,"more":1'),
    "field-missing": BYTES.replace(b'"rows":1000', b'"row":1000'),
    "text-for-number": BYTES.replace(b'"rows":1000', b'"rows":"1000"'),
    "not-a-number": BYTES.replace(b'"rows":1000', b'"rows":NaN'),
    "pickle": pickle.dumps(object()),
}


@pytest.mark.parametrize("payload", WRONG.values(), ids=WRONG)
def test_bytes_that_are_no_artefact_are_refused(payload: bytes) -> None:
    """The right hash alone is not enough: the bytes must be an artefact of a known format."""
    with pytest.raises(ArtefactError, match="not an artefact of format 1"):
        unpack(*named(payload))


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=80) | st.recursive(st.none() | st.integers(), st.lists).map(msgspec.json.encode))
def test_random_bytes_are_refused(payload: bytes) -> None:
    """Whatever the bytes, the only exception is ArtefactError."""
    with pytest.raises(ArtefactError):
        unpack(*named(payload))


@pytest.mark.parametrize(
    "change",
    [{"arms": ("a", "b", "c")}, {"columns": ARTEFACT.columns[:1]}, {"columns": ()}],
    ids=["arms", "features", "no-features"],
)
def test_an_artefact_agrees_with_itself(change: dict[str, object]) -> None:
    """Arms, features and effects are of one number."""
    with pytest.raises(ArtefactError, match="disagrees with itself"):
        unpack(*pack(msgspec.structs.replace(ARTEFACT, **change)))


def test_too_large_is_refused_unread(monkeypatch: pytest.MonkeyPatch) -> None:
    """An artefact over the limit is refused before it is hashed, with the limit."""
    monkeypatch.setattr(module, "MOST_BYTES", 100)
    with pytest.raises(ArtefactError, match=r"allowed: 100\. Train a smaller model"):
        unpack(NAME, BYTES)
