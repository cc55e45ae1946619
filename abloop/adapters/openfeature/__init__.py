"""An OpenFeature provider: a flag is a strategy, an evaluation a decision; one line of the product changes.

    from openfeature import api

    api.set_provider(AbloopProvider(abloop.connect("sqlite:///abloop.db")))
    client = api.get_client()
    context = EvaluationContext("u-17", {"country": "FI"})
    colour = client.get_string_value("checkout", "blue", context)
    client.track("purchase", context, TrackingEventDetails(9.9))

The targeting key is the unit, attributes are features, a tracked event is an observation of the metric of its name.
Known differences: a paused strategy gives the caller's default (reason DISABLED), where `get_decision` gives control;
a flag has a type only if all its arms are of it; without a targeting key a flag is answered where nothing is drawn,
and not recorded.
"""

from abloop.errors import MissingExtraError

try:
    from abloop.adapters.openfeature.flag import describe
    from abloop.adapters.openfeature.provider import AbloopProvider
except ModuleNotFoundError as error:
    if str(error.name).partition(".")[0] != "openfeature":
        raise
    raise MissingExtraError("the provider needs OpenFeature's SDK: pip install 'abloop[openfeature]'") from error

__all__ = ["AbloopProvider", "describe"]
