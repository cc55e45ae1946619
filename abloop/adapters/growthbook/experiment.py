"""An experiment for one user: who is in, which arm is drawn, and what is kept and reported of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qs, urlsplit

from abloop.adapters.growthbook import sticky
from abloop.adapters.growthbook.bandit import keep_weights
from abloop.adapters.growthbook.evaluation import Evaluation
from abloop.adapters.growthbook.hashing import bucket_ranges, choose, in_namespace, point
from abloop.adapters.growthbook.limits import LONGEST_URL
from abloop.adapters.growthbook.model import Experiment, Result
from abloop.adapters.growthbook.regex import found
from abloop.errors import DataError

Parents = Callable[[Any], str]


def url_override(key: str, url: Any, count: int) -> int | None:
    """Return the index of the arm that an address asks for by `?KEY=INDEX`; None for none.

    Args:
        key: Key of the experiment.
        url: The address.
        count: Number of arms.

    Example:
        >>> url_override("checkout", "https://shop.example/?checkout=1", 2)
        1
    """
    if not isinstance(url, str) or "?" not in url or len(url) > LONGEST_URL:
        return None
    try:
        asked = parse_qs(urlsplit(url).query).get(key, [""])[0]
    except ValueError:  # no address
        return None
    if not (asked.isascii() and asked.isdigit()):
        return None
    asked = asked.lstrip("0") or "0"
    return int(asked) if len(asked) <= 10 and int(asked) < count else None


def run(evaluation: Evaluation, experiment: Experiment[Any], feature: str | None, parents: Parents) -> Result[Any]:
    """Return which arm the user has.

    Args:
        evaluation: The evaluation.
        experiment: The experiment.
        feature: The feature whose rule it is; None for an experiment in code.
        parents: Evaluates prerequisites: `pass`, `fail`, `gate` or `cyclic`.

    Raises:
        Exception: Whatever a malformed experiment leads to.
    """
    state, user, key = evaluation.state, evaluation.user, experiment.key
    if len(experiment.variations) < 2 or not state.enabled:
        return evaluation.result(experiment, feature)
    if user.overrides and user.overrides.get(key):
        experiment.update(user.overrides[key])
    if experiment.contextualBandit:
        keep_weights(experiment)
    asked = url_override(key, user.url, len(experiment.variations))
    if asked is None and user.forced_variations:
        asked = user.forced_variations.get(key)
    if asked is not None:
        return evaluation.result(experiment, feature, asked)
    attribute, unit = evaluation.unit(experiment.hashAttribute, evaluation.fallback(experiment))
    if experiment.status == "draft" or not experiment.active or not unit:
        return evaluation.result(experiment, feature)
    return _draw(evaluation, experiment, feature, parents, (attribute, unit))


def _draw(
    evaluation: Evaluation, experiment: Experiment[Any], feature: str | None, parents: Parents, unit: tuple[str, str]
) -> Result[Any]:
    """Return which arm a unit has that nothing but the experiment decides for."""
    state, stays, arm, blocked = evaluation.state, False, -1, False
    if state.sticky is not None and not experiment.disableStickyBucketing:
        arm, blocked = _kept(evaluation, experiment)
        stays = arm >= 0
    if not stays and not _targeted(evaluation, experiment, unit[1], parents):
        return evaluation.result(experiment, feature)
    if experiment.url and not _has_url(evaluation, experiment.url):
        return evaluation.result(experiment, feature)
    place = point(experiment.seed or experiment.key, unit[1], experiment.hashVersion or 1)
    if place is None:
        return evaluation.result(experiment, feature)
    coverage = 1 if experiment.coverage is None else experiment.coverage
    if not stays:
        ranges = experiment.ranges or bucket_ranges(len(experiment.variations), coverage, experiment.weights)
        arm = choose(place, ranges)
    if blocked:
        return evaluation.result(experiment, feature, sticky=True)
    if arm >= 0 and experiment.force is not None:
        return evaluation.result(experiment, feature, experiment.force)
    if arm < 0 or state.qa_mode or evaluation.user.skip_all_experiments or experiment.status == "stopped":
        return evaluation.result(experiment, feature)
    return _expose(evaluation, experiment, feature, unit, (arm, place, stays))


def _expose(
    evaluation: Evaluation,
    experiment: Experiment[Any],
    feature: str | None,
    unit: tuple[str, str],
    drawn: tuple[int, float, bool],
) -> Result[Any]:
    """Return the result for a unit that was drawn, after its bucket is kept and its exposure reported."""
    arm, place, stays = drawn
    result = evaluation.result(experiment, feature, arm, drawn=True, bucket=place, sticky=stays)
    if evaluation.state.sticky is not None and not experiment.disableStickyBucketing:
        _keep(evaluation, {sticky.slot(experiment, experiment.bucketVersion): result.key}, unit)
    other = evaluation.reports.place(experiment, unit, arm, evaluation.user.attributes)
    if other != arm:
        result = evaluation.result(experiment, feature, other, drawn=True, bucket=place, sticky=stays)
    evaluation.reports.track(experiment, result, evaluation.user)
    return result


def _kept(evaluation: Evaluation, experiment: Experiment[Any]) -> tuple[int, bool]:
    """Return the arm that a user keeps, -1 for none, and whether an old bucket keeps the user out."""
    named = [evaluation.unit(experiment.hashAttribute)]
    if experiment.fallbackAttribute:
        named.append(evaluation.unit(experiment.fallbackAttribute))
    docs = evaluation.user.sticky_bucket_assignment_docs
    buckets = sticky.assignments(docs, *(f"{attribute}||{unit}" for attribute, unit in named))
    return sticky.kept(experiment, buckets, evaluation.budget)


def _keep(evaluation: Evaluation, bucket: Mapping[str, str], unit: tuple[str, str]) -> None:
    """Keep the bucket of a unit, where it is not kept yet."""
    docs = evaluation.user.sticky_bucket_assignment_docs
    doc = sticky.document(docs, *unit, bucket)
    if doc is None or evaluation.state.sticky is None:
        return
    docs["||".join(unit)] = doc
    try:
        evaluation.state.sticky.save_assignments(doc)
    except Exception as error:  # a stranger's store must not break the evaluation
        evaluation.faults.complain("sticky bucket service", error, "the bucket was not saved")


def _targeted(evaluation: Evaluation, experiment: Experiment[Any], unit: str, parents: Parents) -> bool:
    """Return whether a user is in by filters, namespace, callback, condition, prerequisites and groups."""
    if experiment.filters:
        if evaluation.filtered_out(experiment.filters):
            return False
    elif experiment.namespace and not in_namespace(unit, experiment.namespace):
        return False
    if experiment.include and not _included(evaluation, experiment.include):
        return False
    if experiment.condition and not evaluation.meets(evaluation.user.attributes, experiment.condition):
        return False
    if experiment.parentConditions and parents(experiment.parentConditions) != "pass":
        return False
    groups = evaluation.user.groups
    return not experiment.groups or any(groups.get(group) for group in experiment.groups)


def _included(evaluation: Evaluation, include: Callable[[], Any]) -> bool:
    """Return what a product's own callback says; false where it raises."""
    try:
        return bool(include())
    except Exception as error:  # a stranger's callback must not break the evaluation
        evaluation.faults.complain(evaluation.place(), error, "include() is taken for false")
        return False


def _has_url(evaluation: Evaluation, pattern: str) -> bool:
    """Return whether the address, or what of it comes after the host, has a pattern."""
    url = evaluation.user.url
    if not url:
        return False
    try:
        scheme, mark, rest = url.partition("://")
        bare = rest if mark and scheme in ("http", "https") else url
        host, slash, after = bare.partition("/")
        return found(pattern, url, evaluation.budget) or found(
            pattern, slash + after if slash else host, evaluation.budget
        )
    except DataError as error:
        evaluation.faults.complain(evaluation.place(), error, "the address is not targeted")
        return False
