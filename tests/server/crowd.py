"""An installation as reviewers meet it: days of traffic, every kind of decision, a feature with small cells."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np

from abloop import hte, offline
from abloop.blueprint import from_mapping
from abloop.loop import Loop
from abloop.testing import ManualClock
from tests.loops import TTL, open_loop

DAY, DAYS, PER_DAY = 86_400, 4, 150
QUICK = {"learners": ["t_linear"], "folds": 2, "repeats": 1}
HOSTILE = "</script><script>alert(1)</script>"
LIFE = {"ttl": TTL}
FORM: dict[str, Any] = {
    "strategy": "checkout/form",
    "arms": [{"name": "old"}, {"name": HOSTILE}, {"name": "wizard", "cost": 0.02}],
    "metrics": [
        {"name": "bought"},
        {"name": "spent", "role": "secondary"},
        {"name": "complaints", "role": "guardrail"},
    ],
    "features": [{"name": "visits"}, {"name": "country", "type": "categorical"}],
    "lifecycle": {**LIFE, "switch": "manual"},
    "model": QUICK,
    "readout": {"inference": "sequential", "correction": "holm"},
}
WORTH: dict[str, Any] = {
    "strategy": "worth",
    "space": {"type": "number"},
    "metrics": [{"name": "spend"}],
    "features": [{"name": "x"}],
    "labels": [{"name": "spend"}],
    "lifecycle": LIFE,
}
FEED: dict[str, Any] = {
    "strategy": "feed",
    "space": {"type": "ordering"},
    "metrics": [{"name": "clicked"}, {"name": "bought", "role": "secondary"}],
    "features": [{"name": "x"}],
    "labels": [{"name": "clicked"}],
    "policy": {"formula": "clicked"},
    "ranking": {"challenger": "x", "slots": [1], "explore": 0.2},
    "lifecycle": LIFE,
}
FLAG: dict[str, Any] = {
    "strategy": "flag",
    "space": {"type": "boolean"},
    "metrics": [{"name": "bought"}],
    "experiment": {"traffic": 0.0},
    "lifecycle": LIFE,
}
PAGE: dict[str, Any] = {
    "strategy": "page",
    "space": {
        "type": "structured",
        "fields": [{"name": "size"}, {"name": "dense", "type": "boolean"}],
    },
    "metrics": [{"name": "bought"}],
    "features": [{"name": "x"}],
    "policy": {
        "weights": [{"name": "w", "value": 0.5, "low": 0, "high": 1}],
        "formula": "{'size': 10 * w, 'dense': x > 0}",
    },
    "lifecycle": LIFE,
}
BANDIT: dict[str, Any] = {
    "strategy": "bandit",
    "arms": [{"name": "a"}, {"name": "b"}],
    "metrics": [{"name": "bought"}],
    "features": [{"name": "x"}],
    "lifecycle": {**LIFE, "switch": "bandit"},
    "model": {"learners": ["bandit_linear"]},
}
KINDS = {blueprint["strategy"]: blueprint for blueprint in (FORM, WORTH, FEED, BANDIT, FLAG, PAGE)}


def fill(directory: Path) -> None:
    """Let every kind of strategy run for some days, join its rows, ask the gate, and keep a report."""
    clock = ManualClock()
    clock.advance(time.time() - clock() - DAYS * DAY)
    loop, rng = open_loop(directory, clock), np.random.default_rng(1)
    for blueprint in KINDS.values():
        loop.register(from_mapping(blueprint), who="maria", why=HOSTILE)
    for day in range(DAYS):
        _pass(loop, rng, day)
        clock.advance(DAY)
        offline.ship_spool(loop)
        for name in KINDS:
            offline.join_rows(loop, name)
            if name in ("worth", "feed", "bandit") and day in (1, 2):
                offline.switch(loop, name, offline.gate(loop, name))
        loop.refresh()
    offline.cycle(loop, "checkout/form", told=lambda judged: _keep(loop, judged))
    loop.close()


def _keep(loop: Loop, judged: offline.Judged) -> None:
    assert judged.learned is not None
    hte.keep(loop, hte.explain(*judged.learned, judged.verdict), who="worker")


def _pass(loop: Loop, rng: np.random.Generator, day: int) -> None:
    """Let the units of one day pass; only a few come from Åland."""
    form, worth, bandit = (loop.strategy(name) for name in ("checkout/form", "worth", "bandit"))
    for index in range(PER_DAY):
        unit, visits = f"{day}-{index}", float(rng.normal())
        country = "Åland" if index % 50 == 0 else ("FI", "SE", "DE", HOSTILE)[index % 4]
        arm = form.get_decision(unit, {"user_id": unit, "visits": visits, "country": country})
        bought = bool(rng.random() < 0.3 + 0.3 * (visits > 0) * (arm != "old"))
        seen = {"bought": bought, "spent": 20.0 * bought, "complaints": int(rng.random() < 0.02)}
        form.log_observations(unit, seen)
        worth.get_decision(unit, {"user_id": unit, "x": visits})
        worth.log_observations(unit, {"spend": 3 * visits + float(rng.normal(0, 0.3))})
        drawn = bandit.get_decision(unit, {"user_id": unit, "x": visits})
        bandit.log_observations(unit, {"bought": bool(rng.random() < 0.2 + 0.4 * (drawn == "b"))})
        for name in ("flag", "page"):
            loop.strategy(name).get_decision(unit, {"user_id": unit, "x": visits})
            loop.strategy(name).log_observations(unit, {"bought": bought})
    feed, rng = loop.strategy("feed"), np.random.default_rng(day)
    for index in range(PER_DAY // 3):
        contexts = [{"user_id": f"{day}-{index}", "x": float(rng.normal())} for _ in range(5)]
        for place, chosen in enumerate(feed.get_ranking(f"l{day}-{index}", contexts)):
            clicked = bool(rng.random() < 0.8**place / (1 + np.exp(-2 * float(contexts[chosen]["x"]))))  # type: ignore[arg-type]
            feed.log_observations(f"l{day}-{index}/{chosen}", {"clicked": clicked})
