"""Which part of the hash space is whose arm, and how it changes with the fewest units moved.

An allocation covers [0, 2**64) by intervals, each with the name of its arm. A later version of an experiment takes
over the allocation of the one before: arms whose weight falls give up only what they must, arms whose weight rises
are given only that, and everybody else stays.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

from abloop.assign.hashing import SIZE, threshold

Allocation = tuple[tuple[int, str], ...]


def allocate(names: Sequence[str], weights: Sequence[float]) -> Allocation:
    """Return the allocation of a new experiment: one interval for each arm, in order.

    Args:
        names: Arms, k of them.
        weights: Their shares, shape (k,), sum to one.

    Returns:
        End of each interval and its arm; the last end is 2**64.

    Example:
        >>> [(end / SIZE, name) for end, name in allocate(["a", "b"], [0.25, 0.75])]
        [(0.25, 'a'), (1.0, 'b')]
    """
    ends = [threshold(share) for share in accumulate(weights)][:-1]
    return tuple(zip([*ends, SIZE], names, strict=True))


def reallocate(before: Allocation, names: Sequence[str], weights: Sequence[float]) -> Allocation:
    """Return the allocation with these weights that moves the fewest units: half the sum of all changes of share.

    Args:
        before: The allocation that units have now.
        names: Arms from now on, k of them.
        weights: Their shares, shape (k,), sum to one.

    Example:
        >>> old = allocate(["a", "b"], [0.5, 0.5])
        >>> [(round(end / SIZE, 2), name) for end, name in reallocate(old, ["a", "b", "c"], [0.4, 0.4, 0.2])]
        [(0.4, 'a'), (0.5, 'c'), (0.9, 'b'), (1.0, 'c')]
    """
    ends = [end for end, _ in allocate(names, weights)]
    wanted = {name: end - start for name, start, end in zip(names, [0, *ends], ends, strict=False)}
    kept: list[tuple[int, str]] = []
    start = 0
    for end, name in before:
        stays = min(end - start, wanted.get(name, 0))
        wanted[name] = wanted.get(name, 0) - stays
        kept += [(stays, name), (end - start - stays, "")]
        start = end
    open_arms = [(name, wanted[name]) for name in names if wanted[name]]
    filled: list[tuple[int, str]] = []
    for length, name in kept:
        if name:
            filled.append((length, name))
            continue
        while length:
            taker, room = open_arms[0]
            part = min(length, room)
            filled.append((part, taker))
            length -= part
            open_arms[0] = taker, room - part
            if part == room:
                del open_arms[0]
    return _joined(filled)


def _joined(pieces: Sequence[tuple[int, str]]) -> Allocation:
    """Return pieces of some length as intervals; neighbours of one arm become one."""
    found: list[tuple[int, str]] = []
    end = 0
    for length, name in pieces:
        end += length
        if found and found[-1][1] == name:
            found[-1] = end, name
        elif length:
            found.append((end, name))
    return tuple(found)
