"""Two rankers that took turns within each list: whose candidates got more. One list says as much as many units do."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pyarrow.compute as pc
from scipy.stats import binomtest

from abloop.errors import DataError, unknown
from abloop.evaluate.ope import clustered_mean
from abloop.records import Decision, decode_many
from abloop.stats.compare import Estimate
from abloop.store import parquet
from abloop.store.workspace import Workspace


class Interleaved(msgspec.Struct, frozen=True, kw_only=True):
    """Whose candidates got more of a metric.

    Attributes:
        strategy: Its name.
        version: Blueprint version.
        metric: What is counted.
        lists: Lists in which both rankers placed candidates.
        wins: Lists in which the challenger's candidates got more.
        losses: Lists in which the policy's did.
        p: Of the hypothesis that both are as likely to get more; sign test, two-sided.
        gain: What the challenger's candidates got more than the policy's, a list, with a 95 % interval by unit.
        words: All that in a sentence.
    """

    strategy: str
    version: int
    metric: str
    lists: int
    wins: int
    losses: int
    p: float
    gain: Estimate
    words: str

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data."""
        found: dict[str, Any] = msgspec.to_builtins(self)
        return found


def interleaved(workspace: Workspace, strategy: str, metric: str = "") -> Interleaved:
    """Return how a ranking's challenger does, from the complete rows of the served version.

    Args:
        workspace: What `abloop.connect` gave.
        strategy: Its name.
        metric: What is counted; the first goal where empty.

    Raises:
        UnknownNameError: There is no such strategy.
        DataError: There is no challenger or metric, or no list yet.
        StoreError: Database or table cannot be used.
    """
    version, blueprint = workspace.catalogue.blueprint(strategy, workspace.catalogue.serving(strategy).version)
    names, metric = [each.name for each in blueprint.metrics], metric or blueprint.goals()[0].name
    if metric not in names:
        raise DataError(unknown("metric", metric, names))
    if not blueprint.ranking.challenger:
        raise DataError(f"strategy {strategy!r} has no challenger; give ranking.challenger another formula")
    listed = [file for file in workspace.manifest.files(strategy) if file.version == version]
    files = parquet.paths(workspace.table_directory, [file.name for file in listed])
    if not files:
        raise _no_lists(strategy, version)
    table = parquet.read(files, ["decision_id", "unit", "record", f"y.{metric}"])
    values = np.nan_to_num(table[f"y.{metric}"].to_numpy().astype(np.float64)) if table.num_rows else np.empty(0)
    signs = np.zeros(len(values))
    for row, record in enumerate(decode_many(table["record"].to_pylist()) if len(values) else []):
        team = record.decision.get("team") if isinstance(record, Decision) and isinstance(record.decision, dict) else ""
        signs[row] = {"challenger": 1.0, "policy": -1.0}.get(str(team), 0.0)
    if not signs.any():
        raise _no_lists(strategy, version)
    heads = pc.replace_substring_regex(table["decision_id"], pattern="/[0-9]+$", replacement="")
    lists = heads.combine_chunks().dictionary_encode().indices.to_numpy()
    units = table["unit"].combine_chunks().dictionary_encode().indices.to_numpy()
    return _compare(strategy, version, metric, values, signs, lists, units)


def _no_lists(strategy: str, version: int) -> DataError:
    return DataError(f"strategy {strategy!r} has no complete list of version {version} that two rankers made yet")


def _compare(
    strategy: str,
    version: int,
    metric: str,
    values: np.ndarray,
    signs: np.ndarray,
    lists: np.ndarray,
    units: np.ndarray,
) -> Interleaved:
    teams = np.bincount(lists, np.abs(signs)) > 1
    gains = np.bincount(lists, values * signs)[teams].astype(np.float64)
    owner = np.zeros(len(teams), dtype=np.intp)
    owner[lists] = units
    _, groups = np.unique(owner[teams], return_inverse=True)
    wins, losses = int((gains > 0).sum()), int((gains < 0).sum())
    mean, error = clustered_mean(gains, groups)
    gain = Estimate(len(gains), mean, mean - 1.96 * error, mean + 1.96 * error)
    p = float(binomtest(wins, wins + losses).pvalue) if wins + losses else 1.0
    said = "more" if gain.low > 0 else "less" if gain.high < 0 else "not provably more or less"
    words = (
        f"In {len(gains):,} lists the challenger's candidates got {said} {metric!r} than the policy's: {mean:+.4g} a "
        f"list ({gain.low:+.4g} to {gain.high:+.4g}); more in {wins:,} lists, less in {losses:,} (p = {p:.2g})."
    )
    return Interleaved(
        strategy=strategy,
        version=version,
        metric=metric,
        lists=len(gains),
        wins=wins,
        losses=losses,
        p=p,
        gain=gain,
        words=words,
    )
