"""Real randomised trials, and one simulated, as frames with the blueprint that fits them.

Files are the user's own: nothing is downloaded. A loader checks columns, rows and arm shares, and says so
when they differ from the published ones.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from abloop.blueprint import Arm, Blueprint, Metric
from abloop.errors import DataError, MissingExtraError, UnknownNameError, unknown
from abloop.features.spec import Feature
from abloop.simulate.worlds import shop


@dataclass(frozen=True)
class Trial:
    """A trial ready for import and replay.

    Attributes:
        name: Its name.
        frame: One row a unit in file order, with columns `arm`, the features and the metrics,
            and `propensity` where it differs between units of one arm.
        blueprint: The strategy it becomes.
        truth: True value of each arm for each unit, shape (n, k), control first; None for real trials.
        note: What a reader must know of the data.
    """

    name: str
    frame: pd.DataFrame
    blueprint: Blueprint
    truth: NDArray[np.float64] | None = field(default=None, repr=False)
    note: str = ""


def load_trial(
    name: str, data: Path | None = None, *, metric: str = "", arms: tuple[str, ...] = (), seed: int = 0
) -> Trial:
    """Return a trial by name.

    Args:
        name: `thornton`, `hillstrom`, `starbucks` or `simulated`.
        data: The trial's CSV file, gzipped or not; only `hillstrom` and `starbucks` need one.
        metric: Hillstrom's outcome: `spend` (default), `visit` or `conversion`.
        arms: Hillstrom's arms, control first; all three where empty.
        seed: Of the simulated shop.

    Raises:
        UnknownNameError: No trial has that name.
        DataError: The file is missing or is not that trial.
        MissingExtraError: The package that ships the trial is not installed.
    """
    if name not in TRIALS:
        raise UnknownNameError(unknown("trial", name, TRIALS))
    if name == "hillstrom":
        return _hillstrom(data, metric or "spend", arms)
    if metric or arms:
        raise DataError(f"trial {name!r} has one outcome and fixed arms; --metric and --arms go with hillstrom")
    if name == "starbucks":
        return _starbucks(data)
    if data is not None:
        raise DataError(f"trial {name!r} needs no file; leave --data out, or name hillstrom or starbucks")
    return _thornton() if name == "thornton" else _simulated(seed)


TRIALS = ("thornton", "hillstrom", "starbucks", "simulated")
HILLSTROM_ARMS = {"No E-Mail": 21_306, "Mens E-Mail": 21_307, "Womens E-Mail": 21_387}


def _thornton() -> Trial:
    """Thornton (2008): cash incentives to learn one's HIV result in rural Malawi; from the package causaldata."""
    try:
        from causaldata import thornton_hiv
    except ImportError as error:
        raise MissingExtraError("trial 'thornton' needs the package causaldata: pip install 'abloop[demo]'") from error
    frame = thornton_hiv.load_pandas().data
    _check(frame, "thornton", 4_820, ["any", "got", "distvct", "age", "hiv2004"])
    frame = frame[frame["any"].notna() & frame["got"].notna()].reset_index(drop=True)
    frame = frame.assign(arm=np.where(frame["any"] == 1, "incentive", "none"))
    # The lottery gave cash more rarely in the north (villages from 100 on); within a region it was fair.
    frame = frame.assign(region=np.where(frame["villnum"] >= 100, "north", "south"))
    share = frame.groupby("region")["any"].transform("mean")
    frame = frame.assign(propensity=np.where(frame["any"] == 1, share, 1 - share))
    blueprint = Blueprint(
        strategy="thornton",
        unit="person",
        arms=(Arm(name="none", weight=0.22), Arm(name="incentive", weight=0.78)),
        metrics=(Metric(name="got", default=None),),
        features=(Feature("distvct"), Feature("age"), Feature("hiv2004", "categorical")),
    )
    return Trial(
        "thornton",
        frame,
        blueprint,
        note="Outcome: fetched the HIV result; arm incentive: any cash offered. Shares as observed in each region.",
    )


def _hillstrom(data: Path | None, metric: str, arms: tuple[str, ...]) -> Trial:
    """Hillstrom (2008): two e-mail campaigns against none; visit, conversion or spend in two weeks."""
    frame = _read(data, "hillstrom", "hillstrom.csv")
    features = ["recency", "history", "mens", "womens", "zip_code", "newbie", "channel"]
    _check(frame, "hillstrom", 64_000, [*features, "segment", "visit", "conversion", "spend"])
    counts = frame["segment"].value_counts().to_dict()
    if counts != HILLSTROM_ARMS:
        raise DataError(
            f"trial hillstrom: {data} has arms {counts}; published: {HILLSTROM_ARMS}. Use an unaltered file"
        )
    if metric not in ("visit", "conversion", "spend"):
        raise UnknownNameError(unknown("metric", metric, ["visit", "conversion", "spend"]))
    for arm in arms:
        if arm not in HILLSTROM_ARMS:
            raise UnknownNameError(unknown("arm", arm, HILLSTROM_ARMS))
    kept = arms or tuple(HILLSTROM_ARMS)
    frame = frame[frame["segment"].isin(kept)].rename(columns={"segment": "arm"}).reset_index(drop=True)
    blueprint = Blueprint(
        strategy="hillstrom",
        unit="customer",
        arms=tuple(Arm(name=arm) for arm in kept),
        metrics=(Metric(name=metric, default=None),),
        features=tuple(
            Feature(name, "categorical" if name in ("zip_code", "channel") else "numeric") for name in features
        ),
    )
    return Trial("hillstrom", frame, blueprint, note=f"Outcome: {metric} in the two weeks after the e-mail.")


def _starbucks(data: Path | None) -> Trial:
    """The Starbucks promotion exercise: value is 10 for a purchase, less 0.15 for a promotion sent."""
    frame = _read(data, "starbucks", "training.csv")
    features = [f"V{index}" for index in range(1, 8)]
    _check(frame, "starbucks", 84_534, ["ID", "Promotion", "purchase", *features])
    frame = frame.assign(arm=frame["Promotion"].map({"No": "no promotion", "Yes": "promotion"}))
    blueprint = Blueprint(
        strategy="starbucks",
        unit="customer",
        arms=(Arm(name="no promotion"), Arm(name="promotion", cost=0.15)),
        metrics=(Metric(name="purchase", value=10.0, default=None),),
        features=tuple(Feature(name) for name in features),
    )
    return Trial(
        "starbucks",
        frame,
        blueprint,
        note="A teaching data set with a simulated assignment, not real traffic.",
    )


def _simulated(seed: int) -> Trial:
    """A shop with crossing effects and known truth."""
    world = shop(np.random.default_rng(seed), 40_000)
    return Trial("simulated", world.frame, world.blueprint, world.truth, "A simulated shop: the truth is known.")


def _read(data: Path | None, trial: str, file: str) -> pd.DataFrame:
    if data is None:
        raise DataError(
            f"trial {trial!r} needs its file: --data PATH (a folder with {file} or {file}.gz, or the file itself)"
        )
    found = [path for path in (data, data / file, data / f"{file}.gz") if path.is_file()]
    if not found:
        raise DataError(f"trial {trial!r}: {data} is no file and no folder with {file} or {file}.gz")
    try:
        return pd.read_csv(found[0])
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"trial {trial!r}: {found[0]} is not a CSV file: {error}") from error


def _check(frame: pd.DataFrame, trial: str, rows: int, columns: list[str]) -> None:
    for name in columns:
        if name not in frame.columns:
            raise DataError(f"trial {trial}: {unknown('column', name, map(str, frame.columns))}. Use an unaltered file")
    if len(frame) != rows:
        raise DataError(f"trial {trial}: {len(frame):,} rows; published: {rows:,}. Use an unaltered file")
