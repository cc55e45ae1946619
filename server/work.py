"""What takes longer than a request may: each kind of errand, and what it does; `server.errands` runs them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

import msgspec

from abloop.store.workspace import Workspace
from server.expected import Expected, apart
from server.expected import keep as keep_expected
from server.numbers import count

Status = Literal["running", "done", "failed"]
Progress = Callable[[int, int], None]


class Errand(msgspec.Struct, frozen=True):
    """One piece of work.

    Attributes:
        kind: What is done: a name of `WORK`.
        strategy: For which strategy; empty for all.
        who: Who asked for it.
        why: Why.
        at: When, in seconds since 1970.
        asked: More of what was asked; it is not kept.
        status: Whether it runs, is done, or failed.
        said: What came of it, in words.
        result: What came of it, as plain data.
        ended: When, in seconds since 1970; 0 while it runs.
        done: Steps done.
        total: Steps in all; 0 while it waits for its turn, or where nobody knows.
    """

    kind: str
    strategy: str
    who: str
    why: str
    at: float
    asked: dict[str, Any] = {}
    status: Status = "running"
    said: str = ""
    result: Any = None
    ended: float = 0.0
    done: int = 0
    total: int = 0

    @property
    def runs(self) -> bool:
        """Whether it has not ended."""
        return self.status == "running"


def propose(workspace: Workspace, errand: Errand, progress: Progress) -> tuple[str, Any]:
    """Propose a round of weights and begin it."""
    from abloop import tuning

    count, who, why = int(errand.asked.get("arms") or 0), errand.who, errand.why
    state = tuning.propose(workspace, errand.strategy, count=count, who=who, why=why, progress=progress)
    last = state.rounds[-1]
    said = f"says nothing: {last.reason.rstrip('.')}. Propose the next one" if last.reason else "runs"
    return f"Round {last.number} {said}.", None


def foresee(workspace: Workspace, errand: Errand, progress: Progress) -> tuple[str, Any]:
    """Ask a model of all trials what some weights would change."""
    from abloop import tuning

    del progress
    weights = {str(name): float(value) for name, value in errand.asked["weights"].items()}
    (found,) = tuning.expect(workspace, errand.strategy, [weights])
    return "The model has answered.", {"weights": weights, "lifts": msgspec.to_builtins(found)}


def frontier(workspace: Workspace, errand: Errand, progress: Progress) -> tuple[str, Any]:
    """Ask a model of all trials which weights it expects nothing to beat."""
    from abloop import tuning

    del progress
    known = len(tuning.today(workspace, errand.strategy).read())
    outlook = tuning.outlook(workspace, errand.strategy)
    points = apart(outlook.points)
    made = Expected(known, points, workspace.clock(), errand.who, outlook.trusted)
    keep_expected(workspace, errand.strategy, made)
    if not points:
        return "No weights are expected to keep the limits. Loosen tuning.limits, or give weights other ranges.", None
    return f"The frontier has {count(len(points), 'point')} that can be told apart; see below.", None


def judge(workspace: Workspace, errand: Errand, progress: Progress) -> tuple[str, Any]:
    """Ask the gate, and serve what it proves, because a person says so."""
    from abloop import offline

    before = workspace.catalogue.serving(errand.strategy)
    judged = offline.gate(workspace, errand.strategy, progress=progress)
    serving = offline.switch(workspace, errand.strategy, judged, who=errand.who)
    changed = (serving.phase, serving.release) != (before.phase, before.release)
    done = f"{errand.strategy} is in phase {serving.phase!r} from now on." if changed else "Nothing was switched."
    return f"{judged.verdict.reason} {done}", None


def effects(workspace: Workspace, errand: Errand, progress: Progress) -> tuple[str, Any]:
    """Make the report of who gets what."""
    from abloop.hte.kept import keep
    from abloop.hte.strategy import report

    keep(workspace, report(workspace, errand.strategy, progress=progress), who=errand.who)
    return "The report is made.", None


def replay(workspace: Workspace, errand: Errand, progress: Progress) -> tuple[str, Any]:
    """Try the dead letters of a strategy again."""
    from abloop.store.replay import replay as try_again

    del progress
    tried = try_again(workspace, strategy=errand.strategy)
    left = f"{len(tried.left):,} still cannot be" if tried.left else "none is left"
    return f"Kept now, and on their way to the training table: {tried.kept:,}; {left}.", None


def erase(workspace: Workspace, errand: Errand, progress: Progress) -> tuple[str, Any]:
    """Erase a unit everywhere, and prove it."""
    from abloop.store.erasure import erase as remove

    del progress
    erased = remove(workspace, str(errand.asked["unit"]), who=errand.who, why=errand.why)
    proof = "a second look found none" if erased.proven else f"a second look found {sum(erased.left.values()):,} left"
    return f"The unit is erased: {sum(erased.found.values()):,} records were there, and {proof}.", erased.found


Work = Callable[[Workspace, Errand, Progress], tuple[str, Any]]
WORK: Mapping[str, Work] = {
    "propose": propose,
    "foresee": foresee,
    "frontier": frontier,
    "judge": judge,
    "effects": effects,
    "replay": replay,
    "erase": erase,
}
DOING: Mapping[str, str] = {
    "propose": "Proposing a round of weights",
    "foresee": "Asking a model about some weights",
    "frontier": "Asking a model for the frontier",
    "judge": "Asking the gate",
    "effects": "Making the report",
    "replay": "Trying dead letters again",
    "erase": "Erasing a unit",
}
