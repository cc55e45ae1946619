"""What a blueprint says of features: where a value comes from and what is made of it. Knows no model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal, get_args

import msgspec

from abloop.errors import BlueprintError
from abloop.records import FeatureType
from abloop.validate import in_range, one_of, text

Seconds = Annotated[float, msgspec.Meta(extra={"duration": True})]
Transform = Literal["", "log", "bucketise", "date", "cross", "hash", "standardise", "target"]
Tally = Literal["count", "sum", "mean", "last"]
DatePart = Literal["hour", "weekday", "day", "month", "year"]
FITTED: tuple[Transform, ...] = ("standardise", "target")
LONGEST_WINDOW = 60 * 86_400
MOST_SIZE = 512


class Feature(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One feature: read from the application context or a group, or made of other features.

    Attributes:
        name: Its name.
        type: `numeric` (numbers and booleans), `categorical` (text, also numbers as text), `time` (seconds since
            1970, ISO text or a datetime), `sparse` (texts, or text to number), `embedding` (a list of `size`
            numbers, or a text, which is embedded by hashing its words and is not logged itself). Where the
            feature is made of others, its type follows from the transform.
        group: The feature group it is fetched from; the application context where empty.
        key: Key of the context or column of the group; the feature's name where empty.
        metric: Of a group of events: the metric that is tallied.
        tally: Of a group of events: `count`, `sum`, `mean` or `last` value of the metric.
        window: Of a group of events: seconds back from the decision; also written `15m`, `24h`, `14d`.
        transform: What is made of other features: `log` (of 1 + the absolute value, with its sign), `bucketise`
            (number of `edges` passed), `date` (`part` of a time, UTC), `cross` (categories together), `hash`
            (categories or sparse values to `size` columns), `standardise` (mean 0 and deviation 1 on the training
            rows), `target` (mean outcome of the category on other training rows).
        of: The features it is made of.
        edges: Of `bucketise`: rising numbers.
        part: Of `date`: `hour`, `weekday` (Monday is 0), `day`, `month` or `year`.
        size: Of `hash` and embeddings: number of columns, in [1, 512].
        learn: Whether models read it; False for what only other features or the policy read.
    """

    name: str
    type: FeatureType = "numeric"
    group: str = ""
    key: str = ""
    metric: str = ""
    tally: Tally = "count"
    window: Seconds = 0.0
    transform: Transform = ""
    of: tuple[str, ...] = ()
    edges: tuple[float, ...] = ()
    part: DatePart = "hour"
    size: int = 32
    learn: bool = True

    @property
    def source(self) -> str:
        """Key of the context, or column of the group, that holds its value."""
        return self.key or self.name

    def check(self, path: str) -> None:
        """Raise `BlueprintError` if a field is not allowed; `path` names the feature in the message."""
        text(f"{path}.name", self.name)
        one_of(f"{path}.type", self.type, get_args(FeatureType))
        in_range(f"{path}.size", self.size, 1, MOST_SIZE)
        in_range(f"{path}.window", self.window, 0, LONGEST_WINDOW)
        for index, edge in enumerate(self.edges):
            in_range(f"{path}.edges[{index}]", edge)
        if self.transform and (self.group or self.key or self.metric):
            raise _refused(path, self, "is made of other features and fetched too", "keep `transform` or the source")
        if self.of and not self.transform:
            raise _refused(path, self, f"is made of {self.of[0]!r} but has no transform", "add one, e.g. log")
        if self.transform and not self.of:
            raise _refused(path, self, f"has transform {self.transform!r} of nothing", "add `of: [NAME]`")
        if self.transform and self.transform != "cross" and len(self.of) > 1:
            raise _refused(path, self, f"has transform {self.transform!r} of {len(self.of)} features", "name one")
        if self.transform == "bucketise" and (not self.edges or list(self.edges) != sorted(set(self.edges))):
            raise _refused(path, self, f"has edges {list(self.edges)}", "give one or more rising numbers")
        if self.metric and not (self.group and self.window):
            raise _refused(path, self, f"tallies {self.metric!r}", "give it a group of events and a window, e.g. 24h")


def _refused(path: str, feature: Feature, what: str, fix: str) -> BlueprintError:
    return BlueprintError(f"{path}: feature {feature.name!r} {what}; {fix}", place=path)


class Group(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Features of one kind of entity (a user, a page, an item), fetched together by its id.

    Attributes:
        name: Its name.
        key: Key of the application context that holds the entity's id.
        table: Table or view with one row an entity, read by SQLAlchemy.
        column: Of a table: its column that holds the id; `key` where empty.
        query: Instead of a table: SQL that selects the columns of one entity, its id bound as `:id`.
        source: Name of a database URL or Python function given to `abloop.connect(sources=...)`; abloop's own
            database where empty.
        events: Whether its features tally the strategy's own metrics, live, as they are observed.
        budget: Seconds that a decision waits for it; what comes later is missing. Also written `5ms`, `1s`.
        max_age: Seconds for which fetched values are used again.
    """

    name: str
    key: str
    table: str = ""
    column: str = ""
    query: str = ""
    source: str = ""
    events: bool = False
    budget: Seconds = 0.01
    max_age: Seconds = 60.0

    def check(self, path: str) -> None:
        """Raise `BlueprintError` if a field is not allowed; `path` names the group in the message."""
        text(f"{path}.name", self.name)
        text(f"{path}.key", self.key)
        in_range(f"{path}.budget", self.budget, 0, 1, open_low=True)
        in_range(f"{path}.max_age", self.max_age, 0, 366 * 86_400)
        ways = [way for way, given in (("table", self.table), ("query", self.query), ("events", self.events)) if given]
        if len(ways) > 1 or (not ways and not self.source) or (self.events and self.source):
            came = " and ".join([*ways, *(["source"] if self.source else [])]) or "no source"
            message = f"{path}: group {self.name!r} has {came}; allowed: one of table, query, events, or a source"
            raise BlueprintError(f"{message} that is a Python function", place=path)
        if self.query and ":id" not in self.query:
            message = f"{path}.query names no :id; allowed: SQL with the entity's id, e.g. ... WHERE user_id = :id"
            raise BlueprintError(message, place=f"{path}.query")


def fetched(features: Sequence[Feature], group: str) -> tuple[Feature, ...]:
    """Return the features of a group.

    Example:
        >>> [feature.name for feature in fetched([Feature("age", group="user"), Feature("hour")], "user")]
        ['age']
    """
    return tuple(feature for feature in features if feature.group == group)
