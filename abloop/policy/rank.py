"""Orders of lists: by score, spread over categories, with slots for what is seldom shown, two rankers in turns.

Pure: draws are given as numbers in [0, 1). Knows no blueprint and no record.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence

Draws = Sequence[float]


def by_score(scores: Sequence[object]) -> list[int]:
    """Return the order by score, greatest first; equals, and those without a score at the end, as they were given.

    Example:
        >>> by_score([1.0, None, 3.0, 1.0])
        [2, 0, 3, 1]
    """
    if all(type(score) is float for score in scores):
        return sorted(range(len(scores)), key=[-score for score in scores].__getitem__)  # type: ignore[operator]
    keys = [(False, -score) if isinstance(score, float) else (True, 0.0) for score in scores]
    return sorted(range(len(scores)), key=keys.__getitem__)


def spread(order: Sequence[int], kinds: Sequence[Hashable], most: int, within: int) -> list[int]:
    """Return an order with at most so many of one kind among the first; what does not fit comes after them.

    Where too few kinds are there to fill the first places, they are filled in the given order.

    Args:
        order: Indices, best first, length n.
        kinds: Kind of each index, length n; None is no kind and always fits.
        most: Of one kind, from 1.
        within: First places, from 1.

    Example:
        >>> spread([0, 1, 2, 3], ["a", "a", "b", "b"], most=1, within=2)
        [0, 2, 1, 3]
    """
    counts: dict[Hashable, int] = {}
    first: list[int] = []
    for index in order:
        kind = kinds[index]
        if len(first) < within and (kind is None or counts.get(kind, 0) < most):
            counts[kind] = counts.get(kind, 0) + 1
            first.append(index)
    taken = set(first)
    return first + [index for index in order if index not in taken]


def explore_slots(
    order: Sequence[int], slots: Sequence[int], share: float, draws: Sequence[tuple[float, float]]
) -> tuple[list[int], list[float]]:
    """Return an order in which some slots may show a candidate from below them, and each one's exact probability.

    Candidates below the last slot are dealt out to the slots in turn. A slot shows, with the share, one of its own,
    each alike, which changes places with whom the order has there.

    Args:
        order: Indices, best first, length n.
        slots: Positions, from 0, rising; those beyond the list are left out.
        share: Probability with which a slot explores, in [0, 1).
        draws: Of each slot: whether it explores, and whom it shows, two numbers in [0, 1).

    Returns:
        The order; and for each position, the probability with which its candidate came to be there.

    Example:
        >>> explore_slots([0, 1, 2, 3], [1], 0.2, [(0.1, 0.9)])
        ([0, 3, 2, 1], [1.0, 0.1, 0.9, 0.1])
    """
    found, chances = list(order), [1.0] * len(order)
    start = max((slot for slot in slots if slot < len(order)), default=-1) + 1
    for number, slot in enumerate(slots):
        pool = range(start + number, len(order), len(slots))
        if slot >= len(order) or not len(pool):
            continue
        each = share / len(pool)
        chances[slot] = 1.0 - share
        for place in pool:
            chances[place] = 1.0 - each
        explores, whom = draws[number]
        if explores < share:
            place = pool[min(int(whom * len(pool)), len(pool) - 1)]
            found[slot], found[place] = found[place], found[slot]
            chances[slot] = chances[place] = each
    return found, chances


def team_draft(first: Sequence[int], second: Sequence[int], draws: Draws) -> tuple[list[int], list[int]]:
    """Return two orders of the same candidates as one, each place filled by a ranker in turn, and whose it was.

    Round by round a coin says who picks first; each picks its best that is left. Source: Radlinski, Kurup, Joachims,
    CIKM 2008.

    Args:
        first: Indices, best first, length n.
        second: The same indices, length n.
        draws: A number in [0, 1) for each round, length n / 2 or more.

    Returns:
        The order; and for each position the ranker, 0 or 1, that put its candidate there.

    Example:
        >>> team_draft([0, 1, 2], [2, 1, 0], [0.0, 0.0])
        ([0, 2, 1], [0, 1, 0])
    """
    order: list[int] = []
    teams: list[int] = []
    taken: set[int] = set()
    rankers, at = (first, second), [0, 0]
    for turn in range((len(first) + 1) // 2):
        leader = int(draws[turn] >= 0.5)
        for team in (leader, 1 - leader):
            if len(order) == len(first):
                break
            while rankers[team][at[team]] in taken:
                at[team] += 1
            order.append(rankers[team][at[team]])
            taken.add(order[-1])
            teams.append(team)
    return order, teams
