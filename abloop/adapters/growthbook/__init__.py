"""GrowthBook's Python calls, evaluated by abloop: keep the product's code, change the import.

    from abloop.adapters.growthbook import GrowthBook

    gb = GrowthBook(attributes={"id": "u-17"}, features=payload["features"], loop="sqlite:///abloop.db")
    gb.get_feature_value("button", "blue")  # the arm that GrowthBook gives, until abloop has proven a better one
    gb.log_event("purchase", {"value": 12.5})

Buckets are bit for bit those of the package `growthbook` 4.0.0, which is not needed. `core` has its functions,
`payload` turns a payload into blueprints.
"""

from abloop.adapters.growthbook.client import GrowthBook
from abloop.adapters.growthbook.core import (
    chooseVariation,
    evalCondition,
    gbhash,
    getBucketRanges,
    getEqualWeights,
    inNamespace,
)
from abloop.adapters.growthbook.feature import Feature, FeatureRule
from abloop.adapters.growthbook.model import Experiment, FeatureResult, Result, UserContext
from abloop.adapters.growthbook.sticky import AbstractStickyBucketService, InMemoryStickyBucketService

__all__ = [
    "AbstractStickyBucketService",
    "Experiment",
    "Feature",
    "FeatureResult",
    "FeatureRule",
    "GrowthBook",
    "InMemoryStickyBucketService",
    "Result",
    "UserContext",
    "chooseVariation",
    "evalCondition",
    "gbhash",
    "getBucketRanges",
    "getEqualWeights",
    "inNamespace",
]
