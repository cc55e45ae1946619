"""The report of a strategy: on a world whose truth is known it says who gains, in segments, a tree and words."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from abloop import hte, offline
from abloop.cli import main
from abloop.errors import DataError
from abloop.hte.segments import segments_of
from abloop.hte.tradeoff import metric_changes
from abloop.hte.tree import Branch
from abloop.hte.words import report_text, tree_lines
from abloop.loop import Loop
from abloop.records import Column
from abloop.simulate.worlds import shop
from abloop.testing import ManualClock
from tests.loops import TTL, open_loop, send_traffic, two_arms


def open_shop(directory: Path, heterogeneity: float = 2.5) -> tuple[Loop, str]:
    """Return an installation that holds a finished trial of the simulated shop, and its strategy."""
    world = shop(np.random.default_rng(0), 8_000, heterogeneity)
    loop = Loop(f"sqlite:///{directory}/abloop.db", clock=ManualClock(), refresh_seconds=3_600.0)
    loop.register(world.blueprint)
    features = [feature.name for feature in world.blueprint.features]
    offline.import_trial(loop, world.blueprint.strategy, world.frame, arm="arm", outcomes=["bought"], features=features)
    offline.ship_spool(loop)
    offline.join_rows(loop, world.blueprint.strategy)
    return loop, world.blueprint.strategy


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> hte.EffectReport:
    """Return the report of a shop whose discounts help different customers."""
    loop, name = open_shop(tmp_path_factory.mktemp("shop"))
    try:
        return hte.report(loop, name)
    finally:
        loop.close()


def test_who_gains_is_found(found: hte.EffectReport) -> None:
    """Loyal customers gain from early access, new ones do not: ranking, fifths, segments and importance show it."""
    assert found.verdict.verdict == "personalise"
    assert sum(found.shares.values()) == pytest.approx(1.0)
    assert found.rank["early access"].low > 0
    fifths = found.fifths["early access"]
    assert len(fifths) == 5
    assert fifths[0].mean > fifths[-1].mean
    by_loyalty = found.segments["loyalty"]["early access"]
    means = [each.mean for each in by_loyalty.segments.values()]
    assert means == sorted(means)
    assert by_loyalty.p < 1e-4
    assert next(iter(found.importance["early access"])) == "loyalty"
    assert sum(found.importance["early access"].values()) == pytest.approx(1.0)


def test_every_metric_is_weighed(found: hte.EffectReport) -> None:
    """What the choice changes is told of each metric; of the only goal it is the gain, before costs."""
    assert set(found.metrics) == {"bought"}
    assert found.metrics["bought"].low > 0
    assert "choosing by unit changes, against" in report_text(found)


def test_metric_changes_are_unbiased() -> None:
    """Over 400 draws of a trial with uneven shares, the change of a choice that is fixed beforehand is its truth."""
    means, covered = [], 0
    for seed in range(400):
        rng = np.random.default_rng(seed)
        x, arm = rng.normal(size=600), rng.choice(2, 600, p=[0.8, 0.2])
        seen = x + arm * x + rng.normal(size=600)
        table = SimpleNamespace(
            metrics={"m": np.where(rng.random(600) < 0.1, np.nan, seen), "rare": np.full(600, np.nan)},
            sample=SimpleNamespace(arm=arm, arms=2),
            groups=np.arange(600),
            propensity=np.where(arm == 1, 0.2, 0.8),
        )
        changes = metric_changes(table, (x > 0).astype(np.intp), 0)  # type: ignore[arg-type]
        assert set(changes) == {"m"}
        means.append(changes["m"].mean)
        covered += changes["m"].low < 1 / np.sqrt(2 * np.pi) < changes["m"].high
    assert np.mean(means) == pytest.approx(1 / np.sqrt(2 * np.pi), abs=4 * np.std(means) / 20)
    assert covered > 360  # of 400 at 95 %: below that in fewer than one run in 10,000


def ends(tree: Branch) -> list[Branch]:
    """Return the ends of a tree."""
    return [tree] if tree.yes is None or tree.no is None else ends(tree.yes) + ends(tree.no)


def test_the_tree_is_a_policy(found: hte.EffectReport) -> None:
    """Its ends hold every row once, its first question is the feature that matters, and it gains on rows unseen."""
    assert found.tree.question.startswith("loyalty <=")
    assert sum(end.n for end in ends(found.tree)) == found.tree.n == 8_000
    assert len({end.arm for end in ends(found.tree)}) > 1
    assert found.tree_gain.low > 0
    assert all(end.gain is not None and end.arm for end in ends(found.tree))


def test_words_say_what_the_numbers_say(found: hte.EffectReport) -> None:
    """The paragraph holds verdict, shares, what effects move with and the segments' ends; the text every table."""
    for part in (found.verdict.reason, "'early access' moves most with loyalty", "By loyalty, the measured effect of"):
        assert part in found.words
    text = report_text(found)
    for part in ("net value a decision", "Whom to give what", "if loyalty <=", "fifth 1", "channel: effect of"):
        assert part in text
    assert max(map(len, text.splitlines())) <= 120
    assert json.loads(json.dumps(found.to_dict()))["verdict"]["verdict"] == "personalise"


def test_nothing_is_found_where_nothing_is(tmp_path: Path) -> None:
    """Where everybody gains alike the words say so, and no feature's segments are said to differ."""
    loop, name = open_shop(tmp_path, heterogeneity=0.0)
    seen = hte.report(loop, name)
    loop.close()
    assert seen.verdict.verdict != "personalise"
    assert "No feature by itself shows segments whose effects differ beyond chance." in seen.words
    assert "moves most with" not in seen.words


def test_segments_are_parts() -> None:
    """Numbers fall into quarters, few values stand alone, categories keep their levels, gaps have a part."""
    rng = np.random.default_rng(0)
    values = rng.normal(size=1_000)
    values[:100] = np.nan
    parts = segments_of(values, Column("x", "number"))
    assert list(parts)[-1] == "(missing)"
    assert sum(int(rows.sum()) for rows in parts.values()) == 1_000
    assert len(parts) == 5
    assert list(segments_of(np.array([0.0, 1.0, 1.0]), Column("b", "number"))) == ["0", "1"]
    levels = tuple(f"l{index}" for index in range(12))
    coded = segments_of(rng.integers(0, 12, 1_000).astype(float), Column("c", "categorical", levels))
    assert list(coded) == [*levels[:8], "(others)"]


def test_a_tree_without_questions_is_one_line() -> None:
    """An end is one line with its arm and share."""
    assert tree_lines(Branch(arm="a", n=10), 10) == ["a  (100% of decisions)"]


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`abloop hte` prints the report, `--json` its numbers; what cannot be estimated ends with 1 and a sentence."""
    clock = ManualClock()
    loop = open_loop(tmp_path, clock)
    loop.register(two_arms(model={"repeats": 1, "learners": ["t"]}))
    send_traffic(loop, "checkout", 60, np.random.default_rng(0), effect=0.2)
    clock.advance(TTL + 1)
    offline.ship_spool(loop)
    offline.join_rows(loop, "checkout")
    arguments = ["hte", "checkout", "--url", f"sqlite:///{tmp_path}/abloop.db"]
    assert main(arguments) == 1
    assert "Each arm needs 100 units" in capsys.readouterr().err
    send_traffic(loop, "checkout", 1_500, np.random.default_rng(1), effect=0.25, prefix="v")
    clock.advance(TTL + 1)
    offline.ship_spool(loop)
    offline.join_rows(loop, "checkout")
    loop.close()
    assert main(arguments) == 0
    shown = capsys.readouterr().out
    assert "checkout, version 1: for whom each arm works." in shown
    assert "if x <=" in shown
    assert main([*arguments, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert set(told) >= {"verdict", "shares", "segments", "importance", "rank", "fifths", "tree", "words"}


def test_what_has_no_arms_is_refused(tmp_path: Path) -> None:
    """Effects need a choice of arms, and features that tell units apart."""
    loop = open_loop(tmp_path)
    number = {"strategy": "limit", "space": {"type": "number", "low": 0, "high": 1}}
    loop.register({**number, "policy": {"formula": "0.5"}, "metrics": [{"name": "bought"}]})
    with pytest.raises(DataError, match="decides a number; effects need a choice of arms"):
        hte.report(loop, "limit")
    loop.close()
