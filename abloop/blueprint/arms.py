"""How the arms of one version follow those of the version before, so that a unit keeps its arm where it can."""

from __future__ import annotations

from abloop.assign.allocation import Allocation, allocate, reallocate
from abloop.blueprint.spec import Blueprint


def successor(before: Blueprint, allocation: Allocation | None, after: Blueprint) -> Allocation | None:
    """Return which part of the hash space is whose arm in a new version; None where its weights alone say it.

    Args:
        before: The version served until now.
        allocation: Its allocation; None where its weights alone say it.
        after: The new version.

    Example:
        >>> from abloop.blueprint import from_mapping
        >>> raw = {"strategy": "s", "metrics": [{"name": "m"}], "arms": [{"name": name} for name in "abc"]}
        >>> old = from_mapping(raw)
        >>> new = from_mapping({**raw, "arms": [{"name": "b"}, {"name": "c"}]})
        >>> [(round(end / 2**64, 2), name) for end, name in successor(old, None, new)]
        [(0.17, 'b'), (0.33, 'c'), (0.67, 'b'), (1.0, 'c')]
    """
    alike = (before.salt(), before.experiment.hash) == (after.salt(), after.experiment.hash)
    if not (before.is_choice and after.is_choice and alike) or after.experiment.hash.startswith("growthbook"):
        return None
    names = [arm.name for arm in after.ordered_arms()]
    plain = allocate(names, after.weights())
    old = allocation or allocate([arm.name for arm in before.ordered_arms()], before.weights())
    found = reallocate(old, names, after.weights())
    return None if found == plain else found
