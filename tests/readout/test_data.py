"""A readout of rows that are somewhere else: the numbers of SciPy and statsmodels, and bad input named."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf
from scipy import stats

import abloop
from abloop.errors import BlueprintError, DataError, StoreError
from abloop.readout import Comparison, Readout

SHOP: dict[str, Any] = {
    "strategy": "shop",
    "arms": [{"name": "a"}, {"name": "b"}, {"name": "c"}],
    "metrics": [{"name": "spend"}, {"name": "bought", "role": "secondary"}, {"name": "visits", "role": "secondary"}],
    "features": [{"name": "before"}, {"name": "age"}, {"name": "country", "type": "categorical"}],
}


def rows(seed: int, n: int = 1_200, lift: float = 0.0) -> pd.DataFrame:
    """Return units with an arm, what was known before and outcomes; arm c has a lift."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame({"unit": [f"u{number}" for number in range(n)], "arm": rng.choice(list("abc"), n)})
    frame["before"], frame["age"] = rng.gamma(2.0, 3.0, n), rng.normal(40, 10, n)
    frame["country"] = rng.choice(["FI", "SE", "DK", "NO", ""], n)
    frame["spend"] = 2.0 + frame["before"] * 0.7 + rng.normal(0, 2, n) + lift * (frame["arm"] == "c")
    frame["bought"] = (rng.random(n) < 0.3 + 0.05 * (frame["arm"] == "c")).astype(int)
    frame["visits"] = rng.poisson(3, n) + frame["bought"]
    frame["at"] = 1.7e9 + rng.uniform(0, 5 * 86_400, n)
    return frame


def said(found: Readout, metric: str, arm: str) -> Comparison:
    """Return an arm against control."""
    each = next(each for each in found.metrics if each.metric == metric)
    comparison = next(result for result in each.arms if result.arm == arm).comparison
    assert comparison is not None
    return comparison


@pytest.mark.parametrize("seed", range(5))
def test_means_are_welchs(seed: int) -> None:
    """Difference, interval and p-value are those of SciPy's Welch test, for every metric and arm."""
    frame = rows(seed, lift=0.2)
    found = abloop.readout(frame, SHOP)
    control = frame[frame["arm"] == "a"]
    for metric in ("spend", "bought", "visits"):
        for arm in "bc":
            mine = frame[frame["arm"] == arm]
            test = stats.ttest_ind(mine[metric], control[metric], equal_var=False)
            low, high = test.confidence_interval()
            ours = said(found, metric, arm).difference
            assert ours.p_value == pytest.approx(test.pvalue, rel=1e-9)
            assert (ours.low, ours.high) == pytest.approx((low, high), rel=1e-9)
            assert said(found, metric, arm).relative.value == pytest.approx(
                mine[metric].mean() / control[metric].mean() - 1
            )


def test_units_of_several_rows_are_clusters() -> None:
    """A mean over rows of units that have several is as uncertain as a regression with clustered errors says."""
    frame = rows(1, 600)
    frame["unit"] = frame.groupby("arm").cumcount().floordiv(3).astype(str) + frame["arm"]
    found = said(abloop.readout(frame, SHOP, unit="unit"), "spend", "b").difference
    both = frame[frame["arm"] != "c"].assign(treated=lambda each: (each["arm"] == "b").astype(float))
    fit = smf.ols("spend ~ treated", both).fit(cov_type="cluster", cov_kwds={"groups": both["unit"].factorize()[0]})
    assert found.value == pytest.approx(fit.params["treated"])
    assert found.error == pytest.approx(fit.bse["treated"], rel=0.01)  # statsmodels scales for few clusters otherwise


def test_covariates_take_variance_away() -> None:
    """With one covariate the variance falls by its squared correlation; with two it is that of both."""
    frame = rows(2, 4_000)
    found = said(abloop.readout(frame, SHOP, reading={"covariates": ["before", "age"]}), "spend", "b")
    both = frame[frame["arm"] != "c"]
    parts = [part for _, part in both.groupby("arm")]
    centred = pd.concat([part[["spend", "before", "age"]] - part[["spend", "before", "age"]].mean() for part in parts])
    fit = smf.ols("spend ~ before + age", centred).fit()
    assert found.cut == pytest.approx(fit.rsquared, abs=0.01)
    assert found.difference.error < said(abloop.readout(frame, SHOP), "spend", "b").difference.error


@pytest.mark.parametrize("inference", ["fixed", "sequential", "group", "bayes"])
def test_each_inference_finds_a_large_lift_and_says_so(inference: str) -> None:
    """A lift of a standard deviation is clear, the control arm b is not, and what to do is said."""
    frame = rows(3, 3_000, lift=3.0)
    found = abloop.readout(frame, SHOP, time="at", reading={"inference": inference, "planned": 3_000})
    assert said(found, "spend", "c").significant
    assert not said(found, "spend", "b").significant
    assert (found.recommendation.advice, found.recommendation.arm) == ("ship", "c")
    assert "clearly better on spend" in found.recommendation.text
    assert (said(found, "spend", "c").chance is not None) == (inference == "bayes")


def test_always_valid_intervals_are_wider() -> None:
    """What holds at every look costs width, and days add up to all units."""
    frame = rows(4)
    fixed = abloop.readout(frame, SHOP, time="at")
    always = abloop.readout(frame, SHOP, time="at", reading={"inference": "sequential"})
    assert said(always, "spend", "b").difference.error == pytest.approx(said(fixed, "spend", "b").difference.error)
    assert always.metrics[0].arms[1].lift.low < fixed.metrics[0].arms[1].lift.low  # type: ignore[union-attr]
    days = [point for point in fixed.metrics[0].days if point.arm == "b"]
    assert [point.day for point in days] == sorted({str(day)[:10] for day in pd.to_datetime(frame["at"], unit="s")})
    assert days[-1].fixed.mean == pytest.approx(said(fixed, "spend", "b").relative.value)
    assert days[-1].always.low < days[-1].fixed.low
    assert fixed.days in (5.0, 6.0)


def test_many_measures_are_allowed_for() -> None:
    """Holm's p-values are those of statsmodels over all measures and arms."""
    from statsmodels.stats.multitest import multipletests

    frame = rows(5, lift=0.3)
    plain = abloop.readout(frame, SHOP)
    for correction, method in (("holm", "holm"), ("bh", "fdr_bh")):
        found = abloop.readout(frame, SHOP, reading={"correction": correction})
        pairs = [(metric.metric, arm) for metric in found.metrics for arm in "bc"]
        given = [said(plain, *pair).difference.p_value for pair in pairs]
        assert [said(found, *pair).adjusted for pair in pairs] == pytest.approx(multipletests(given, method=method)[1])


def test_floors_come_before_significance() -> None:
    """Before the least units and days nothing is called significant, however large it is."""
    frame = rows(6, 900, lift=9.0)
    assert said(abloop.readout(frame, SHOP), "spend", "c").significant
    few = abloop.readout(frame, SHOP, reading={"least_units": 1_000})
    assert not said(few, "spend", "c").significant
    assert few.recommendation.advice == "keep running"
    assert "of the 1,000 units" in few.recommendation.text
    early = abloop.readout(frame, SHOP, time="at", reading={"least_days": 14})
    assert not said(early, "spend", "c").significant
    assert "of the 14 days" in early.recommendation.text


def test_segments_are_drawn_together() -> None:
    """Lifts by country lie between what was measured and their mean, and a missing value is a segment."""
    frame = rows(7, 3_000)
    found = abloop.readout(frame, SHOP, reading={"segments": ["country"]})
    differ = found.metrics[0].segments["country"]["b"]
    assert set(differ.segments) == {"FI", "SE", "DK", "NO", "(none)"}
    for name, each in differ.segments.items():
        part = frame[frame["country"] == ("" if name == "(none)" else name)]
        raw = part[part["arm"] == "b"]["spend"].mean() - part[part["arm"] == "a"]["spend"].mean()
        low, high = sorted((raw, differ.pooled.mean))
        assert low - 1e-9 <= each.mean <= high + 1e-9
    assert "Segments differ: p =" in found.summary()


def test_strata_weigh_alike() -> None:
    """Post-stratification changes an unbalanced comparison towards the truth, and takes variance away."""
    rng = np.random.default_rng(8)
    frame = rows(8, 4_000)
    frame["spend"] += 20.0 * (frame["country"] == "FI")
    frame = frame[~((frame["arm"] == "b") & (frame["country"] == "FI") & (rng.random(len(frame)) < 0.3))]
    plain = said(abloop.readout(frame, SHOP), "spend", "b")
    found = said(abloop.readout(frame, SHOP, reading={"stratum": "country"}), "spend", "b")
    assert plain.difference.value < -0.5
    assert abs(found.difference.value) < 0.4
    assert found.cut > 0.5


def test_quantiles_ratios_and_guardrails() -> None:
    """Other kinds are in the same table; a guardrail within its margin passes, one far beyond it takes the arm out."""
    frame = rows(9, 6_000)
    frame["wait"] = np.random.default_rng(9).lognormal(0, 1, len(frame)) * np.where(frame["arm"] == "c", 1.5, 1.0)
    shop = {**SHOP, "metrics": [*SHOP["metrics"], {"name": "wait", "role": "secondary"}]}
    measures = [
        {"name": "p90", "of": "wait", "kind": "quantile", "level": 0.9},
        {"name": "per visit", "of": "spend", "per": "visits"},
        {"name": "slow", "of": "wait", "role": "guardrail", "better": "lower", "margin": 0.2},
    ]
    found = abloop.readout(frame, shop, reading={"measures": measures})
    ours = said(found, "p90", "c").difference
    control, mine = (np.sort(frame[frame["arm"] == arm]["wait"]) for arm in "ac")
    assert ours.value == pytest.approx(np.quantile(mine, 0.9) - np.quantile(control, 0.9), rel=0.02)
    assert ours.low > 0
    assert (said(found, "slow", "b").guardrail, said(found, "slow", "c").guardrail) == ("pass", "fail")
    assert (found.recommendation.advice, found.recommendation.arm) == ("roll back", "c")
    assert "guardrail 'slow' is worse than it may be" in found.recommendation.text


def test_a_mismatch_stops_everything() -> None:
    """Shares that are not those of the plan are an alarm, and no number is to be believed."""
    frame = rows(10, 6_000, lift=5.0)
    frame = frame[~((frame["arm"] == "c") & (frame["spend"] > frame["spend"].median()))]
    found = abloop.readout(frame, SHOP)
    assert found.srm_always < 0.001
    assert found.recommendation.advice == "unhealthy"
    assert found.notes[0].startswith("Sample ratio mismatch")


WRONG: dict[str, tuple[dict[str, Any], type[Exception], str]] = {
    "no arm column": ({"arm": "variant"}, DataError, "arm: unknown column 'variant'"),
    "no unit column": ({"unit": "user"}, DataError, "unit: unknown column 'user'"),
    "no outcome": ({"outcomes": {"spend": "money"}}, DataError, "spend: unknown column 'money'"),
    "no metric": ({"outcomes": {"spent": "spend"}}, DataError, "outcomes: unknown metric 'spent'"),
    "no covariate": ({"reading": {"covariates": ["agee"]}}, BlueprintError, "unknown feature 'agee'"),
    "no column of it": ({"features": {"before": "prior"}}, DataError, "before: unknown column 'prior'"),
    "no measure": ({"reading": {"measures": [{"name": "x", "of": "y"}]}}, BlueprintError, "unknown metric 'y'"),
    "retention": (
        {"reading": {"measures": [{"name": "d7", "of": "bought", "kind": "share", "after": "7d"}]}},
        DataError,
        "times of outcomes",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_named(case: str) -> None:
    """A wrong argument is refused with what came and what there is."""
    arguments, error, words = WRONG[case]
    with pytest.raises(error, match=words):
        abloop.readout(rows(0), SHOP, **arguments)


def test_wrong_values_are_named() -> None:
    """Text for a number, an infinite value, a strange or empty arm, no variance: named, and never a silent NaN."""
    with pytest.raises(StoreError, match="Could not convert string 'many'"):
        abloop.readout(rows(0).assign(spend="many"), SHOP)
    frame = rows(0)
    frame.loc[3, "spend"] = np.inf
    with pytest.raises(DataError, match="measure 'spend' has NaN or infinite values in arm"):
        abloop.readout(frame, SHOP)
    with pytest.raises(DataError, match="units are in arm 'd': unknown arm 'd'"):
        abloop.readout(rows(0).assign(arm="d"), SHOP)
    with pytest.raises(DataError, match="allowed for data of your own: a blueprint"):
        abloop.readout(rows(0), "shop")
    none = rows(0)
    found = abloop.readout(none[none["arm"] != "b"], SHOP)
    assert any("No units in arm 'b'" in note for note in found.notes)
    flat = abloop.readout(rows(0).assign(spend=1.0), SHOP)
    assert any("No interval for 'spend' in arm 'b'" in note for note in flat.notes)
    for each in (found, flat):
        assert "nan" not in each.summary()


def test_net_value_takes_costs_off() -> None:
    """Goals in value less the arm's cost are the first metric, and decide."""
    frame = rows(12, 3_000, lift=0.5)
    shop = {**SHOP, "arms": [{"name": "a"}, {"name": "b"}, {"name": "c", "cost": 3.0}]}
    found = abloop.readout(frame, shop)
    assert found.metrics[0].metric == "net value"
    mean = {arm: part["spend"].mean() for arm, part in frame.groupby("arm")}
    assert said(found, "net value", "c").difference.value == pytest.approx(mean["c"] - 3.0 - mean["a"])
    assert (found.recommendation.advice, found.recommendation.arm) == ("roll back", "c")


def test_units_in_several_arms_are_said() -> None:
    """A unit that was exposed to two arms is counted and said."""
    frame = rows(0)
    frame.loc[:9, "unit"] = "twice"
    found = abloop.readout(frame, SHOP, unit="unit")
    assert any(note.startswith("1 units are in several arms") for note in found.notes)


def test_files_and_urls(tmp_path: Path) -> None:
    """A Parquet path, a list of them and a database give what the frame gives."""
    import sqlite3

    frame = rows(11)
    frame.to_parquet(tmp_path / "x.parquet")
    with sqlite3.connect(tmp_path / "x.db") as connection:
        frame.to_sql("exposures", connection, index=False)
    connection.close()
    wanted = said(abloop.readout(frame, SHOP, unit="unit"), "spend", "c").difference
    url = f"sqlite:///{tmp_path}/x.db"
    for data, table in (
        (tmp_path / "x.parquet", ""),
        ([str(tmp_path / "x.parquet")], ""),
        (url, "exposures"),
        (url, "SELECT * FROM exposures"),
    ):
        ours = said(abloop.readout(data, SHOP, unit="unit", table=table), "spend", "c").difference
        assert (ours.value, ours.error) == pytest.approx((wanted.value, wanted.error), rel=1e-9)
        assert math.isfinite(ours.p_value)


def test_a_plan_is_not_stretched_after_the_fact() -> None:
    """Where more units came than planned, the plan is kept; a longer one has spent less by now, and is wider."""
    frame = rows(13, 3_000)
    planned = abloop.readout(frame, SHOP, time="at", reading={"inference": "group", "planned": 2_000})
    longer = abloop.readout(frame, SHOP, time="at", reading={"inference": "group", "planned": 200_000})
    fixed = abloop.readout(frame, SHOP, time="at")
    width = [said(each, "spend", "b").difference for each in (fixed, planned, longer)]
    assert width[0].high - width[0].low < width[1].high - width[1].low < width[2].high - width[2].low
