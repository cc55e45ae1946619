"""What crosses Azure Personalizer's calls: requests and responses under their names, and how they are read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Final
from uuid import UUID

from abloop.errors import DataError
from abloop.features.read import read_numeric

MOST_ACTIONS: Final = 50
MOST_FEATURES: Final = 200
MOST_DEPTH: Final = 8
MOST_STEPS: Final = 2_000
MOST_CHARACTERS: Final = 200


@dataclass(kw_only=True)
class RankableAction:
    """One action that may be chosen.

    Attributes:
        id: Its name.
        features: Features of the action; they are not looked at.

    Example:
        >>> RankableAction(id="sports", features=[{"kind": "article"}]).id
        'sports'
    """

    id: Any
    features: Any = ()


@dataclass(kw_only=True)
class RankRequest:
    """A request to rank actions.

    Attributes:
        actions: What may be chosen, at most 50, the product's own choice first.
        context_features: Mappings of features, which may hold mappings.
        excluded_actions: Names of actions that are not to be chosen now.
        event_id: Names the event; a new one where None.
        defer_activation: Whether the event counts only once it is activated.

    Example:
        >>> RankRequest(actions=["sports", "news"], context_features=[{"timeOfDay": "morning"}]).defer_activation
        False
    """

    actions: Any
    context_features: Any = None
    excluded_actions: Any = None
    event_id: Any = None
    defer_activation: Any = False


@dataclass(kw_only=True)
class RewardRequest:
    """The reward of an event.

    Attributes:
        value: Any finite number.

    Example:
        >>> RewardRequest(value=1.0).value
        1.0
    """

    value: Any


class _Answer:
    """Base of responses: also read as items by the names of the REST interface."""

    def __getitem__(self, name: str) -> Any:
        """Return an attribute by its name in camel case, e.g. `response["rewardActionId"]`."""
        return getattr(self, "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name))


@dataclass(kw_only=True)
class RankedAction(_Answer):
    """One action in its place.

    Attributes:
        id: Its name.
        probability: Probability with which it is the one to show, in [0, 1].

    Example:
        >>> RankedAction(id="sports", probability=0.5).probability
        0.5
    """

    id: Any
    probability: float


@dataclass(kw_only=True)
class RankResponse(_Answer):
    """The answer to a request.

    Attributes:
        event_id: Names the event; pass it to `reward`.
        reward_action_id: The action to show; None where the request had none.
        ranking: All actions, the one to show first; their probabilities sum to one.

    Example:
        >>> response = RankResponse(event_id="e1", reward_action_id="sports")
        >>> response.reward_action_id == response["rewardActionId"]
        True
    """

    event_id: str
    reward_action_id: Any = None
    ranking: list[RankedAction] = field(default_factory=list)


def read_request(asked: Any, **given: Any) -> RankRequest:
    """Return a request from any of the three ways to ask: a request, its JSON as a mapping, or a context and actions.

    Example:
        >>> read_request({"actions": [{"id": "a"}], "eventId": "e1"}).event_id
        'e1'
        >>> read_request({"hour": 9}, actions=["a", "b"]).context_features
        {'hour': 9}
    """
    if given.get("actions") is not None:
        context = given.pop("context", None)
        return RankRequest(context_features=asked if context is None else context, **given)
    found: dict[str, Any] = {}
    for name in RankRequest.__dataclass_fields__:
        first, *rest = name.split("_")
        camel = first + "".join(word.title() for word in rest)
        found[name] = asked.get(camel, asked.get(name)) if isinstance(asked, Mapping) else getattr(asked, name, None)
    return RankRequest(**found)


def read_id(value: Any, what: str) -> str:
    """Return the name of an action or event: a text, a whole number or a UUID as text.

    Raises:
        DataError: It is none of these.

    Example:
        >>> read_id(7, "an action's id")
        '7'
    """
    if type(value) is str and value:
        return value
    if type(value) is int or type(value) is UUID:
        return str(value)
    raise DataError(f"{what} is a {type(value).__name__}; allowed: a text or whole number")


def read_ids(items: Any, what: str) -> tuple[dict[str, Any], list[str]]:
    """Return the ids of actions as they came, by their text, and why others were left out.

    Args:
        items: A list of actions: objects or mappings with an `id`, or ids. None is an empty list.
        what: What the list is, for messages.

    Raises:
        DataError: It is no list.

    Example:
        >>> read_ids([RankableAction(id="a"), {"id": 7}, "b", None], "actions")
        ({'a': 'a', '7': 7, 'b': 'b'}, ['the id of one of the actions is a NoneType; allowed: a text or whole number'])
    """
    if items is None:
        return {}, []
    if isinstance(items, str | bytes | Mapping):
        raise DataError(f"{what} is a {type(items).__name__}; allowed: a list")
    found: dict[str, Any] = {}
    refused = []
    for item in islice(items, 2 * MOST_ACTIONS):
        try:
            raw = item["id"] if isinstance(item, Mapping) else getattr(item, "id", item)
            found.setdefault(read_id(raw, f"the id of one of the {what}"), raw)
        except Exception as error:  # the others are still good
            refused.append(str(error) if isinstance(error, DataError) else type(error).__name__)
    return found, refused


def read_reward(value: Any) -> float:
    """Return the number of a reward: itself, or in a `RewardRequest` or mapping under `value`.

    Raises:
        DataError: There is no finite number.

    Example:
        >>> read_reward(RewardRequest(value=True)), read_reward({"value": 0.5})
        (1.0, 0.5)
    """
    inner = value.value if isinstance(value, RewardRequest) else value["value"] if isinstance(value, dict) else value
    number = read_numeric(inner)
    if number is None:
        raise DataError(f"a reward is a {type(inner).__name__}, or not finite; allowed: a finite number")
    return number


def flatten(features: Any) -> dict[str, Any]:
    """Return context features by name: of mappings in mappings, the names joined by dots.

    At most 200 features are taken, from at most eight mappings inside each other; names of up to 200 printable
    characters.

    Example:
        >>> flatten([{"timeOfDay": "morning"}, {"device": {"os": "x", "tags": ["a"]}}])
        {'timeOfDay': 'morning', 'device.os': 'x', 'device.tags': ['a']}
    """
    found: dict[str, Any] = {}
    waiting: list[tuple[str, Any, int]] = [("", features, 0)]
    for _ in range(MOST_STEPS):  # what holds itself many times over must not take for ever
        if not waiting or len(found) >= MOST_FEATURES:
            break
        name, value, depth = waiting.pop()
        inner: list[tuple[str, Any]] = []
        if isinstance(value, Mapping):
            named = [(key, item) for key, item in islice(value.items(), MOST_FEATURES) if isinstance(key, str)]
            inner = [(f"{name}.{key}" if name else key, item) for key, item in named]
        elif isinstance(value, list | tuple) and (not name or any(isinstance(item, Mapping) for item in value[:1])):
            inner = [(name, item) for item in value[:MOST_FEATURES]]
        elif 0 < len(name) <= MOST_CHARACTERS and name.isprintable():
            found[name] = value
        if depth < MOST_DEPTH:
            waiting += [(key, item, depth + 1) for key, item in reversed(inner)]
    return found


def describe(context: Mapping[str, Any], metric: str, unit: str) -> list[dict[str, str]]:
    """Return the features of a blueprint for a context, by the types of its values; what has no type is left out.

    Args:
        context: From `flatten`.
        metric: Name of the metric; a feature of this name gets another one.
        unit: Key of what is randomised, which is no feature.

    Example:
        >>> describe({"hour": 9, "os": "x", "reward": 1, "who": "u1", "age": None}, "reward", "who")
        [{'name': 'hour'}, {'name': 'os', 'type': 'categorical'}, {'name': 'context.reward', 'key': 'reward'}]
    """
    found = []
    for key, value in context.items():
        kind = _kind(value)
        if kind and key != unit:
            named = {"name": key} if key != metric else {"name": f"context.{key}", "key": key}
            found.append(named | ({"type": kind} if kind != "numeric" else {}))
    return found


def _kind(value: Any) -> str:
    """Return the type of a feature by a value of it; empty for none."""
    if isinstance(value, str):
        return "categorical"
    if isinstance(value, list | tuple) and value and all(isinstance(item, str) for item in value):
        return "sparse"
    return "" if read_numeric(value) is None else "numeric"
