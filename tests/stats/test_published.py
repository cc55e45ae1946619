"""Real experiments by path: the published numbers of ../shared/design/data.md that need only means."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from abloop.stats.compare import effect
from abloop.stats.contrast import contrast
from abloop.stats.estimand import Estimand
from abloop.stats.moments import Products, products

Y = Estimand("y")


def plain(values: pd.Series) -> Products:
    """Return the moments of one column, y."""
    return products({"y": values.astype(float).tolist()})


@pytest.mark.trial
def test_cookie_cats_seven_day_retention(shared_data: Path) -> None:
    """Moving the gate from level 30 to 40: z -3.16 and p .0016 for seven days, p .074 for one."""
    trial = pd.read_csv(shared_data / "cookie_cats" / "cookie_cats.csv.gz")
    for metric, z, p_value in (("retention_7", -3.16, 0.0016), ("retention_1", -1.78, 0.074)):
        late, early = (plain(trial.loc[trial["test_version"] == gate, metric]) for gate in ("gate_40", "gate_30"))
        found = effect(contrast(late, early, Estimand("y", proportion=True)), law="z")
        assert found.value / found.error == pytest.approx(z, abs=0.005)
        assert found.p_value == pytest.approx(p_value, abs=5e-4)


@pytest.mark.trial
def test_hillstrom_effects(shared_data: Path) -> None:
    """E-mails raise visits by .0766 (.0034) and .0452 (.0032), spend by .770 (.145) and .424 (.130)."""
    trial = pd.read_csv(shared_data / "hillstrom" / "hillstrom.csv.gz")
    arms = dict(iter(trial.groupby("segment")))
    control = arms.pop("No E-Mail")
    published = {"Mens E-Mail": (0.0766, 0.0034, 0.770, 0.145), "Womens E-Mail": (0.0452, 0.0032, 0.424, 0.130)}
    for arm, numbers in published.items():
        for metric, value, error in (("visit", *numbers[:2]), ("spend", *numbers[2:])):
            found = effect(contrast(plain(arms[arm][metric]), plain(control[metric]), Y))
            assert found.value == pytest.approx(value, abs=6e-4)
            assert found.error == pytest.approx(error, abs=6e-4)


@pytest.mark.trial
def test_national_supported_work(shared_data: Path) -> None:
    """Training raised earnings of 1978 by $1,794.34, standard error 671 (Dehejia, Wahba 1999); covariates narrow it."""
    trial = pd.read_csv(shared_data / "lalonde_nsw" / "nsw_mixtape.csv.gz")
    names = ["educ", "age", "black", "re74", "re75"]
    arms = [
        products(
            {"y": arm["re78"].astype(float).tolist(), **{name: arm[name].astype(float).tolist() for name in names}}
        )
        for _, arm in trial.groupby("treat")
    ]
    control, treatment = arms
    found = effect(contrast(treatment, control, Y))
    assert found.value == pytest.approx(1794.34, abs=0.005)
    assert found.error == pytest.approx(671.0, abs=0.05)
    taken = effect(contrast(treatment, control, Estimand("y", covariates=tuple(map(Estimand, names)))))
    assert taken.error < found.error
    assert abs(taken.value - found.value) < found.error / 2
