"""What somebody has to know before the numbers, or has to do. Pure: no store, no clock, no HTML."""

from __future__ import annotations

import msgspec

from abloop.blueprint import Blueprint
from abloop.readout import Readout
from abloop.readout.traffic import Traffic
from abloop.store.status import Custody, Status
from server.numbers import count, moment, percent

LATE_SECONDS = 900.0
SILENT_SECONDS = 86_400.0
MANY_ORPHANS = 0.01  # of the observations
MANY_MISSING = 0.2  # of a feature's values
THIN = 0.01  # propensity, below which a single row weighs as much as a hundred


class Banner(msgspec.Struct, frozen=True):
    """What a reader must know first: `alarm`, `warning` or `note`."""

    kind: str
    title: str
    text: str


def banners(seen: Readout) -> tuple[Banner, ...]:
    """Return the readout's notes, the alarming ones marked as such."""
    found = []
    for note in seen.notes:
        if note.startswith("Sample ratio mismatch"):
            found.append(Banner("alarm", "Do not trust these numbers yet", note))
        elif not seen.rows:
            found.append(Banner("note", "Waiting for data", note))
        else:
            found.append(Banner("warning", "Check this first", note))
    return tuple(found)


def custody_alerts(custody: Custody, phase: str, newest: float | None, now: float) -> tuple[Banner, ...]:
    """Return what is wrong with the way of the records: they are stuck, stopped coming, or were refused.

    Args:
        custody: Where the records are.
        phase: What is served.
        newest: Time of the newest decision there is; None where there is none.
        now: Seconds since 1970.
    """
    found = []
    if custody.lag > LATE_SECONDS:
        ago = moment(now - custody.lag, now).ago.removesuffix(" ago")
        text = f"{count(custody.waiting, 'decision')} wait to be joined, the oldest {ago} past its time. "
        found.append(Banner("warning", "Stuck", f"{text}Is a worker running? Start one: abloop worker"))
    if newest is not None and now - newest > SILENT_SECONDS and phase != "paused":
        text = f"The last decision that arrived was made {moment(newest, now).ago}. "
        found.append(Banner("note", "No new data", f"{text}If the product still asks, its spool is not shipped."))
    if custody.dead:
        text = f"{count(custody.dead, 'record')} could not be kept. See why, and try them again: "
        found.append(Banner("warning", "Dead letters", f"{text}abloop store dead --strategy {custody.strategy}"))
    orphaned, late = custody.fates["orphaned"], custody.fates["late"]
    if custody.observations and orphaned / custody.observations > MANY_ORPHANS:
        text = f"{count(orphaned, 'observation')} belong to no decision that was logged. "
        found.append(Banner("warning", "Orphans", f"{text}Log them under the decision id that get_decision was given."))
    if late:
        text = f"{count(late, 'observation')} came after their row was complete, or wait for a longer window. "
        found.append(Banner("note", "Late data", f"{text}The worker adds them to their rows."))
    return tuple(found)


def spool_alerts(status: Status, custody: Custody) -> tuple[Banner, ...]:
    """Return that records wait in this machine's spool, where none of the strategy has arrived yet."""
    if custody.decisions or not status.spool_bytes:
        return ()
    text = "Records wait in the spool of this machine, of this or other strategies. "
    return (Banner("note", "Not brought in yet", f"{text}A worker brings them in, or the command below."),)


def traffic_alerts(traffic: Traffic, blueprint: Blueprint) -> tuple[Banner, ...]:
    """Return what is wrong with the rows themselves: features are missing, arms hardly drawn."""
    found = []
    wanted = {feature.name for feature in blueprint.features if feature.learn}
    gone = {name: share for name, share in traffic.missing.items() if share > MANY_MISSING and name in wanted}
    if gone:
        listed = ", ".join(f"{name!r} on {percent(share)}" for name, share in sorted(gone.items(), key=lambda x: -x[1]))
        text = f"On many rows a feature has no value: {listed}. What is missing cannot tell units apart."
        found.append(Banner("note", "Features are missing", text))
    if traffic.least < THIN:
        text = f"Some arms were drawn with a probability of {traffic.least:.2g} only, so that single rows weigh a lot."
        found.append(Banner("note", "Thin arms", text))
    return tuple(found)
