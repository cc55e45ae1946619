"""Azure Personalizer's calls on abloop: `rank` and `reward`, under the names of its retired Python SDK.

    from abloop.adapters.personalizer import PersonalizerClient, RankableAction, RankRequest

    client = PersonalizerClient(loop=abloop.connect("sqlite:///abloop.db"))
    actions = [RankableAction(id="sports"), RankableAction(id="news")]
    response = client.rank(RankRequest(actions=actions, context_features=[{"timeOfDay": "morning"}]))
    client.events.reward(response.event_id, 1.0)

Actions become the arms of one strategy, features of the context its features. They are ranked at random until
`offline.cycle` has proof; from then on by predicted reward, but for the explore share. Known differences: features
of actions are not looked at, since every action is predicted for itself; an event is activated in the process that
ranked it; of several rewards of an event the last one counts, unless the blueprint says `sum` or `max`.
"""

from abloop.adapters.personalizer.client import PersonalizerClient
from abloop.adapters.personalizer.terms import RankableAction, RankedAction, RankRequest, RankResponse, RewardRequest

__all__ = [
    "PersonalizerClient",
    "RankRequest",
    "RankResponse",
    "RankableAction",
    "RankedAction",
    "RewardRequest",
]
