"""Explain: every decision, wherever its record is, is computed again from it, bit for bit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import abloop
from abloop import offline
from abloop.cli import main
from abloop.errors import DataError, UnknownNameError
from abloop.testing import ManualClock
from tests.loops import TTL, open_loop, send_traffic, two_arms


def test_in_spool_database_and_table(tmp_path: Path) -> None:
    """The record is found in the spool, in the database, and in the training table once it was joined."""
    clock = ManualClock()
    loop = open_loop(tmp_path, clock)
    loop.register(two_arms())
    loop.strategy("checkout").get_decision("d1", {"user_id": "u", "x": 0.1 + 0.2})
    in_spool = abloop.explain(loop, "d1")
    offline.ship_spool(loop)
    in_database = abloop.explain(loop, "d1")
    clock.advance(TTL + 1)
    assert offline.join_rows(loop, "checkout") == 1
    in_table = abloop.explain(loop, "d1")
    assert in_spool == in_database == in_table
    assert in_spool.repeated
    assert in_spool.features[0].value == 0.1 + 0.2
    assert "hash of unit 'u' fell on" in in_spool.reason
    loop.close()


def test_every_phase(tmp_path: Path) -> None:
    """Holdout, explore and personalise: each repeated, with the formula only where it was asked."""
    clock = ManualClock()
    loop = open_loop(tmp_path, clock)
    policy = {"formula": "softmax(effect - cost, heat)", "weights": [{"name": "heat", "value": 0.1}]}
    loop.register(two_arms(experiment={"holdout": 0.2, "explore": 0.3}, policy=policy))
    send_traffic(loop, "checkout", 3_000, np.random.default_rng(0), effect=0.25)
    clock.advance(TTL + 1)
    assert offline.cycle(loop, "checkout", always_valid=False).serving.phase == "personalise"
    loop.refresh()
    send_traffic(loop, "checkout", 200, np.random.default_rng(1), prefix="n")
    found = [abloop.explain(loop, f"n{i}") for i in range(200)]
    assert all(explained.repeated for explained in found)
    assert {explained.decision.phase for explained in found} == {"holdout", "explore", "personalise"}
    for explained in found:
        phase = explained.decision.phase
        assert bool(explained.filled) == (phase in ("explore", "personalise"))
        assert set(explained.predictions) == (set() if phase == "holdout" else {"effect.blue", "effect.green"})
    shown = next(explained for explained in found if explained.decision.phase == "personalise")
    assert "the hash of unit" in shown.reason
    assert shown.filled.endswith("0.1)")
    loop.close()


def test_an_altered_record_is_not_repeated(tmp_path: Path) -> None:
    """A decision that was drawn elsewhere says so."""
    import pandas as pd

    loop = open_loop(tmp_path)
    loop.register(two_arms())
    frame = pd.DataFrame({"x": np.arange(400.0), "arm": ["blue", "green"] * 200, "bought": 0})
    offline.import_trial(loop, "checkout", frame, arm="arm", outcomes=["bought"], features=["x"])
    found = [abloop.explain(loop, f"checkout/{i}").repeated for i in range(40)]
    assert True in found
    assert False in found
    loop.close()


def test_unknown_and_ambiguous_ids(tmp_path: Path) -> None:
    """No such decision, or one in two strategies: a sentence that says what to do."""
    loop = open_loop(tmp_path)
    for name in ("one", "two"):
        loop.register(two_arms(name))
        loop.strategy(name).get_decision("d", {"user_id": "u"})
    with pytest.raises(UnknownNameError, match="no decision 'e'"):
        abloop.explain(loop, "e")
    with pytest.raises(DataError, match="'one', 'two'"):
        abloop.explain(loop, "d")
    assert abloop.explain(loop, "d", "two").decision.strategy == "two"
    loop.close()


def test_from_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`abloop explain` prints features, source, reason, and that it was repeated."""
    loop = open_loop(tmp_path)
    loop.register(two_arms())
    loop.strategy("checkout").get_decision("d1", {"user_id": "u", "x": 2})
    loop.close()
    url = ["--url", f"sqlite:///{tmp_path}/abloop.db"]
    assert main(["explain", "d1", *url]) == 0
    shown = capsys.readouterr().out
    assert "context['x']" in shown
    assert "the same to the last bit" in shown
    assert main(["explain", "d1", "--json", *url]) == 0
    assert '"decision_id": "d1"' in capsys.readouterr().out
    assert main(["explain", "nope", *url]) == 1
