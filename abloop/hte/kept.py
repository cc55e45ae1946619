"""Reports of who gains what as the store keeps them: made by the worker or asked for, read at once by the dashboard."""

from __future__ import annotations

import msgspec

from abloop.hte.results import EffectReport
from abloop.store.reports import Kept
from abloop.store.workspace import Workspace

KIND = "effects"
_decoder = msgspec.msgpack.Decoder(EffectReport)


class KeptReport(msgspec.Struct, frozen=True):
    """A report with when and for whom it was made.

    Attributes:
        at: Seconds since 1970.
        who: Who asked for it.
        report: The report.
    """

    at: float
    who: str
    report: EffectReport


def keep(workspace: Workspace, report: EffectReport, *, who: str) -> None:
    """Keep a report as the newest of its strategy.

    Args:
        workspace: What `abloop.connect` gave.
        report: From `abloop.hte.report`.
        who: Who asked for it.
    """
    body = msgspec.msgpack.encode(report)  # which has NaN, unlike JSON
    workspace.reports.add(Kept(report.strategy, KIND, report.version, workspace.clock(), report.rows, who, body))


def newest(workspace: Workspace, strategy: str) -> KeptReport | None:
    """Return the newest report of a strategy; None where there is none, or only one that another abloop wrote.

    Args:
        workspace: What `abloop.connect` gave.
        strategy: Its name.
    """
    found = workspace.reports.newest(strategy, KIND)
    if found is None:
        return None
    try:
        return KeptReport(found.at, found.who, _decoder.decode(found.body))
    except (msgspec.DecodeError, msgspec.ValidationError):
        return None
