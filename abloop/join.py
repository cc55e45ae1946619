"""Decisions and their observations to labels, column by column. A pure function of its input; knows no storage.

A row is complete when its TTL has ended, for every decision alike: were fast outcomes let in early, they
would be over-represented in what the models learn from.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from xxhash import xxh3_64_digest

from abloop.records import Decision

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Label(NamedTuple):
    """How the observations of one metric become one value.

    Attributes:
        name: The metric.
        combine: `last`, `sum` or `max`.
        default: Value where nothing was observed; None keeps it missing.
        measured: `latency`, `cost` or `decision`, where it is no observation but told by the decision itself.
        costs: Cost of each arm, by name.
    """

    name: str
    combine: str = "last"
    default: float | None = 0.0
    measured: str = ""
    costs: Mapping[str, float] = MappingProxyType({})


class Seen(NamedTuple):
    """Observations, column by column, each of length m.

    Attributes:
        decision_ids: Their decisions.
        names: Their metrics.
        keys: Their idempotency keys.
        times: When they happened, in seconds since 1970.
        values: Their values.
    """

    decision_ids: Sequence[str] = ()
    names: Sequence[str] = ()
    keys: Sequence[str] = ()
    times: Sequence[float] = ()
    values: Sequence[float] = ()


class Column(NamedTuple):
    """One label of n decisions.

    Attributes:
        values: Shape (n,); not a number where it is missing.
        counts: Number of observations behind it, shape (n,); 0 where it is the default.
        times: Time of the last, shape (n,); not a number where there is none.
    """

    values: NDArray[np.float64]
    counts: NDArray[np.int32]
    times: NDArray[np.float64]


class Joined(NamedTuple):
    """The labels of n decisions.

    Attributes:
        labels: Metric to its column.
        hashes: A hash of each observation that made the labels, decision by decision and rising, length u.
        ends: Where each decision's hashes end, shape (n,).
        left: Places of the observations that are in none of them.
    """

    labels: dict[str, Column]
    hashes: NDArray[np.uint64]
    ends: NDArray[np.int64]
    left: NDArray[np.intp]


def observation_hash(name: str, key: str) -> bytes:
    """Return what a row keeps of an observation, so that it never counts there again: 8 bytes.

    Args:
        name: The metric.
        key: The observation's idempotency key.

    Example:
        >>> observation_hash("bought", "k1") == observation_hash("bought", "k2")
        False
    """
    return xxh3_64_digest(f"{name}/{key}".encode())


def join(decisions: Sequence[Decision], seen: Seen, labels: Sequence[Label], ttl: float) -> Joined:
    """Return the labels of decisions whose TTL has ended.

    Args:
        decisions: Decisions whose TTL has ended, length n.
        seen: Observations, in any order, each once; those of other decisions, of metrics without a label and from
            after the TTL are left over.
        labels: The labels of the blueprint.
        ttl: Seconds after a decision in which observations count.

    Returns:
        Labels in the order of the decisions, the same for any order of the observations.

    Example:
        >>> d = Decision("d1", "s", 1, "u", 0.0, (), (), "a", 0.5, "randomise", "a")
        >>> seen = Seen(["d1"], ["bought"], ["k1"], [5.0], [2.0])
        >>> float(join([d], seen, [Label("bought")], ttl=10.0).labels["bought"].values[0])
        2.0
    """
    import numpy as np

    rank = {label.name: place for place, label in enumerate(labels) if not label.measured}
    row_of = {decision.decision_id: row for row, decision in enumerate(decisions)}
    which = np.array([rank.get(name, -1) for name in seen.names], dtype=np.int64)
    rows = np.array([row_of.get(name, -1) for name in seen.decision_ids], dtype=np.int64)
    times, values = np.array(seen.times, dtype=np.float64), np.array(seen.values, dtype=np.float64)
    until = np.array([decision.time for decision in decisions], dtype=np.float64) + ttl
    known = (rows >= 0) & (which >= 0)
    known[known] = times[known] <= until[rows[known]]
    used = np.flatnonzero(known)
    columns = {
        label.name: measure(label, decisions)
        if label.measured
        else combine(label, used[which[used] == rank[label.name]], rows, times, values, seen.keys, len(until))
        for label in labels
    }
    digests = b"".join([observation_hash(seen.names[place], seen.keys[place]) for place in used.tolist()])
    hashes = np.frombuffer(digests, dtype=">u8").astype(np.uint64)
    hashes = hashes[np.lexsort((hashes, rows[used]))]
    ends = np.cumsum(np.bincount(rows[used], minlength=len(until)))
    return Joined(columns, hashes, ends, np.flatnonzero(~known))


def measure(label: Label, decisions: Sequence[Decision]) -> Column:
    """Return a label that decisions themselves tell.

    Args:
        label: The label.
        decisions: Decisions, length n.

    Example:
        >>> d = Decision("d1", "s", 1, "u", 0.0, (), (), "a", 0.5, "randomise", "a", latency=12_500)
        >>> float(measure(Label("time", measured="latency"), [d]).values[0])
        12.5
    """
    import numpy as np

    told: list[float]
    if label.measured == "latency":
        told = [decision.latency / 1_000 for decision in decisions]
    elif label.measured == "cost":
        told = [label.costs.get(decision.arm, 0.0) for decision in decisions]
    else:
        given = [decision.decision for decision in decisions]
        told = [float(value) if isinstance(value, int | float) else np.nan for value in given]
    values, times = (np.array(each, dtype=np.float64) for each in (told, [decision.time for decision in decisions]))
    known = ~np.isnan(values)
    return Column(values, known.astype(np.int32), np.where(known, times, np.nan))


def combine(
    label: Label,
    used: NDArray[np.intp],
    rows: NDArray[np.int64],
    times: NDArray[np.float64],
    values: NDArray[np.float64],
    keys: Sequence[str],
    n: int,
) -> Column:
    """Return one label of n decisions from the observations that count, the same for any order of these.

    Args:
        label: The label.
        used: Places of the observations that count, length u.
        rows: Row of each observation, shape (m,).
        times: When each happened, shape (m,).
        values: Their values, shape (m,).
        keys: Their idempotency keys, length m.
        n: Number of decisions.
    """
    import numpy as np

    found = np.full(n, np.nan if label.default is None else label.default)
    counts, latest = np.zeros(n, dtype=np.int32), np.full(n, np.nan)
    if not len(used):
        return Column(found, counts, latest)
    order = np.lexsort((values[used], times[used], rows[used]))
    used = used[order]
    mine = rows[used]
    starts = np.flatnonzero(np.r_[True, mine[1:] != mine[:-1]])
    ends = np.r_[starts[1:], len(used)]
    there = mine[starts]
    counts[there], latest[there] = ends - starts, times[used[ends - 1]]
    if label.combine == "sum":  # from the least value on, so that it has the same last digit in any order of arrival
        found[there] = np.add.reduceat(values[used[np.lexsort((values[used], mine))]], starts)
    elif label.combine == "max":
        found[there] = np.maximum.reduceat(values[used], starts)
    else:
        found[there] = values[used[_last(used, starts, ends, times, keys)]]
    return Column(found, counts, latest)


def _last(
    used: NDArray[np.intp],
    starts: NDArray[np.intp],
    ends: NDArray[np.intp],
    times: NDArray[np.float64],
    keys: Sequence[str],
) -> NDArray[np.intp]:
    """Return where each decision's last observation is: of those at one time, the one with the greatest key."""
    last = ends - 1
    several = ends - starts > 1
    tied = several & (times[used[last]] == times[used[last - several]])
    for group in tied.nonzero()[0].tolist():
        end = last[group]
        same = [at for at in range(starts[group], end + 1) if times[used[at]] == times[used[end]]]
        last[group] = max(same, key=lambda at: (keys[int(used[at])], at))
    return last
