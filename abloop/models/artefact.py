"""A release's model as bytes: canonical JSON named by its SHA-256, verified before it is read. No pickle.

Knows no storage and no learner.
"""

from __future__ import annotations

import hashlib
from typing import Literal

import msgspec

from abloop.errors import ArtefactError
from abloop.models.effects import EffectSpec
from abloop.models.labels import LabelSpec
from abloop.models.network import NetworkSpec
from abloop.models.posterior import BanditSpec
from abloop.records import Column

MOST_BYTES = 50_000_000


class Artefact(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All that a product process needs to predict.

    Attributes:
        format: Version of this format.
        learner: What fitted it: `s`, `t`, `x` or `constant`.
        arms: Arm names in the order of the effects.
        columns: How the features are encoded.
        effects: The effect model; None where the decision space has no arms.
        rows: Training rows behind it.
        labels: The label models, in the order of the blueprint.
        sd: Standard error of each arm's mean, in value, shape (k,).
        network: The network that labels share; None where none does.
        bandit: Effects with their uncertainty, in place of `effects`; None elsewhere.
    """

    format: Literal[1]
    learner: str
    arms: tuple[str, ...]
    columns: tuple[Column, ...]
    effects: EffectSpec | None
    rows: int
    labels: tuple[LabelSpec, ...] = ()
    sd: tuple[float, ...] = ()
    network: NetworkSpec | None = None
    bandit: BanditSpec | None = None

    @property
    def outputs(self) -> int:
        """Number of predictions of one decision: effects of the arms, of a bandit how sure they are, then labels."""
        arms = 2 * len(self.arms) if self.bandit is not None else len(self.effects.base) if self.effects else 0
        return arms + sum(label.width for label in self.labels)


_decoder = msgspec.json.Decoder(Artefact)


def pack(artefact: Artefact) -> tuple[str, bytes]:
    """Return an artefact's name (SHA-256 in hexadecimal) and bytes."""
    payload = msgspec.json.encode(artefact, order="deterministic")
    return hashlib.sha256(payload).hexdigest(), payload


def unpack(name: str, payload: bytes) -> Artefact:
    """Return the artefact, after its bytes were found to be what the name says.

    Args:
        name: SHA-256 in hexadecimal.
        payload: The bytes, at most 50 MB.

    Raises:
        ArtefactError: The bytes were cut, altered or never an artefact.
    """
    if len(payload) > MOST_BYTES:
        raise ArtefactError(
            f"artefact {name[:12]} has {len(payload):,} bytes; allowed: {MOST_BYTES:,}. Train a smaller model"
        )
    if hashlib.sha256(payload).hexdigest() != name:
        raise ArtefactError(
            f"artefact {name[:12]} does not match its hash: it was cut short or altered. "
            "The previous release goes on serving; train again"
        )
    try:
        artefact = _decoder.decode(payload)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise ArtefactError(f"artefact {name[:12]} is not an artefact of format 1: {error}") from error
    inputs, arms, effects = sum(column.width for column in artefact.columns), len(artefact.arms), artefact.effects
    fits = not effects or (effects.columns == inputs and len(effects.base) == arms)
    fits &= all(label.columns == inputs and label.arms in (0, arms) for label in artefact.labels)
    fits &= artefact.network is None or len(artefact.network.levels) == inputs
    if not fits or len(artefact.sd) not in (0, arms):
        raise ArtefactError(f"artefact {name[:12]} disagrees with itself on the number of arms or features")
    return artefact
