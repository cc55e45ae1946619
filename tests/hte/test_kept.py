"""Reports are kept whole and read without learners; figures show their numbers; the worker makes them."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path

import msgspec
import numpy as np
import pytest

from abloop import figures, hte, offline
from abloop.cli import main
from abloop.errors import DataError, UnknownNameError
from abloop.learners.candidates import CONSTANT
from abloop.loop import Loop
from abloop.store.reports import Kept
from abloop.testing import ManualClock
from abloop.worker import Worker
from tests.loops import TTL, open_loop, send_traffic, two_arms

QUICK = {"learners": ["t_linear"], "folds": 2, "repeats": 1}


@pytest.fixture(scope="module")
def loop(tmp_path_factory: pytest.TempPathFactory) -> Loop:
    """Return an installation whose strategy helps half of its units."""
    clock = ManualClock()
    found = open_loop(tmp_path_factory.mktemp("home"), clock)
    found.register(two_arms(model=QUICK))
    send_traffic(found, "checkout", 1_500, np.random.default_rng(0), effect=0.25)
    clock.advance(TTL + 1)
    return found


@pytest.fixture(scope="module")
def report(loop: Loop) -> hte.EffectReport:
    """Return the report that the worker made when it asked the gate."""
    turn = Worker(loop).turn()
    assert not turn.failed
    kept = hte.newest(loop, "checkout")
    assert kept is not None
    assert kept.who == "worker"
    return kept.report


def test_what_is_kept_is_what_was_made(loop: Loop, report: hte.EffectReport) -> None:
    """A report comes back equal, NaN included; the newest is read, few are kept."""
    strange = type(report.tree_gain)(1, 0.0, math.nan, math.inf)
    broken = msgspec.structs.replace(report, tree_gain=strange)
    hte.keep(loop, broken, who="maria")
    kept = hte.newest(loop, "checkout")
    assert kept is not None
    assert repr(kept.report) == repr(broken)
    for _ in range(25):
        hte.keep(loop, report, who="li")
    assert hte.newest(loop, "checkout") == hte.KeptReport(loop.clock(), "li", report)
    with loop.database.reading() as connection:
        assert connection.exec_driver_sql("SELECT COUNT(*) FROM abloop_reports").scalar() == loop.reports.MOST


def test_no_report_and_a_strange_one_are_none(loop: Loop) -> None:
    """Without a report, or with one that this abloop cannot read, there is none."""
    assert hte.newest(loop, "other") is None
    loop.reports.add(Kept("strange", "effects", 1, 0.0, 0, "x", b"\xc0"))
    assert hte.newest(loop, "strange") is None


def test_the_gain_is_the_gates(report: hte.EffectReport) -> None:
    """The value of choosing above the best arm is the gate's gain, where it trusts a learner."""
    assert report.verdict.learner != CONSTANT
    assert report.against[report.verdict.arm].mean == pytest.approx(report.verdict.gain)
    assert report.personalised is not None
    best = report.verdict.arms[report.verdict.arm].mean
    assert report.personalised.mean - best == pytest.approx(report.verdict.gain)
    assert report.rows == report.verdict.rows == 1_500
    for shares in report.given["x"].values():
        assert sum(shares.values()) == pytest.approx(1.0)
    low, high = (list(report.given["x"].values())[place]["green"] for place in (0, -1))
    assert low < 0.2 < 0.8 < high


@pytest.mark.parametrize("kind", ["effects", "parts", "calibration", "gain", "more", "policies", "importance"])
def test_figures_show_the_numbers_of_the_report(report: hte.EffectReport, kind: str) -> None:
    """Each figure is drawn from the report's own numbers."""
    drawn = json.loads(report.plot(kind).to_json())["data"]  # type: ignore[arg-type]
    numbers = [value for trace in drawn for axis in ("x", "y") for value in trace[axis] if isinstance(value, float)]
    expected = {
        "effects": report.predicted["green"].counts[0] / 1_500,
        "parts": report.calibration["green"][0].measured.mean,
        "calibration": report.calibration["green"][0].predicted,
        "gain": report.curves["green"][4].gain.mean,
        "more": report.curves["green"][4].more.mean,
        "policies": report.against["blue"].mean + report.verdict.arms["blue"].mean,
        "importance": report.importance["green"]["x"],
    }[kind]
    assert any(value == pytest.approx(expected) for value in numbers)


def test_wrong_figures_say_what_there_is(report: hte.EffectReport) -> None:
    """A figure or a treatment that is not there is named with those that are; nothing to draw is said."""
    with pytest.raises(UnknownNameError, match="'parts'"):
        report.plot("pats")  # type: ignore[arg-type]
    with pytest.raises(UnknownNameError, match="'green'"):
        report.plot("parts", "gren")
    with pytest.raises(DataError, match="no gain"):
        figures.gains([])


def test_reading_a_report_loads_no_learner(loop: Loop) -> None:
    """The dashboard reads reports without the packages that make them."""
    code = (
        "import sys\nfrom abloop.hte.kept import newest\nfrom abloop.store.workspace import Workspace\n"
        f"assert newest(Workspace({loop.database.url!r}), 'checkout')\n"
        "print({'sklearn', 'lightgbm', 'econml', 'pandas'} & set(sys.modules))"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=root)
    assert done.stdout.strip() == "set()"


def test_the_command_keeps_a_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`abloop hte --keep` and `abloop cycle` leave the newest report for the dashboard."""
    clock = ManualClock()
    loop = open_loop(tmp_path, clock)
    loop.register(two_arms(model=QUICK))
    send_traffic(loop, "checkout", 600, np.random.default_rng(0), effect=0.25)
    clock.advance(TTL + 1)
    offline.ship_spool(loop)
    offline.join_rows(loop, "checkout")
    url = f"sqlite:///{tmp_path}/abloop.db"
    assert main(["hte", "checkout", "--url", url]) == 0
    assert hte.newest(loop, "checkout") is None
    assert main(["hte", "checkout", "--keep", "--url", url]) == 0
    first = hte.newest(loop, "checkout")
    assert main(["cycle", "checkout", "--url", url]) == 0
    second = hte.newest(loop, "checkout")
    capsys.readouterr()
    loop.close()
    assert first is not None
    assert second is not None
    assert second.who == "cycle"
    assert second.at >= first.at
