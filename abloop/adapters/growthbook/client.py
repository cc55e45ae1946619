"""The client: GrowthBook's class, evaluated by abloop, with exposures in abloop's journal."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any, TypeVar

from abloop.adapters.growthbook.evaluation import Evaluation, Payload, State
from abloop.adapters.growthbook.experiment import run
from abloop.adapters.growthbook.faults import shown
from abloop.adapters.growthbook.model import Experiment, FeatureResult, Result, UserContext
from abloop.adapters.growthbook.reports import Journal, as_it_is
from abloop.adapters.growthbook.rules import feature, parents
from abloop.adapters.growthbook.settings import Settings
from abloop.adapters.growthbook.sticky import AbstractStickyBucketService

if TYPE_CHECKING:
    from abloop.loop import Loop

T = TypeVar("T")
log = logging.getLogger("abloop")
IGNORED: dict[str, Any] = {
    "api_host": "",
    "client_key": "",
    "decryption_key": "",
    "cache_ttl": 600,
    "remote_eval": False,
    "cache_key_attributes": None,
    "streaming": False,
    "streaming_connection_timeout": 30,
    "stale_while_revalidate": False,
    "stale_ttl": 300,
    "plugins": None,
    "user": None,
    "http_connect_timeout": None,
    "http_read_timeout": None,
    "remoteEval": False,
    "cacheKeyAttributes": None,
    "defer_tracking": False,
}


class GrowthBook(Settings):
    """Evaluates features and experiments as the package `growthbook` does: the same arms, results and callbacks.

    No call raises: what is malformed gives control or the feature's default, is counted in `errors`, and is logged
    at most once a minute. Nothing is fetched: give it features or a payload.

    Args:
        enabled: Whether anybody is drawn.
        attributes: The user's attributes, also features to abloop.
        url: Address the user is at.
        features: Key to feature, as objects or as a payload has them.
        qa_mode: Whether only forced arms are given.
        on_experiment_viewed: Called with `experiment`, `result` and `user_context`, once for each unit and arm.
        on_feature_usage: Called with a feature's key, its result and the user.
        forced_variations: Index of the arm to give, by experiment.
        forced_features: Kept for callbacks.
        sticky_bucket_service: Where sticky buckets are kept.
        sticky_bucket_identifier_attributes: Attributes they are kept by; those of the rules where None.
        saved_groups: Saved groups by id.
        skip_all_experiments: Whether this user is in no experiment.
        groups: Group to whether the user is in it.
        overrides: What to change of experiments, by key.
        contextual_bandits: Bandits by id.
        loop: What `abloop.connect` gave, or a database URL: exposures become abloop's decisions, one strategy an
            experiment, and once abloop personalises the strategy its policy gives the arm. None only evaluates.

    The other arguments are for fetching, streaming, caching, decrypting, remote evaluation and plugins; they are
    accepted, and named in the log as ignored. The camelCase ones mean the same as their snake_case twins.

    Raises:
        StoreError: `loop` is a URL that cannot be used.

    Example:
        >>> rule = {"key": "exp", "variations": ["blue", "green"]}
        >>> gb = GrowthBook(attributes={"id": "u-17"}, features={"button": {"rules": [rule]}})
        >>> gb.get_feature_value("button", "blue")
        'green'
        >>> gb.run(Experiment("exp", ["blue", "green"])).value
        'green'
    """

    # GrowthBook's arguments, in its order:
    # fmt: off
    def __init__(
        self, enabled: bool = True, attributes: dict[str, Any] | None = None, url: str = "",
        features: dict[str, Any] | None = None, qa_mode: bool = False,
        on_experiment_viewed: Callable[..., Any] | None = None, on_feature_usage: Callable[..., Any] | None = None,
        api_host: str = "", client_key: str = "", decryption_key: str = "", cache_ttl: int = 600,
        forced_variations: dict[str, Any] | None = None, forced_features: dict[str, Any] | None = None,
        sticky_bucket_service: AbstractStickyBucketService | None = None,
        sticky_bucket_identifier_attributes: list[str] | None = None, saved_groups: dict[str, Any] | None = None,
        remote_eval: bool = False, cache_key_attributes: list[str] | None = None, streaming: bool = False,
        streaming_connection_timeout: int = 30, stale_while_revalidate: bool = False, stale_ttl: int = 300,
        plugins: list[Any] | None = None, skip_all_experiments: bool = False,
        trackingCallback: Callable[..., Any] | None = None, qaMode: bool = False, user: dict[str, Any] | None = None,
        groups: dict[str, Any] | None = None, overrides: dict[str, Any] | None = None,
        forcedVariations: dict[str, Any] | None = None, http_connect_timeout: int | None = None,
        http_read_timeout: int | None = None, savedGroups: dict[str, Any] | None = None, remoteEval: bool = False,
        cacheKeyAttributes: list[str] | None = None, contextual_bandits: dict[str, Any] | None = None,
        contextualBandits: dict[str, Any] | None = None, defer_tracking: bool = False, *,
        loop: Loop | str | None = None,
    ) -> None:
        """Keep what it is told."""
        _say_ignored(_unusual(locals()))
        state = State()
        super().__init__(state, sticky_bucket_identifier_attributes)
        state.enabled, state.qa_mode, state.sticky = enabled, qa_mode or qaMode, sticky_bucket_service
        state.reports.on_exposure = on_experiment_viewed or trackingCallback
        state.reports.on_usage = on_feature_usage
        state.reports.journal = _journal(loop)
        known = state.user
        known.url, known.skip_all_experiments = url, skip_all_experiments
        known.attributes = self._read("attributes", attributes)
        known.groups, known.overrides = self._read("groups", groups), self._read("overrides", overrides)
        forced = forced_variations if forced_variations is not None else forcedVariations
        self.set_forced_variations(forced)
        self.set_forced_features(forced_features)
        bandits = contextual_bandits if contextual_bandits is not None else contextualBandits
        saved = saved_groups if saved_groups is not None else savedGroups
        state.payload = Payload({}, self._read("saved_groups", saved), self._read("contextual_bandits", bandits))
        if features is not None:
            self.set_features(features)
    # fmt: on

    def eval_feature(self, key: str) -> FeatureResult[Any]:
        """Return the value of a feature, and where it is from; its default where its rules cannot be evaluated."""
        evaluation = None
        try:
            evaluation = Evaluation(self._state)
            return feature(evaluation, key)
        except Exception as error:  # law 1: product code never sees an exception
            where = evaluation.place() if evaluation is not None else f"feature {shown(key)}"
            self._state.faults.complain(where, error, "the feature's default is given")
            return self._default(key)

    def _default(self, key: Any) -> FeatureResult[Any]:
        """Return the default of a feature."""
        try:
            return FeatureResult(self._state.payload.features[key].defaultValue, "defaultValue")
        except Exception:  # there is none, or the key can be none
            return FeatureResult(None, "unknownFeature")

    def get_feature_value(self, key: str, fallback: T) -> T:
        """Return the value of a feature; the fallback where that is None."""
        value = self.eval_feature(key).value
        return fallback if value is None else value

    def is_on(self, key: str) -> bool:
        """Return whether JavaScript takes the value of a feature for true."""
        return self.eval_feature(key).on

    def is_off(self, key: str) -> bool:
        """Return whether JavaScript takes the value of a feature for false."""
        return self.eval_feature(key).off

    def run(self, experiment: Experiment[T]) -> Result[T]:
        """Return which arm the user has in an experiment; control where it cannot be evaluated."""
        evaluation = None
        try:
            evaluation = Evaluation(self._state)
            evaluation.where = (experiment.key, -1)
            result = run(evaluation, experiment, None, partial(parents, evaluation))
            self._state.reports.notify(experiment, result)
        except Exception as error:  # law 1: product code never sees an exception
            where = evaluation.place() if evaluation is not None else "experiment"
            self._state.faults.complain(where, error, "control is given")
            return _control(experiment)
        return result

    def get_all_results(self) -> dict[str, dict[str, Any]]:
        """Return the last `experiment` and `result` of each experiment, by key."""
        return self._state.reports.assigned.copy()

    def subscribe(self, callback: Callable[[Experiment[Any], Result[Any]], Any]) -> Callable[[], None]:
        """Have results told where they change.

        Args:
            callback: Called with experiment and result.

        Returns:
            Ends it.
        """
        subscribers = self._state.reports.subscribers
        if not any(known is callback for known in subscribers):
            subscribers.append(callback)

        def end() -> None:
            subscribers[:] = [known for known in subscribers if known is not callback]

        return end

    def log_event(self, event_name: str, properties: dict[str, Any] | None = None) -> None:
        """Say what the user did: an observation of each of abloop's strategies that the user was exposed to.

        Args:
            event_name: Name of the metric.
            properties: What else is known; `value` is the metric's value, 1 where it is missing.
        """
        reports, faults = self._state.reports, self._state.faults
        try:
            if reports.journal is not None:
                evaluation, value = Evaluation(self._state), (properties or {}).get("value", 1)
                for unit, keys in reports.exposed(lambda name: evaluation.unit(name)[1]).items():
                    reports.journal.observe(unit, {event_name: value}, keys)
        except Exception as error:  # law 1: product code never sees an exception
            faults.complain(f"event {shown(event_name)}", error, "it was not recorded")
        if self._event_logger is None:
            return
        try:
            self._event_logger(event_name, properties or {}, as_it_is(self._state.user))
        except Exception as error:  # a stranger's logger
            faults.complain(f"event {shown(event_name)}", error, "its logger raised")

    def destroy(self, timeout: float = 10) -> None:
        """Forget everything: callbacks, subscribers, the user, features. The mappings that were given stay whole.

        Args:
            timeout: Not needed: nothing runs in the background.
        """
        self._state.reports.forget()
        self._event_logger = None
        self._state.user = UserContext(url=self._state.user.url)
        self._state.payload = self._state.payload._replace(features={})

    evalFeature = eval_feature  # noqa: N815 - GrowthBook's names
    getFeatureValue = get_feature_value  # noqa: N815
    isOn = is_on  # noqa: N815
    isOff = is_off  # noqa: N815
    getAllResults = get_all_results  # noqa: N815


def _control(experiment: Any) -> Result[Any]:
    """Return control, of whatever was taken for an experiment."""
    try:
        return Result(0, False, experiment.variations[0], False, experiment.hashAttribute, "", None)
    except Exception:  # there is no control
        return Result(0, False, None, False, "id", "", None)


def _journal(loop: Loop | str | None) -> Journal | None:
    """Return where exposures go; None for nowhere."""
    if loop is None:
        return None
    from abloop.adapters.exposure import Exposures  # loads the database library, which an evaluator does not need

    return Exposures(loop)


def _unusual(given: dict[str, Any]) -> tuple[str, ...]:
    """Return which arguments that are ignored were given."""
    try:
        return tuple(name for name, usual in IGNORED.items() if given[name] != usual)
    except Exception:  # one that cannot be compared
        return ("some that cannot be compared",)


@lru_cache(maxsize=64)
def _say_ignored(names: tuple[str, ...]) -> None:
    """Log which arguments are ignored, once for each set of them."""
    if names:
        log.warning("GrowthBook client: ignored, because abloop fetches nothing: %s", ", ".join(names))
