"""What to do next with a strategy, most pressing first. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable

import msgspec

from abloop.blueprint import Blueprint
from abloop.evaluate.verdict import Verdict
from abloop.readout import Readout
from abloop.store.serving import Serving
from server.dashboard.present import Judged


class Step(msgspec.Struct, frozen=True):
    """One thing to do.

    Attributes:
        text: What, and why.
        command: The command that does it; empty where there is none.
        page: Endpoint of the page where it is done or seen; empty where there is none.
        link: What the link to that page says.
    """

    text: str
    command: str = ""
    page: str = ""
    link: str = ""


def next_steps(
    seen: Readout, serving: Serving, blueprint: Blueprint, judged: Judged | None, command: Callable[..., str]
) -> tuple[Step, ...]:
    """Return what to do next.

    Args:
        seen: The readout.
        serving: What is served.
        blueprint: The served blueprint.
        judged: The gate's last word.
        command: Makes a command line of this installation.
    """
    name = serving.strategy
    if serving.phase == "paused":
        text = "It is paused, so nothing is learned. Resume it once the reason is gone."
        return (Step(text, command("resume", name, "--why", "TEXT")),)
    if not blueprint.experiment.traffic and not blueprint.experiment.ramp and blueprint.is_choice:
        text = "Nobody is in the experiment: experiment.traffic is 0, so each unit gets control. Raise it to begin."
        return (Step(text, page="dashboard.editor", link="Open the blueprint"),)
    if not seen.rows:
        return _begin(seen, serving, blueprint, command)
    if seen.recommendation.advice == "unhealthy":
        text = "Find out why the arms do not have their shares; nothing below can be believed before that."
        return (Step(text, page="dashboard.readout", link="Look at the shares day by day"),)
    verdict = judged[2] if judged and judged[1] == serving.version else None
    if verdict is None:
        return (Step("Ask the gate: it has not seen these rows yet.", command("cycle", name)),)
    proven = verdict.verdict != "not enough evidence"
    steps = _proven(serving, blueprint) if proven else _unproven(verdict, blueprint)
    said = seen.recommendation
    if said.advice == "roll back" or (said.advice == "keep running" and said.arm):  # a guardrail is open
        steps.append(Step(said.text, page="dashboard.readout", link="Readout"))
    if serving.phase in ("personalise", "ship"):
        waits = "Wait for the first complete rows since it is served: they show whether the gain is real."
        done = "Nothing has to be done: it is served, and goes on being measured on the explore share."
        steps.append(Step(waits if seen.policy is None else done))
    return tuple(steps) or (Step("Let it run: each cycle asks the gate anew.", command("worker")),)


def _proven(serving: Serving, blueprint: Blueprint) -> list[Step]:
    """Return what to do with what is proven and not served."""
    if blueprint.lifecycle.switch != "manual" or serving.phase in ("personalise", "ship"):
        return []
    text = "The gate has proven it, and the blueprint leaves the switch to you. See who gets what, then decide."
    return [Step(text, page="dashboard.effects", link="Who gets what")]


def _unproven(verdict: Verdict, blueprint: Blueprint) -> list[Step]:
    """Return what to do until something is proven."""
    if verdict.needed and verdict.needed > verdict.n and blueprint.is_choice:
        left = f"{verdict.needed - verdict.n:,}"
        return [Step(f"Let it run: about {left} more units would prove the gain, if it stays as it is.")]
    return [Step(verdict.reason)] if math.isnan(verdict.gain) else []


def _begin(seen: Readout, serving: Serving, blueprint: Blueprint, command: Callable[..., str]) -> tuple[Step, ...]:
    """Return what to do before there is a row."""
    name = serving.strategy
    if seen.waiting:
        text = (
            f"Wait until the time of the first decisions has ended ({blueprint.lifecycle.ttl:g} s), with a worker on."
        )
        return (Step(text, command("worker")),)
    return (
        Step("Let the product call get_decision and log_observations. Then bring in what it wrote:"),
        Step("Once, or as often as you like with abloop worker:", command("cycle", name)),
    )
