"""Artefacts with altered bytes: refused, or the same numbers; the process never dies (100,000 with ABLOOP_LONG=1)."""

from __future__ import annotations

import hashlib
import os
import warnings

import numpy as np
import pytest

from abloop.errors import ArtefactError
from abloop.features.encode import Encoder
from abloop.learners.bandit import fit_bandit_linear, fit_bandit_trees
from abloop.learners.base import Sample
from abloop.models.artefact import Artefact, pack, unpack
from abloop.models.effects import EffectModel, EffectSpec, Term
from abloop.models.gbdt import fit_gbdt, flatten
from abloop.models.labels import LabelSet, LabelSpec
from abloop.models.network_fit import Head, fit_network
from abloop.models.posterior import BanditModel
from abloop.records import Column

CHANGES = 100_000 if os.environ.get("ABLOOP_LONG") else 6_000
RNG = np.random.default_rng(0)
X = np.column_stack([RNG.normal(size=200), RNG.integers(0, 3, 200)])
Y = X[:, 0] + RNG.normal(0, 0.1, 200)
ARM = RNG.integers(0, 2, 200)
COLUMNS = (Column("x", "numeric"), Column("c", "categorical", ("a", "b", "d")))
ROWS = [(0.3, "a"), (None, "b"), (-1.0, None), (5.0, "unseen")]


def artefacts() -> dict[str, Artefact]:
    """Return one small artefact of each kind."""
    options = {"num_leaves": 4}
    trees = tuple(flatten(fit_gbdt(X, Y, options=options))[:4])
    heads = [Head("regression", Y), Head("multiclass", ARM.astype(float), 2)]
    net = fit_network(X, (0, 3), heads, ARM, 0, "small", ((1, 1),))
    labels = (
        LabelSpec("y", "identity", (), 2, head=0),
        LabelSpec("k", "softmax", (), 2, classes=2, head=1),
        LabelSpec("t", "logistic", trees, 2),
    )
    sample = Sample(X, ARM, Y, np.full(2, 0.5), (0, 3))
    effects = EffectSpec((0.0, 0.1), 2, (Term(0, (0.0, 1.0)),), (trees,))
    plain = Artefact(1, "t", ("a", "b"), COLUMNS, effects, 200, labels, network=net)
    linear, resampled = fit_bandit_linear(sample), fit_bandit_trees(sample)
    small = tuple(tuple(each[:1] for each in arm[:2]) for arm in resampled.trees.samples)  # type: ignore[union-attr]
    import msgspec

    small_trees = msgspec.structs.replace(resampled.trees, samples=small)
    bandits = [msgspec.structs.replace(linear), msgspec.structs.replace(resampled, trees=small_trees)]
    found = [Artefact(1, "b", ("a", "b"), COLUMNS, None, 200, bandit=bandit) for bandit in bandits]
    return {"effects": plain, "bandit_linear": found[0], "bandit_trees": found[1]}


MADE = artefacts()


def predictions(artefact: Artefact) -> list[list[float]]:
    """Return what an artefact predicts for some rows, read as a product process reads it."""
    encoder, found = Encoder(artefact.columns), []
    readers: list[object] = []
    if artefact.effects is not None:
        readers.append(EffectModel(artefact.effects))
    if artefact.bandit is not None:
        readers.append(BanditModel(artefact.bandit, len(artefact.arms), encoder.width))
    if artefact.labels:
        readers.append(LabelSet(artefact.labels, artefact.network))
    for values in ROWS:
        inputs = encoder.row(values)
        found.append([number for reader in readers for number in reader.row(inputs)])  # type: ignore[attr-defined]
    return found


def altered(payload: bytes, rng: np.random.Generator) -> bytes:
    """Return bytes with some changed, cut out, doubled, or swapped for a digit."""
    data = bytearray(payload)
    for _ in range(int(rng.integers(1, 4))):
        data = data or bytearray(b"{}")
        spot, kind = int(rng.integers(len(data))), int(rng.integers(5))
        if kind == 0:
            data[spot] ^= 1 << int(rng.integers(8))
        elif kind == 1:
            del data[spot : spot + int(rng.integers(1, 20))]
        elif kind == 2:
            data[spot:spot] = data[spot : spot + int(rng.integers(1, 20))]
        elif kind == 3:
            data[spot] = b"0123456789-.eE,[]"[int(rng.integers(17))]
        else:
            data = data[: max(1, spot)] if rng.random() < 0.05 else data
    return bytes(data) or b"{}"


@pytest.mark.parametrize("kind", MADE)
def test_altered_bytes_are_refused_by_their_hash(kind: str) -> None:
    """Whatever is changed, nothing is read that is not what its name says."""
    name, payload = pack(MADE[kind])
    rng = np.random.default_rng(1)
    for _ in range(CHANGES):
        other = altered(payload, rng)
        if other == payload:
            continue
        with pytest.raises(ArtefactError, match="does not match its hash"):
            unpack(name, other)


@pytest.mark.parametrize("kind", MADE)
def test_altered_bytes_with_a_hash_of_their_own_do_no_harm(kind: str) -> None:
    """Even where the name is that of the altered bytes, they are refused, or predict; nothing else is ever raised."""
    _, payload = pack(MADE[kind])
    expected, rng, read = predictions(MADE[kind]), np.random.default_rng(2), 0
    assert predictions(unpack(*pack(MADE[kind]))) == expected
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # numbers that grow beyond their range
        for _ in range(CHANGES // 4):
            other = altered(payload, rng)
            try:
                artefact = unpack(hashlib.sha256(other).hexdigest(), other)
                found = predictions(artefact)
            except ArtefactError:
                continue
            if artefact.outputs != MADE[kind].outputs:  # whole, but of another blueprint: no snapshot takes it
                continue
            read += 1
            assert [len(row) for row in found] == [len(row) for row in expected]
    assert read > 0
