"""A decision as a product may want to know it. Knows no storage."""

from __future__ import annotations

from typing import Any

import msgspec

from abloop.records import Decision


class Details(msgspec.Struct, frozen=True, gc=False):
    """A decision with all that a product may want to know of it.

    Attributes:
        value: What `get_decision` gives.
        arm: Name of the arm; empty where the call could not be answered.
        propensity: Probability with which it was drawn, in [0, 1].
        reason: The phase, as in `abloop.records.Decision`; or `error`.
        decision_id: As given.
        version: Blueprint version that decided.
        release: Model that decided; empty for none.
        error: Why the call could not be answered; empty where it was.
    """

    value: Any
    arm: str = ""
    propensity: float = 0.0
    reason: str = "error"
    decision_id: str = ""
    version: int = 0
    release: str = ""
    error: str = ""


def details_of(made: Decision) -> Details:
    """Return what a product may want to know of a decision."""
    return Details(made.decision, made.arm, made.propensity, made.phase, made.decision_id, made.version, made.release)
