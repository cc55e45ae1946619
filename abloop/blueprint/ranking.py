"""What a blueprint says of the order of a list, besides the score."""

from __future__ import annotations

import msgspec


class Ranking(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a list is ordered.

    Attributes:
        slots: Positions, from 0 and rising, that may show a candidate from below them.
        explore: Probability with which each of them does, in [0, 0.5]; logged with each candidate, as `chance`.
        diverse: Categorical feature of which no value fills the first places.
        most: So many of one of its values at most, in [1, 1000000] ...
        within: ... among so many first places, in [1, 1000000].
        challenger: Another formula, whose order takes turns with that of the policy within each list; who put a
            candidate where it is is logged with it, as `team`, and `abloop interleave` says whose get more.
        shown: Metric that tells at which position, from 0, a candidate was really shown; labels with `position` are
            trained by it where it was logged, and by the position decided elsewhere.
    """

    slots: tuple[int, ...] = ()
    explore: float = 0.1
    diverse: str = ""
    most: int = 2
    within: int = 10
    challenger: str = ""
    shown: str = ""
