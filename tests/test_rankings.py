"""Rankings through the journal: slots, spread, positions, a challenger; and what bad lists get."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import abloop
from abloop import offline
from abloop.cli import main
from abloop.errors import BlueprintError, DataError
from abloop.evaluate.rankings import ndcg, pair_losses
from abloop.interleaving import interleaved
from abloop.loop import Loop
from abloop.testing import ManualClock
from abloop.train.table import load_table
from tests.loops import open_loop

DAY = 86_400.0


def raw(**more: object) -> dict[str, object]:
    """Return a ranking by a rule."""
    return {
        "strategy": "feed",
        "space": {"type": "ordering"},
        "metrics": [{"name": "click"}, {"name": "seen_at", "role": "secondary", "default": None}],
        "features": [{"name": "quality"}, {"name": "topic", "type": "categorical"}],
        "policy": {"formula": "quality"},
        "experiment": {"explore": 0.01},
        "lifecycle": {"ttl": "1d"},
        **more,
    }


def lists(loop: Loop, count: int, rng: np.random.Generator, prefix: str = "d", size: int = 6) -> dict[str, list[int]]:
    """Rank lists of candidates; click by quality and place."""
    handle, found = loop.strategy("feed"), {}
    for number in range(count):
        contexts = [
            {"user_id": f"u{number % 131}", "quality": float(rng.normal()), "topic": "ab"[int(rng.integers(2))]}
            for _ in range(size)
        ]
        order = handle.get_ranking(f"{prefix}{number}", contexts)
        found[f"{prefix}{number}"] = order
        for place, index in enumerate(order):
            chance = 0.8**place / (1 + np.exp(-2 * float(contexts[index]["quality"])))  # type: ignore[arg-type]
            handle.log_observations(f"{prefix}{number}/{index}", {"click": bool(rng.random() < chance)})
    assert handle.errors == 0
    return found


def test_slots_log_their_chance(tmp_path: Path) -> None:
    """A slot shows candidates from below as often as it says, and each one's chance is in its record."""
    clock = ManualClock()
    loop = open_loop(tmp_path, clock)
    loop.register(raw(ranking={"slots": [1], "explore": 0.3}))
    found = lists(loop, 400, np.random.default_rng(0))
    chances = {}
    for name, order in list(found.items())[:60]:
        records = [abloop.explain(loop, f"{name}/{index}") for index in order]
        assert all(each.repeated for each in records)
        decided = [each.decision.decision for each in records]
        assert [each["position"] for each in decided] == list(range(6))
        chances[name] = decided[1].get("chance")
    assert {round(chance, 9) for chance in chances.values() if chance} == {0.7, 0.075}
    share = np.mean([chance == pytest.approx(0.075) for chance in chances.values() if chance])
    assert 0.1 < share < 0.5
    loop.close()


def test_no_kind_fills_the_top(tmp_path: Path) -> None:
    """At most one of a topic is among the first two, where both topics are there."""
    loop = open_loop(tmp_path)
    loop.register(raw(ranking={"diverse": "topic", "most": 1, "within": 2}))
    contexts = [{"user_id": "u", "quality": float(-at), "topic": "aaab"[at]} for at in range(4)]
    seen = {tuple(loop.strategy("feed").get_ranking(f"d{i}", contexts)) for i in range(50)}
    assert (0, 3, 1, 2) in seen
    assert seen <= {(0, 3, 1, 2), (0, 1, 2, 3)}  # the second where the default was drawn
    loop.close()


def test_a_challenger_takes_turns(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The better of two formulas gets more clicks within the lists, which few lists prove; equal ones do not differ."""
    for challenger, sign in (("-quality", -1), ("quality", 0)):
        clock = ManualClock()
        directory = tmp_path / challenger
        directory.mkdir()
        loop = open_loop(directory, clock)
        loop.register(raw(ranking={"challenger": challenger}))
        with pytest.raises(DataError, match="no complete list of version 1"):
            interleaved(loop, "feed")
        lists(loop, 300, np.random.default_rng(1))
        clock.advance(2 * DAY)
        offline.ship_spool(loop)
        offline.join_rows(loop, "feed")
        found = interleaved(loop, "feed")
        assert 280 < found.lists <= 300
        assert (found.gain.high < 0) if sign else (found.gain.low < 0 < found.gain.high)
        assert (found.p < 1e-6) if sign else (found.p > 0.01)
        loop.close()
        assert main(["interleave", "feed", "--url", f"sqlite:///{directory}/abloop.db", "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["wins"] == found.wins


def test_positions_are_those_that_were_shown(tmp_path: Path) -> None:
    """A label with `position` is trained by where a candidate was decided to be, or was seen where that is logged."""
    clock = ManualClock()
    loop = open_loop(tmp_path, clock)
    loop.register(raw(labels=[{"name": "click", "position": True}], ranking={"shown": "seen_at"}))
    found = lists(loop, 60, np.random.default_rng(2))
    loop.strategy("feed").log_observations("d0/0", {"seen_at": 17})
    clock.advance(2 * DAY)
    offline.ship_spool(loop)
    offline.join_rows(loop, "feed")
    table = load_table(loop, "feed")
    assert len(np.unique(table.lists)) == 60
    assert sorted(table.positions[table.lists == table.lists[6]].tolist()) == [0, 1, 2, 3, 4, 5]
    assert sorted(table.positions)[-1] == 17
    assert len(found) == 60
    loop.close()


@pytest.mark.parametrize("task", ["auto", "rank"])
def test_a_ranker_is_learned_from_yaml_to_order(tmp_path: Path, task: str) -> None:
    """Clicks on shown places become an order by what is clicked, with a model proven on later lists."""
    clock, rng = ManualClock(), np.random.default_rng(3)
    loop = open_loop(tmp_path, clock)
    text = f"""
strategy: feed
space: {{type: ordering}}
metrics: [{{name: click}}]
features: [{{name: quality}}, {{name: topic, type: categorical}}]
labels: [{{name: click, task: {task}, position: true}}]
experiment: {{explore: 0.02}}
lifecycle: {{ttl: 1d}}
"""
    (tmp_path / "feed.yaml").write_text(text)
    loop.register(abloop.load(tmp_path / "feed.yaml"))
    before = lists(loop, 250, rng)
    assert all(order == list(range(6)) for order in before.values())
    clock.advance(2 * DAY)
    result = offline.cycle(loop, "feed", always_valid=False)
    loop.refresh()
    assert result.serving.phase == "personalise", result.verdict.reason
    contexts = [{"user_id": "n", "quality": quality, "topic": "a"} for quality in (-2.0, 2.0, 0.0)]
    orders = [
        loop.strategy("feed").get_ranking(f"n{i}", [{**c, "user_id": f"n{i}"} for c in contexts]) for i in range(60)
    ]
    assert orders.count([1, 2, 0]) > 50
    assert all(abloop.explain(loop, f"n{i}/{at}").repeated for i in range(8) for at in range(3))
    loop.close()


@pytest.mark.parametrize("size", [0, 1, 20_000])
def test_lists_of_any_length(tmp_path: Path, size: int) -> None:
    """No candidates, one, or very many: an order of exactly these, and no error."""
    loop = open_loop(tmp_path)
    loop.register(raw(ranking={"slots": [0, 3], "diverse": "topic", "challenger": "-quality"}))
    contexts = [{"user_id": "u", "quality": float(at % 7), "topic": "a"} for at in range(size)]
    assert sorted(loop.strategy("feed").get_ranking("d", contexts)) == list(range(size))
    assert loop.strategy("feed").errors == 0
    loop.close()


def test_candidates_together_are_decided_as_alone(tmp_path: Path) -> None:
    """The record of each of thirty candidates is that of its own decision, missing and unseen features included."""
    clock, rng = ManualClock(), np.random.default_rng(5)
    loop = open_loop(tmp_path, clock)
    loop.register(raw(labels=[{"name": "click"}], policy={"formula": "click + 0.01 * quality"}))
    lists(loop, 150, rng)
    clock.advance(2 * DAY)
    assert offline.cycle(loop, "feed", always_valid=False).serving.phase == "personalise"
    loop.refresh()
    contexts = [{"user_id": f"v{at % 3}", "quality": float(rng.normal()), "topic": "ab?"[at % 3]} for at in range(30)]
    contexts[3], contexts[4]["quality"] = {"user_id": "v0"}, None
    loop.strategy("feed").get_ranking("many", contexts)
    for at, context in enumerate(contexts):
        loop.strategy("feed").get_decision(f"one{at}", context)
        together, alone = (abloop.explain(loop, name).decision for name in (f"many/{at}", f"one{at}"))
        assert together.predictions == alone.predictions
        for field in ("unit", "arm", "propensity", "phase", "features", "release"):
            assert getattr(together, field) == getattr(alone, field)
    assert loop.strategy("feed").errors == 0
    loop.close()


WRONG = [
    ({"slots": [2, 1]}, {}, "rising"),
    ({"slots": [-1]}, {}, "from 0"),
    ({"explore": 0.9, "slots": [1]}, {}, r"ranking\.explore"),
    ({"diverse": "quality"}, {}, "categorical feature"),
    ({"shown": "place"}, {}, "metric"),
    ({"challenger": "quality +"}, {}, "formula"),
    ({"challenger": "arm('x')"}, {}, "unknown arm"),
    ({"most": 0}, {}, r"ranking\.most"),
    ({"slots": [1]}, {"space": {"type": "number"}}, "belongs to an ordering"),
]


@pytest.mark.parametrize(("ranking", "more", "words"), WRONG)
def test_wrong_rankings_are_refused(ranking: dict, more: dict, words: str) -> None:
    """What cannot order a list is refused when the blueprint is read."""
    with pytest.raises(BlueprintError, match=words):
        abloop.blueprint.from_mapping(raw(ranking=ranking, **more))


def test_ndcg_and_pairs_by_definition() -> None:
    """NDCG equals scikit-learn's on exponential gains; a reversed list has every pair wrong."""
    from sklearn.metrics import ndcg_score

    rng = np.random.default_rng(0)
    lists_of, grades, scores = np.repeat(np.arange(50), 8), rng.integers(0, 4, 400).astype(float), rng.normal(size=400)
    each = [
        ndcg_score([2 ** grades[lists_of == at] - 1], [scores[lists_of == at]], k=5)
        for at in range(50)
        if grades[lists_of == at].any()
    ]
    assert ndcg(grades, scores, lists_of, 5) == pytest.approx(np.mean(each))
    assert (pair_losses(np.arange(4.0), -np.arange(4.0), np.zeros(4, dtype=int)) == 1.0).all()
    assert (pair_losses(np.arange(4.0), np.arange(4.0), np.zeros(4, dtype=int)) == 0.0).all()
    long = rng.integers(0, 5, 900).astype(float), rng.integers(0, 40, 900).astype(float)
    better = long[0][:, None] > long[0][None, :]
    gap = long[1][:, None] - long[1][None, :]
    wrong = ((gap < 0) + 0.5 * (gap == 0))[better].mean()
    assert pair_losses(*long, np.zeros(900, dtype=int)) == pytest.approx(np.full(900, wrong))
    assert (pair_losses(np.ones(300), np.arange(300.0), np.zeros(300, dtype=int)) == 0.5).all()
    assert (pair_losses(np.ones(4), np.arange(4.0), np.zeros(4, dtype=int)) == 0.5).all()
