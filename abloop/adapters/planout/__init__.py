"""PlanOut's experiments on abloop: the import line changes, and a line that names the loop; units keep their values.

    from abloop.adapters.planout import SimpleExperiment, UniformChoice

    class Button(SimpleExperiment):
        loop = abloop.connect("sqlite:///abloop.db")

        def assign(self, params, userid, country):
            params.color = UniformChoice(choices=["blue", "green"], unit=userid)

    Button(userid=17, country="FI").get("color")

Values are those of PlanOut 0.6.0, bit for bit, until abloop personalises a parameter. PlanOut's own language is not
read. Known differences: units may be any text, not only ASCII; a mistake in an experiment gives defaults and is
counted in `errors`, where PlanOut raises; `in_experiment` is what `assign` says also before the first `get`.
"""

from abloop.adapters.planout.assignment import Assignment
from abloop.adapters.planout.base import Operator
from abloop.adapters.planout.experiment import DefaultExperiment, Experiment, SimpleExperiment
from abloop.adapters.planout.namespace import SimpleNamespace
from abloop.adapters.planout.operators import (
    BernoulliFilter,
    BernoulliTrial,
    FastSample,
    RandomFloat,
    RandomInteger,
    Sample,
    UniformChoice,
    WeightedChoice,
)

__all__ = [
    "Assignment",
    "BernoulliFilter",
    "BernoulliTrial",
    "DefaultExperiment",
    "Experiment",
    "FastSample",
    "Operator",
    "RandomFloat",
    "RandomInteger",
    "Sample",
    "SimpleExperiment",
    "SimpleNamespace",
    "UniformChoice",
    "WeightedChoice",
]
