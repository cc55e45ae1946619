"""The blueprint: the one immutable, versioned description of a strategy. Knows no storage.

    strategy: checkout_button
    arms: [{name: blue}, {name: green, cost: 0.02}]
    metrics: [{name: purchase, value: 10}]

is enough; everything else has a default. Python objects, YAML and JSON are one thing: `from_mapping` reads
them, `to_json` writes the canonical text, and two blueprints are equal when their hashes are.
"""

from abloop.blueprint.learning import Label, Model
from abloop.blueprint.randomisation import Experiment, Holdout, Layer, Step
from abloop.blueprint.reading import Measure, Reading
from abloop.blueprint.spec import (
    Arm,
    Blueprint,
    Field,
    Lifecycle,
    Metric,
    Policy,
    Space,
    Weight,
)
from abloop.blueprint.text import content_hash, from_mapping, load, to_json

__all__ = [
    "Arm",
    "Blueprint",
    "Experiment",
    "Field",
    "Holdout",
    "Label",
    "Layer",
    "Lifecycle",
    "Measure",
    "Metric",
    "Model",
    "Policy",
    "Reading",
    "Space",
    "Step",
    "Weight",
    "content_hash",
    "from_mapping",
    "load",
    "to_json",
]
