"""What a GrowthBook client is told: attributes, features, addresses, forced arms."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

from abloop.adapters.growthbook.evaluation import Evaluation, Payload, State
from abloop.adapters.growthbook.faults import shown
from abloop.adapters.growthbook.feature import Feature, read_feature, unreadable
from abloop.errors import DataError

log = logging.getLogger("abloop")
ENCRYPTED = ("encryptedFeatures", "encryptedSavedGroups", "encryptedExperiments", "encryptedContextualBandits")


def mapping(value: Any) -> dict[str, Any]:
    """Return a mapping as a dict, the same one where it is one; an empty one for None.

    Raises:
        DataError: It is none.
    """
    if value is None:
        return {}
    if isinstance(value, dict):
        return value
    if not isinstance(value, Mapping):
        raise DataError(f"wanted is an object, got {type(value).__name__}")
    return dict(value)


class Settings:
    """Everything that a client can be told after it was made. No call raises.

    Attributes:
        sticky_bucket_identifier_attributes: Attributes whose sticky buckets are read; those of the rules where None.
    """

    def __init__(self, state: State, identifiers: list[str] | None) -> None:
        """Keep what the client knows."""
        self._state = state
        self.sticky_bucket_identifier_attributes = identifiers
        self._derives = not identifiers
        self._bucketed: dict[str, str] | None = None
        self._event_logger: Callable[[str, dict[str, Any], Any], Any] | None = None

    @property
    def errors(self) -> int:
        """Evaluations, rules, conditions and callbacks that could not be answered as they were asked."""
        return self._state.faults.errors

    def set_attributes(self, attributes: dict[str, Any]) -> None:
        """Say who the user is. The mapping is kept as it is, so that later changes of it count.

        Args:
            attributes: The user's attributes, also features to abloop.
        """
        self._state.user.attributes = self._read("attributes", attributes)
        self.refresh_sticky_buckets()

    def get_attributes(self) -> dict[str, Any]:
        """Return who the user is."""
        return self._state.user.attributes

    def set_features(self, features: dict[str, Any]) -> None:
        """Serve these features, and no others.

        Args:
            features: Key to feature, as objects or as a payload has them. One that cannot be read gives None.
        """
        read: dict[str, Feature] = {}
        for key, raw in self._read("features", features).items():
            try:
                read[key] = read_feature(raw)
            except Exception as error:  # law 1: product code never sees an exception
                read[key] = Feature(None, [unreadable("the feature is no object")])
                self._state.faults.complain(f"feature {shown(key)}", error, "it gives None")
        self._state.payload = self._state.payload._replace(features=read)
        self.refresh_sticky_buckets()

    def get_features(self) -> dict[str, Feature]:
        """Return the features that are served."""
        return self._state.payload.features

    def set_payload(self, payload: dict[str, Any]) -> None:
        """Serve what GrowthBook's API gave. Sections that it does not have stay as they were.

        Args:
            payload: With `features`, `savedGroups` and `contextualBandits`, none of them encrypted.
        """
        given = self._read("payload", payload)
        hidden = [name for name in ENCRYPTED if name in given]
        if hidden:
            error = DataError(f"{', '.join(hidden)}: encrypted sections cannot be read here; decrypt them before")
            self._state.faults.complain("payload", error, "they are ignored")
        old = self._state.payload
        groups = self._read("savedGroups", given["savedGroups"]) if "savedGroups" in given else old.saved_groups
        bandits = self._read("contextualBandits", given.get("contextualBandits", old.bandits))
        self._state.payload = Payload(old.features, groups, bandits)
        if "features" in given:
            self.set_features(given["features"])

    def load_features(self, force_refresh: bool = False) -> None:
        """Do nothing: this client fetches nothing, it is given features by `set_features` or `set_payload`."""

    def set_forced_variations(self, forced_variations: dict[str, Any] | None) -> None:
        """Give these arms, by index, in these experiments, unmeasured."""
        self._state.user.forced_variations = self._read("forced_variations", forced_variations)

    def set_forced_features(self, forced_features: dict[str, Any] | None) -> None:
        """Keep forced features for callbacks; they are for a server that evaluates, and change nothing here."""
        self._state.user.forced_features = self._read("forced_features", forced_features)

    def set_url(self, url: str) -> None:
        """Say which address the user is at: experiments may target it, and `?KEY=INDEX` forces an arm."""
        self._state.user.url = url if isinstance(url, str) else ""

    def set_event_logger(self, fn: Callable[[str, dict[str, Any], Any], Any]) -> None:
        """Say who is called by `log_event`, with name, properties and user."""
        self._event_logger = fn

    def refresh_sticky_buckets(self, force: bool = False) -> None:
        """Read the user's sticky buckets again, if the attributes that they are kept by have changed.

        Args:
            force: Read them in any case.
        """
        service = self._state.sticky
        if service is None:
            return
        try:
            units = self._identified()
            if force or units != self._bucketed:
                docs = service.get_all_assignments(units)
                self._state.user.sticky_bucket_assignment_docs = docs
                self._bucketed = units
        except Exception as error:  # a stranger's store must not break the evaluation
            self._state.faults.complain("sticky bucket service", error, "sticky buckets stay as they were")

    def _identified(self) -> dict[str, str]:
        """Return the user's units, by the attributes that sticky buckets are kept by."""
        if self._derives:
            rules = [rule for feature in self._state.payload.features.values() for rule in feature.rules]
            trials = [rule for rule in rules if rule.variations or rule.contextualVariations]
            names = {rule.hashAttribute or "id" for rule in trials}
            names |= {rule.fallbackAttribute for rule in trials if rule.fallbackAttribute}
            self.sticky_bucket_identifier_attributes = list(names)
        evaluation = Evaluation(self._state)
        named = {name: evaluation.unit(name)[1] for name in self.sticky_bucket_identifier_attributes or ()}
        return {name: unit for name, unit in named.items() if unit}

    def _read(self, what: str, value: Any) -> dict[str, Any]:
        """Return a mapping, an empty one where it is none."""
        try:
            return mapping(value)
        except Exception as error:  # law 1: product code never sees an exception
            self._state.faults.complain(what, error, "it is taken for empty")
            return {}

    setAttributes = set_attributes  # noqa: N815 - GrowthBook's names
    getAttributes = get_attributes  # noqa: N815
    setFeatures = set_features  # noqa: N815
    getFeatures = get_features  # noqa: N815
