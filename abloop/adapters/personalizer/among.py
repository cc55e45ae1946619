"""A decision limited to some of a strategy's arms, with the probability of each. Knows no request."""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec

from abloop.assign.experiment import Assignment
from abloop.errors import DataError, listed
from abloop.records import Decision
from abloop.snapshot import Snapshot


def among(snapshot: Snapshot, decision: Decision, eligible: Sequence[str]) -> tuple[Decision, list[float]]:
    """Return a decision limited to some of the arms, and the probability of each arm of the snapshot.

    The unit keeps the arm that it has anyway where that is eligible; otherwise it draws again among those that are.
    Its phase is `limited`: it is learned from with its propensity, but is no part of the randomised
    comparison of all arms, whose shares it does not have.

    Args:
        snapshot: What decided.
        decision: Its decision among all arms.
        eligible: Names of the arms that may be given, one or more.

    Returns:
        The decision, and probabilities of shape (k,) that sum to one.

    Raises:
        DataError: The snapshot has not all of these arms.

    Example:
        >>> import abloop, tempfile
        >>> from abloop.decision import decide
        >>> loop = abloop.connect(f"sqlite:///{tempfile.mkdtemp()}/demo.db")
        >>> arms = tuple(abloop.Arm(name=name) for name in ("a", "b", "c"))
        >>> _ = loop.register(abloop.Blueprint(strategy="s", arms=arms, metrics=(abloop.Metric(name="click"),)))
        >>> snapshot = loop.strategy("s").snapshot
        >>> made, chances = among(snapshot, decide(snapshot, "d1", {"user_id": "u1"}, 0.0, 0), ["a", "c"])
        >>> made.arm in ("a", "c"), made.propensity, chances
        (True, 0.5, [0.5, 0.0, 0.5])
        >>> loop.close()
    """
    if not set(eligible) <= set(snapshot.names):
        raise DataError(f"strategy {snapshot.strategy!r} has arms {listed(snapshot.names)}, not {listed(eligible)}")
    places, own = [snapshot.names.index(name) for name in eligible], snapshot.names.index(decision.arm)
    if decision.phase not in ("randomise", "explore", "personalise", "ship"):
        arm = own if own in places else places[0]
        made = msgspec.structs.replace(decision, arm=snapshot.names[arm], decision=snapshot.values[arm])
        return made, [float(place == arm) for place in range(len(snapshot.names))]
    shares = _limited(snapshot.weights, places)
    policy = shares if decision.phase == "randomise" else _policy(snapshot, decision, places)
    explore = 1.0 if decision.phase == "randomise" else snapshot.explore
    chances = [explore * share + (1.0 - explore) * said for share, said in zip(shares, policy, strict=True)]
    if len(places) == len(snapshot.names):
        return decision, chances
    arm = own
    if own not in places:
        law = shares if decision.phase in ("randomise", "explore") else policy
        arm = Assignment(f"{snapshot.blueprint.salt()}:offered", law).arm(decision.unit)
    name, value = snapshot.names[arm], snapshot.values[arm]
    made = msgspec.structs.replace(decision, arm=name, decision=value, propensity=chances[arm], phase="limited")
    return made, chances


def _policy(snapshot: Snapshot, decision: Decision, places: Sequence[int]) -> list[float]:
    """Return the probability with which the policy alone gives each arm, limited to some places."""
    said = snapshot.choose(snapshot.all_features(decision.features), decision.predictions)
    if type(said) is tuple and any(said[place] for place in places):
        return _limited(said, places)
    chosen = said if type(said) is int else 0
    if chosen not in places:
        chosen = max(places, key=lambda place: net_effect(snapshot, decision, place))  # the first of equals
    return [float(place == chosen) for place in range(len(snapshot.names))]


def _limited(shares: Sequence[float], places: Sequence[int]) -> list[float]:
    """Return shares with all but some places at zero, summing to one."""
    total = math.fsum(shares[place] for place in places)
    return [share / total if place in places else 0.0 for place, share in enumerate(shares)]


def net_effect(snapshot: Snapshot, decision: Decision, place: int) -> float:
    """Return the predicted effect of an arm net of its cost; zero where nothing was predicted."""
    known = snapshot.effects is not None and decision.predictions
    return decision.predictions[place] - snapshot.costs[place] if known else 0.0
