"""A world of notifications whose truth is known: each brings a visit now, and tires its reader for days.

What is best at once, always sending, is not best in the long run. A reader's state is how tired he is; a visit follows
with probability .3 / (1 + tired) unasked, and .8 * keen * exp(-4 tired) more where one is sent.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

Frame = npt.NDArray[np.float64]
Send = Callable[[Frame, Frame], npt.NDArray[np.bool_]]
DAYS = 12  # of a reader
FADES = 0.5  # share of being tired that is left a day later


def visits(tired: Frame, keen: Frame, sent: npt.NDArray[np.bool_]) -> Frame:
    """Return the chance of a visit, shape (n,)."""
    unasked = 0.3 / (1.0 + tired)
    found: Frame = np.where(sent, unasked + 0.8 * keen * np.exp(-4.0 * tired), unasked)
    return np.clip(found, 0.0, 1.0)


def tire(tired: Frame, sent: npt.NDArray[np.bool_]) -> Frame:
    """Return how tired readers are a day later, shape (n,)."""
    found: Frame = FADES * (tired + sent)
    return found


def walk(rng: np.random.Generator, readers: int, send: Send) -> dict[str, Frame]:
    """Return days of readers under a policy.

    Args:
        rng: Of keenness and visits.
        readers: How many.
        send: Policy: how tired and how keen, shape (n,) each, to whether to send.

    Returns:
        `tired`, `keen`, `sent`, `visited`, `chance`, each of shape (readers, DAYS).
    """
    keen, tired = rng.uniform(0.3, 1.0, readers), np.zeros(readers)
    days: dict[str, list[Frame]] = {name: [] for name in ("tired", "keen", "sent", "visited", "chance")}
    for _ in range(DAYS):
        sent = send(tired, keen)
        chance = visits(tired, keen, sent)
        row = {"tired": tired, "keen": keen, "sent": sent.astype(np.float64), "chance": chance}
        for name, values in (row | {"visited": (rng.random(readers) < chance).astype(np.float64)}).items():
            days[name].append(values)
        tired = tire(tired, sent)
    return {name: np.stack(values, axis=1) for name, values in days.items()}


def worth(send: Send, discount: float, readers: int = 40_000, steps: int = DAYS) -> float:
    """Return the expected discounted visits of the first days under a policy, from its own walk."""
    found = walk(np.random.default_rng(99), readers, send)["chance"][:, :steps]
    return float((found * discount ** np.arange(steps)).sum(axis=1).mean())
