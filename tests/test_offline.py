"""The cold path: from traffic to verdict to switch, restartable at any point."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest

import abloop
from abloop import offline
from abloop.errors import UnknownNameError
from abloop.loop import Loop
from abloop.readout import readout
from abloop.testing import ManualClock
from tests.loops import TTL, open_loop, send_traffic, two_arms


def test_loop_personalises_and_then_measures_itself(tmp_path: Path) -> None:
    """Crossing effects: the gate personalises, the traffic follows, and the readout compares it with every arm."""
    clock, rng = ManualClock(), np.random.default_rng(0)
    loop = open_loop(tmp_path, clock)
    loop.register(two_arms(experiment={"explore": 0.3}, model={"repeats": 1, "learners": ["t", "x"]}))
    send_traffic(loop, "checkout", 3_000, rng, effect=0.2)
    early = offline.cycle(loop, "checkout")
    assert (early.joined, early.serving.phase) == (0, "randomise")
    assert "3,000 decisions wait" in early.readout.notes[0]
    clock.advance(TTL + 1)
    first = offline.cycle(loop, "checkout")
    assert first.joined == 3_000
    assert first.verdict.verdict == "personalise", first.verdict.reason
    assert first.verdict.low > 0
    assert first.serving.phase == "personalise"
    loop.refresh()
    send_traffic(loop, "checkout", 3_000, rng, effect=0.2, prefix="v")
    clock.advance(TTL + 1)
    offline.ship_spool(loop)
    assert offline.join_rows(loop, "checkout") == 3_000
    seen = readout(loop, "checkout")
    assert seen.policy is not None
    assert seen.srm > 0.001
    assert set(seen.policy.gains) == {"blue", "green"}
    assert all(gain.low > 0 for gain in seen.policy.gains.values())
    assert seen.policy.policy.mean == pytest.approx(0.4, abs=0.04)
    loop.close()


def test_the_verdict_says_what_a_month_brings(tmp_path: Path) -> None:
    """Traffic of several days gives the gain a month at its pace, in the verdict that is kept and in its words."""
    clock, rng = ManualClock(), np.random.default_rng(0)
    loop = open_loop(tmp_path, clock)
    loop.register(two_arms(model={"repeats": 1}))
    for day in range(4):
        send_traffic(loop, "checkout", 600, rng, effect=0.2, prefix=f"d{day}-")
        clock.advance(86_400)
    verdict = offline.cycle(loop, "checkout").verdict
    assert verdict.monthly == pytest.approx(2_400 / 4 * 30)
    assert "At 18,000 decisions a month that is +" in verdict.reason
    assert loop.catalogue.verdicts("checkout")[0][2] == verdict
    loop.close()


def test_no_difference_is_not_enough_evidence(tmp_path: Path) -> None:
    """Without any effect the gate switches nothing and says to go on."""
    clock = ManualClock()
    loop = open_loop(tmp_path, clock)
    loop.register(two_arms(model={"repeats": 1}))
    send_traffic(loop, "checkout", 1_500, np.random.default_rng(1))
    clock.advance(TTL + 1)
    turn = offline.cycle(loop, "checkout")
    assert turn.verdict.verdict == "not enough evidence"
    assert "keep the experiment running" in turn.verdict.reason
    assert turn.serving.phase == "randomise"
    assert loop.catalogue.verdicts("checkout")[0][2].reason == turn.verdict.reason
    loop.close()


def test_features_are_not_needed_to_ship(tmp_path: Path) -> None:
    """Two arms and a metric are enough: without features, the better arm is shipped, and explorers stay."""
    clock, rng = ManualClock(), np.random.default_rng(2)
    loop = open_loop(tmp_path, clock)
    loop.register({"strategy": "s", "arms": [{"name": "a"}, {"name": "b"}], "metrics": [{"name": "m"}]})
    strategy = loop.strategy("s")
    for index in range(1_200):
        arm = strategy.get_decision(f"d{index}", {"user_id": index})
        if rng.random() < (0.4 if arm == "b" else 0.2):
            strategy.log_observations(f"d{index}", {"m": 1})
    clock.advance(86_401)
    turn = offline.cycle(loop, "s")
    assert (turn.verdict.verdict, turn.verdict.arm, turn.serving.phase) == ("ship", "b", "ship")
    loop.refresh()
    answers = [strategy.get_decision(f"e{index}", {"user_id": index}) for index in range(1_000)]
    assert 0.9 < answers.count("b") / 1_000 < 1.0
    loop.close()


def test_manual_switch_waits_for_a_person(tmp_path: Path) -> None:
    """With `switch: manual` the verdict is kept and nothing is served until a person says so."""
    clock = ManualClock()
    loop = open_loop(tmp_path, clock)
    loop.register(two_arms(lifecycle={"ttl": TTL, "switch": "manual"}, model={"repeats": 1, "learners": ["t"]}))
    send_traffic(loop, "checkout", 3_000, np.random.default_rng(0), effect=0.2)
    clock.advance(TTL + 1)
    turn = offline.cycle(loop, "checkout")
    assert (turn.verdict.verdict, turn.serving.phase) == ("personalise", "randomise")
    judged = offline.gate(loop, "checkout")
    served = offline.switch(loop, "checkout", judged, who="ada")
    assert (served.phase, served.who) == ("personalise", "ada")
    assert offline.switch(loop, "checkout", judged, who="ada") == served
    loop.close()


def test_few_units_and_unlogged_metrics_are_refused_in_words(tmp_path: Path) -> None:
    """The gate gives no number it could not have estimated: it names the arm, the metric, and what to do."""
    clock = ManualClock()
    loop = open_loop(tmp_path, clock)
    loop.register(two_arms())
    strategy = loop.strategy("checkout")
    assert "No complete rows" in offline.gate(loop, "checkout").verdict.reason
    for index in range(50):
        strategy.get_decision(f"d{index}", {"user_id": index, "x": 1})
    clock.advance(TTL + 1)
    turn = offline.cycle(loop, "checkout")
    assert "'bought' was never logged" in turn.verdict.reason
    assert any("never logged" in note for note in turn.readout.notes)
    assert np.isnan(turn.verdict.gain)
    strategy.get_decision("last", {"user_id": "last", "x": 1})
    strategy.log_observations("last", {"bought": 1})
    clock.advance(TTL + 1)
    assert "needs 100 units" in offline.cycle(loop, "checkout").verdict.reason
    loop.close()


def test_a_sample_ratio_mismatch_stops_the_gate(tmp_path: Path) -> None:
    """When the arms do not hold their shares, nothing is judged."""
    clock = ManualClock()
    loop = open_loop(tmp_path, clock)
    loop.register(two_arms(model={"repeats": 1}))
    strategy, rng = loop.strategy("checkout"), np.random.default_rng(3)
    for index in range(1_500):
        arm = strategy.snapshot.names[strategy.snapshot.assignment.arm(f"u{index}")]
        if arm == "blue" or rng.random() < 0.7:  # a third of green's decisions are lost before they are logged
            strategy.get_decision(f"d{index}", {"user_id": f"u{index}", "x": float(rng.normal())})
            strategy.log_observations(f"d{index}", {"bought": rng.random() < 0.5})
    clock.advance(TTL + 1)
    turn = offline.cycle(loop, "checkout")
    assert turn.readout.srm < 0.001
    assert "Sample ratio mismatch" in turn.verdict.reason
    assert turn.serving.phase == "randomise"
    loop.close()


def test_joining_is_restartable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that dies between writing a file and listing it joins every row once when it starts again."""
    clock = ManualClock()
    loop = open_loop(tmp_path, clock)
    loop.register(two_arms())
    send_traffic(loop, "checkout", 500, np.random.default_rng(4))
    clock.advance(TTL + 1)
    loop.spool.seal()
    offline.ship_spool(loop)

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(loop.journal, "complete", die)
        with pytest.raises(KeyboardInterrupt):
            offline.join_rows(loop, "checkout")
    assert readout(loop, "checkout").rows == 0
    assert offline.join_rows(loop, "checkout") == 500
    assert offline.join_rows(loop, "checkout") == 0
    assert readout(loop, "checkout").rows == 500
    assert len(list(loop.table_directory.glob("*.parquet"))) == 1
    loop.close()


def test_late_observations_do_not_count(tmp_path: Path) -> None:
    """What happens after the TTL is not part of the row, for every unit alike."""
    clock = ManualClock()
    loop = open_loop(tmp_path, clock)
    loop.register(two_arms())
    strategy = loop.strategy("checkout")
    strategy.get_decision("d", {"user_id": "u", "x": 1})
    clock.advance(TTL + 1)
    strategy.log_observations("d", {"bought": 1})
    offline.ship_spool(loop)
    offline.join_rows(loop, "checkout")
    table = offline.load_table(loop, "checkout")
    assert table.sample.outcome.tolist() == [0.0]
    loop.close()


def test_unknown_strategy_is_refused(tmp_path: Path) -> None:
    """A turn for a strategy that is not there names it and writes nothing."""
    loop = open_loop(tmp_path)
    with pytest.raises(UnknownNameError, match="'nope'"):
        offline.cycle(loop, "nope")
    loop.close()


def test_models_are_fitted_again_when_enough_is_fresh(tmp_path: Path) -> None:
    """The gate is asked again at a fifth more rows, not before, and the comparison with the arms goes on."""
    clock, rng = ManualClock(), np.random.default_rng(0)
    loop = open_loop(tmp_path, clock)
    loop.register(two_arms(experiment={"explore": 0.3}, model={"repeats": 1, "learners": ["t"]}))
    asked, compared = [], []
    for wave, units in enumerate((3_000, 300, 400)):
        send_traffic(loop, "checkout", units, rng, effect=0.2, prefix=f"w{wave}-")
        clock.advance(TTL + 1)
        turn = offline.cycle(loop, "checkout")
        loop.refresh()
        asked.append(len(loop.catalogue.verdicts("checkout")))
        compared.append(readout(loop, "checkout").policy)
    assert asked == [1, 1, 2]
    assert turn.serving.phase == "personalise"
    assert compared[0] is None
    assert compared[1] is not None
    assert compared[2] is not None
    assert compared[2].policy.n > compared[1].policy.n > 150
    loop.close()


def test_what_hurts_is_stopped(tmp_path: Path) -> None:
    """Where units turn round after the switch, the next turns withdraw what is served, say why, and do not go back."""
    clock, rng = ManualClock(), np.random.default_rng(0)
    loop = open_loop(tmp_path, clock)
    loop.register(two_arms(experiment={"explore": 0.5}, model={"repeats": 1, "learners": ["t"]}))
    send_traffic(loop, "checkout", 1_500, rng, effect=0.25)
    clock.advance(TTL + 1)
    assert offline.cycle(loop, "checkout").serving.phase == "personalise"
    loop.refresh()
    send_traffic(loop, "checkout", 1_500, rng, effect=-0.25, prefix="v")
    clock.advance(TTL + 1)
    turn = offline.cycle(loop, "checkout")
    assert turn.serving.phase == "randomise"
    assert turn.verdict.verdict == "not enough evidence"
    assert turn.verdict.reason.startswith("Stopped: what was served is worse than ")
    assert turn.verdict.high < 0
    assert offline.cycle(loop, "checkout").serving.phase == "randomise"
    assert loop.catalogue.verdicts("checkout")[0][2] == turn.verdict
    loop.close()


def test_a_person_s_switch_is_not_taken_back(tmp_path: Path) -> None:
    """Where the blueprint leaves switching to a person, what hurts is said in the readout and goes on."""
    clock, rng = ManualClock(), np.random.default_rng(0)
    loop = open_loop(tmp_path, clock)
    loop.register(
        two_arms(
            experiment={"explore": 0.5},
            model={"repeats": 1, "learners": ["t"]},
            lifecycle={"ttl": TTL, "switch": "manual"},
        )
    )
    send_traffic(loop, "checkout", 1_500, rng, effect=0.25)
    clock.advance(TTL + 1)
    offline.cycle(loop, "checkout")
    offline.switch(loop, "checkout", offline.gate(loop, "checkout"), who="ann")
    loop.refresh()
    send_traffic(loop, "checkout", 1_500, rng, effect=-0.25, prefix="v")
    clock.advance(TTL + 1)
    turn = offline.cycle(loop, "checkout")
    assert turn.serving.phase == "personalise"
    assert turn.readout.policy is not None
    assert min(gain.high for gain in turn.readout.policy.gains.values()) < 0
    loop.close()


def test_a_margin_keeps_units_with_control(tmp_path: Path) -> None:
    """A unit leaves control only where more than the margin is predicted, for the gate and in service."""
    shares = {}
    for margin in (0.0, 0.35):
        clock, rng = ManualClock(), np.random.default_rng(0)
        (tmp_path / str(margin)).mkdir()
        loop = open_loop(tmp_path / str(margin), clock)
        loop.register(two_arms(experiment={"explore": 0.01, "margin": margin}, model={"repeats": 1, "learners": ["t"]}))
        send_traffic(loop, "checkout", 3_000, rng, effect=0.2)
        clock.advance(TTL + 1)
        offline.ship_spool(loop)
        offline.join_rows(loop, "checkout")
        judged = offline.gate(loop, "checkout")
        release = judged.candidate
        assert release is not None
        offline.switch(
            loop,
            "checkout",
            offline.Judged(msgspec.structs.replace(judged.verdict, verdict="personalise"), release, release),
        )
        loop.refresh()
        strategy = loop.strategy("checkout")
        arms = [strategy.get_decision(f"w{i}", {"user_id": f"w{i}", "x": float(rng.normal())}) for i in range(1_000)]
        shares[margin] = (arms.count("green") / 1_000, judged.verdict.gain)
        loop.close()
    assert shares[0.0][0] > shares[0.35][0] + 0.1
    assert shares[0.0][1] > shares[0.35][1]


def test_calm_keeps_a_unit_s_arm_while_its_features_wander(tmp_path: Path) -> None:
    """With calm, a unit leaves the arm that the policy gave it only for a clearly better one, also after a restart."""
    flips = {}
    for calm in (0.0, 0.3, 10.0):
        clock, rng = ManualClock(), np.random.default_rng(0)
        directory = tmp_path / str(calm)
        directory.mkdir()
        loop = open_loop(directory, clock)
        loop.register(
            two_arms(experiment={"explore": 0.1, "calm": calm}, model={"repeats": 1, "learners": ["t_linear"]})
        )
        send_traffic(loop, "checkout", 3_000, rng, effect=0.3)
        clock.advance(TTL + 1)
        assert offline.cycle(loop, "checkout").serving.phase == "personalise"
        loop.refresh()
        arms = np.asarray([_visits(loop, float(x), visit) for visit, x in enumerate((0.3, -0.3, -3.0))])
        shown = [abloop.explain(loop, f"v1-{unit}") for unit in range(40)]
        assert all(each.repeated for each in shown)
        loop.close()
        loop = open_loop(directory, clock)
        again = np.asarray(_visits(loop, 0.3, 3))
        loop.close()
        flips[calm] = [(arms[0] != arms[1]).mean(), (arms[1] != arms[2]).mean(), (arms[2] != again).mean()]
    assert flips[0.0][0] > 0.8
    assert flips[0.3][0] == 0.0
    assert flips[0.3][1] > 0.8
    assert flips[10.0] == [0.0, 0.0, 0.0]


def _visits(loop: Loop, x: float, visit: int) -> list[str]:
    """Return the arms of 200 units that come with a feature."""
    strategy = loop.strategy("checkout")
    return [strategy.get_decision(f"v{visit}-{unit}", {"user_id": f"c{unit}", "x": x}) for unit in range(200)]
