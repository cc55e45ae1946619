"""Clusters: agreement with statsmodels' regression, with the delta method, and coverage."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given
from hypothesis import strategies as st

from abloop.errors import DataError
from abloop.stats.cluster import ClusterSums, Correction, cluster_sums, clustered_difference
from abloop.stats.compare import difference
from abloop.stats.moments import moments


def rows(seed: int, clusters: int = 40, *, mixed: bool = True) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return values, arms and clusters of rows; arms differ within clusters where they are mixed."""
    rng = np.random.default_rng(seed)
    of = np.repeat(np.arange(clusters), rng.integers(1, 12, clusters))
    treated = rng.random(len(of)) < 0.4 if mixed else (np.arange(clusters) % 2 == 0)[of]
    return 10 + rng.normal(size=clusters)[of] + rng.normal(size=len(of)), treated, of


@pytest.mark.parametrize("mixed", [True, False])
@pytest.mark.parametrize("correction", ["CR0", "CR1"])
@given(seed=st.integers(0, 10_000))
def test_equals_statsmodels(mixed: bool, correction: Correction, seed: int) -> None:
    """Difference, error, interval and p-value are those of OLS on the arm with cov_type cluster, to 1e-9."""
    y, treated, of = rows(seed, mixed=mixed)
    fit = sm.OLS(y, sm.add_constant(treated.astype(float))).fit(
        cov_type="cluster", cov_kwds={"groups": of, "use_correction": correction == "CR1"}, use_t=True
    )
    found = clustered_difference(cluster_sums(y, treated, of), correction=correction)
    assert found.estimate.mean == pytest.approx(fit.params[1], rel=1e-9, abs=1e-11)
    assert found.error == pytest.approx(fit.bse[1], rel=1e-9)
    assert [found.estimate.low, found.estimate.high] == pytest.approx(fit.conf_int()[1].tolist(), rel=1e-8, abs=1e-10)
    assert found.p == pytest.approx(fit.pvalues[1], rel=1e-7, abs=1e-12)


def test_agrees_with_moments_where_clusters_lie_in_one_arm() -> None:
    """Where units were randomised, the variance is that of the arms' moments but for the small-sample factor."""
    y, treated, of = rows(4, 300, mixed=False)
    arms = []
    for side in (True, False):
        code = np.unique(of[treated == side], return_inverse=True)[1]
        arms.append(moments(np.bincount(code, y[treated == side]).tolist(), np.bincount(code).astype(float).tolist()))
    plain = difference(*arms)
    found = clustered_difference(cluster_sums(y, treated, of), correction="CR0")
    expected = math.sqrt(sum(arm.variance_of_mean * (arm.units - 1) / arm.units for arm in arms))
    assert found.error == pytest.approx(expected, rel=1e-9)
    assert found.estimate.mean == pytest.approx(plain.mean, rel=1e-9)


@given(st.integers(0, 10_000), st.integers(0, 40))
def test_parts_merge_to_the_whole(seed: int, cut: int) -> None:
    """The sums of two sets of clusters merge to the sums of all, also where one is empty."""
    y, treated, of = rows(seed)
    left = of < cut
    parts = [cluster_sums(y[part], treated[part], of[part]) for part in (left, ~left)]
    whole, merged = cluster_sums(y, treated, of), parts[0].merge(parts[1])
    assert merged.clusters == whole.clusters
    assert merged.sums == pytest.approx(whole.sums, rel=1e-12)
    assert np.array(merged.products) == pytest.approx(np.array(whole.products), rel=1e-9, abs=1e-6)


def test_what_is_not_known_has_a_reason() -> None:
    """An empty arm, one cluster and rows that do not vary give a reason and no NaN."""
    for values, treated, of, reason in (
        ([1.0, 2.0], [True, True], [1, 2], "control has no rows"),
        ([1.0, 2.0], [False, False], [1, 2], "treatment has no rows"),
        ([], [], [], "treatment has no rows"),
        ([1.0, 2.0, 3.0], [True, False, True], [1, 1, 1], "1 clusters of 3 rows"),
        ([1.0] * 6, [True, False] * 3, [1, 1, 2, 2, 3, 3], "no variance"),
    ):
        found = clustered_difference(cluster_sums(values, treated, of))
        assert reason in found.reason
        assert (found.p, found.error) == (1.0, math.inf)
        assert not math.isnan(found.estimate.mean)


def test_bad_rows_are_named() -> None:
    """Shapes that differ, NaN and negative counts are refused by name."""
    with pytest.raises(DataError, match="2 values, 1 arms, 2 clusters"):
        cluster_sums([1.0, 2.0], [True], [1, 2])
    with pytest.raises(DataError, match="1 of 2 values are not finite"):
        cluster_sums([1.0, math.nan], [True, False], [1, 2])
    bad = ClusterSums(3, (1.0, -1.0, 1.0, 1.0), ((0.0,) * 4,) * 4)
    with pytest.raises(DataError, match=re.escape("its rows is -1.0")):
        clustered_difference(bad)
    with pytest.raises(DataError, match="CR0"):
        clustered_difference(bad, correction="CR3")  # type: ignore[arg-type]
