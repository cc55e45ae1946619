"""GrowthBook's own cases: every one of every kind, none skipped."""

from __future__ import annotations

from typing import Any

import pytest

from abloop.adapters.growthbook import Experiment, GrowthBook, InMemoryStickyBucketService, core

Cases = dict[str, list[list[Any]]]


def client(context: dict[str, Any], **more: Any) -> GrowthBook:
    """Return a client for a context, which has the constructor's own names, some of them in camel case."""
    return GrowthBook(**context, **more)


def test_every_kind_is_tested(cases: Cases) -> None:
    """There is a test for each kind of case."""
    kinds = {name for name, value in cases.items() if isinstance(value, list)}
    tested = {"hash", "getBucketRange", "chooseVariation", "inNamespace", "getEqualWeights"}
    assert kinds == tested | {"evalCondition", "run", "feature", "stickyBucket"}


def test_hash(cases: Cases) -> None:
    """Points are equal to the last bit; an unknown version has none."""
    assert [case for case in cases["hash"] if core.gbhash(*case[:3]) != case[3]] == []


def test_bucket_ranges(cases: Cases) -> None:
    """Ranges are equal to nine digits."""
    for name, (count, coverage, weights), expected in cases["getBucketRange"]:
        found = core.getBucketRanges(count, coverage, weights)
        assert [list(part) for part in found] == [pytest.approx(part, abs=1e-9) for part in expected], name


def test_choose_variation(cases: Cases) -> None:
    """The arm is the first whose range holds the point."""
    assert [case for case in cases["chooseVariation"] if core.chooseVariation(case[1], case[2]) != case[3]] == []


def test_in_namespace(cases: Cases) -> None:
    """Namespaces hold the same units."""
    assert [case for case in cases["inNamespace"] if core.inNamespace(case[1], case[2]) is not case[3]] == []


def test_equal_weights(cases: Cases) -> None:
    """Equal weights are equal."""
    for count, expected in cases["getEqualWeights"]:
        assert core.getEqualWeights(count) == pytest.approx(expected, abs=1e-8)


def test_conditions(cases: Cases) -> None:
    """Conditions are met as JavaScript meets them, its coercions in comparisons included."""
    for name, condition, attributes, expected, *groups in cases["evalCondition"]:
        found = core.evalCondition(attributes, condition, groups[0] if groups else {})
        assert found is expected, name


def test_run(cases: Cases) -> None:
    """Experiments in code give the same arm."""
    for name, context, experiment, value, inside, drawn in cases["run"]:
        gb = client(context)
        result = gb.run(Experiment(**experiment))
        assert (result.value, result.inExperiment, result.hashUsed) == (value, inside, drawn), name
        assert gb.errors == 0, name


def test_features(cases: Cases) -> None:
    """Features give the same value from the same source, with the same experiment and result."""
    for name, context, key, expected in cases["feature"]:
        gb = client(context)
        found = gb.eval_feature(key).to_dict()
        for part in ("experiment", "experimentResult"):
            if part in expected:
                kept = expected[part].keys()
                found[part] = {field: value for field, value in found[part].items() if field in kept}
        assert found == expected, name
        assert gb.errors == 0, name


def test_sticky_buckets(cases: Cases) -> None:
    """Sticky buckets are read, upgraded, blocked and written alike."""
    for name, context, stored, key, expected, documents in cases["stickyBucket"]:
        service = InMemoryStickyBucketService()
        for document in stored:
            service.save_assignments(document)
        gb = client(context, sticky_bucket_service=service)
        gb.refresh_sticky_buckets(force=True)
        found = gb.eval_feature(key).experimentResult
        if expected is None:
            assert found is None, name
        else:
            assert found is not None
            assert found.to_dict() == expected, name
        assert gb._state.user.sticky_bucket_assignment_docs == documents, name
        assert gb.errors == 0, name
