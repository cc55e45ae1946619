"""How a blueprint says who is randomised: traffic, layers, holdouts, targeting, forced arms."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Literal

import msgspec

from abloop.features.spec import Seconds

Hash = Literal["xxh3", "growthbook-1", "growthbook-2", "given"]


class Layer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The part of a layer that a strategy has; strategies with other parts of it never share a unit.

    Attributes:
        name: Names the layer.
        low: Where the strategy's part begins, in [0, 1).
        high: Where it ends, in (0, 1].
    """

    name: str
    low: float = 0.0
    high: float = 1.0


class Holdout(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Units that get control in every strategy that names this holdout: of the whole product, or of a layer.

    Attributes:
        name: Names it; strategies of one name hold out the same units.
        share: Share of units, in (0, 0.5]; alike in all strategies that name it.
    """

    name: str
    share: float


class Step(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One step of a ramp-up.

    Attributes:
        at: From when on, ISO 8601, e.g. `2026-12-01` or `2026-12-01T08:00+02:00`; UTC where no offset is given.
        traffic: Share of units in the experiment from then on, in [0, 1].
    """

    at: str
    traffic: float

    def seconds(self) -> float:
        """Return when it begins, in seconds since 1970.

        Raises:
            ValueError: It is no date.

        Example:
            >>> Step(at="1970-01-02", traffic=0.5).seconds()
            86400.0
        """
        when = datetime.fromisoformat(self.at)
        return (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()


class Experiment(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How units are randomised. Units outside of the experiment get control, and no readout counts them.

    Attributes:
        salt: Names the randomisation; the strategy's name where empty.
        hash: `xxh3`; `growthbook-1` and `growthbook-2` keep the arms that GrowthBook's hash version gave; `given`
            is for arms that another assignment draws and hands over.
        traffic: Share of units in the experiment, in [0, 1]; more traffic moves nobody who is in it.
        ramp: Instead: traffic from certain times on, rising; nobody is in the experiment before the first.
        layer: The part of a layer that is the strategy's own.
        target: Who is in the experiment: a condition over features, e.g. `country in ('FI', 'SE') and visits > 3`.
        holdout: Share of units that always get control and never anything new, in [0, 0.5].
        holdouts: Holdouts shared with other strategies.
        force: Unit to arm, for those who test.
        sticky: Whether a unit keeps the arm that it was given first, whatever weights and traffic become.
        explore: Share of units that stay randomised once the strategy personalises, in [0.01, 1].
        margin: Value, from 0, by which an arm must be predicted to be better than control, net of its cost, before a
            unit gets it; of strategies without a policy of their own.
        calm: Value, from 0, by which another arm must be predicted to be better, net of costs, than the one that the
            policy gave a unit before, so that nobody's arm flickers while features wander; 0 forgets it. Of
            strategies without a policy of their own, and not with `sticky`.
        redraw: Seconds after which a unit's arm is drawn anew; also written `1s`, `24h`. 0 keeps it, as an A/B test
            must; what an arm does in the long run (`learners: [q]`) shows only where one unit meets several.
    """

    salt: str = ""
    hash: Hash = "xxh3"
    traffic: float = 1.0
    ramp: tuple[Step, ...] = ()
    layer: Layer | None = None
    target: str = ""
    holdout: float = 0.0
    holdouts: tuple[Holdout, ...] = ()
    force: dict[str, str] = {}
    sticky: bool = False
    explore: float = 0.1
    margin: float = 0.0
    calm: float = 0.0
    redraw: Seconds = 0.0
