"""Sticky buckets: the arm that a user had stays, whatever becomes of weights and coverage."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

from abloop.adapters.growthbook.limits import Budget
from abloop.adapters.growthbook.model import Experiment

Document = dict[str, Any]  # {"attributeName": str, "attributeValue": str, "assignments": {"KEY__VERSION": arm key}}


class AbstractStickyBucketService(ABC):
    """Where sticky buckets are kept: one document for each value of an attribute."""

    @abstractmethod
    def get_assignments(self, attributeName: str, attributeValue: str) -> Document | None:
        """Return the document of a value; None where there is none."""

    @abstractmethod
    def save_assignments(self, doc: Document) -> None:
        """Keep a document."""

    def get_key(self, attributeName: str, attributeValue: str) -> str:
        """Return the key of a document."""
        return f"{attributeName}||{attributeValue}"

    def get_all_assignments(self, attributes: dict[str, str]) -> dict[str, Document]:
        """Return the documents of several values by key; override it to ask for all at once."""
        found = {name: self.get_assignments(name, value) for name, value in attributes.items()}
        return {self.get_key(name, attributes[name]): doc for name, doc in found.items() if doc}


class InMemoryStickyBucketService(AbstractStickyBucketService):
    """Keeps sticky buckets in this process.

    Example:
        >>> service = InMemoryStickyBucketService()
        >>> service.save_assignments({"attributeName": "id", "attributeValue": "u", "assignments": {"exp__0": "1"}})
        >>> service.get_assignments("id", "u")["assignments"]
        {'exp__0': '1'}
    """

    def __init__(self) -> None:
        """Start empty."""
        self.docs: dict[str, Document] = {}

    def get_assignments(self, attributeName: str, attributeValue: str) -> Document | None:
        """Return the document of a value; None where there is none."""
        return self.docs.get(self.get_key(attributeName, attributeValue))

    def save_assignments(self, doc: Document) -> None:
        """Keep a document."""
        self.docs[self.get_key(doc["attributeName"], doc["attributeValue"])] = doc

    def destroy(self) -> None:
        """Forget all documents."""
        self.docs.clear()


def slot(experiment: Experiment[Any], version: int) -> str:
    """Return the name under which a bucket of an experiment is kept."""
    return f"{experiment.key}__{version}"


def assignments(docs: Mapping[str, Document], *keys: str) -> dict[str, str]:
    """Return the buckets of several documents, where those of an earlier one win."""
    merged: dict[str, str] = {}
    for key in reversed(keys):
        merged |= docs.get(key, {}).get("assignments", {})
    return merged


def kept(experiment: Experiment[Any], buckets: Mapping[str, str], budget: Budget) -> tuple[int, bool]:
    """Return the index of the arm that a user keeps, -1 for none, and whether an old bucket keeps the user out."""
    for version in range(experiment.minBucketVersion):
        budget.spend()
        if slot(experiment, version) in buckets:
            return -1, True
    arm = buckets.get(slot(experiment, experiment.bucketVersion))
    if not arm:
        return -1, False
    return next((index for index, meta in enumerate(experiment.meta or ()) if meta.get("key") == arm), -1), False


def document(docs: Mapping[str, Document], attribute: str, unit: str, bucket: Mapping[str, str]) -> Document | None:
    """Return the document of a unit with a bucket more; None where it has it already."""
    before = docs.get(f"{attribute}||{unit}", {}).get("assignments", {})
    after = {**before, **bucket}
    return None if after == before else {"attributeName": attribute, "attributeValue": unit, "assignments": after}
