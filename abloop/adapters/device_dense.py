"""Networks and linear models as the nodes of an ONNX graph: both are tables of categories and dense layers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from abloop.models.labels import LabelSpec
from abloop.models.linear import Linear
from abloop.models.network import NetworkSpec
from abloop.models.tensors import read_tensors

Frame = NDArray[np.float64]
Layers = list[tuple[Frame, Frame]]


@dataclass(frozen=True)
class Inputs:
    """How inputs become those of the first layer: numbers, whether each is missing, then a row of each table.

    Attributes:
        numbers: Inputs that are numbers, in their order.
        centre: What is taken from each of them.
        scale: What each is then multiplied by; a missing one is 0.
        tables: Input and table of each category; the last row is for what is missing or unknown.
        squash: Whether a number z then enters as z / (1 + |z|).
    """

    numbers: list[int]
    centre: Frame
    scale: Frame
    tables: list[tuple[int, Frame]]
    squash: bool = False


def dense_of(spec: LabelSpec, network: NetworkSpec) -> tuple[Inputs, Layers]:
    """Return a network's inputs and layers, the last one cut to the outputs of one label."""
    arrays = read_tensors(network.tensors)
    numbers = [at for at, count in enumerate(network.levels) if not count]
    tables = [(at, arrays[f"table.{at}"]) for at, count in enumerate(network.levels) if count]
    layers = [(arrays[f"weight.{at}"], arrays[f"bias.{at}"]) for at in range(network.layers)]
    weight, bias = layers[-1]
    span = slice(spec.head, spec.head + spec.width)
    layers[-1] = weight[:, span], bias[span]
    return Inputs(numbers, arrays["centre"][numbers], arrays["scale"][numbers], tables, network.squash), layers


def dense_of_lines(lines: Sequence[Linear], last: float | None = None) -> tuple[Inputs, Layers]:
    """Return linear models, one for each output, as one layer.

    Args:
        lines: The models.
        last: What their last input, a number, is told; None where all inputs are features.
    """
    if last is not None:
        lines = [
            Linear(line.intercept + line.slopes[-1] * last, line.slopes[:-1], line.missing[:-1], line.levels[:-1])
            for line in lines
        ]
    counts = [len(levels) for levels in lines[0].levels]
    numbers = [at for at, count in enumerate(counts) if not count]
    places = [at for at, count in enumerate(counts) if count]
    tables = [(at, np.array([[*line.levels[at], line.missing[at]] for line in lines]).T) for at in places]
    own = np.array([[getattr(line, name)[at] for line in lines] for name in ("slopes", "missing") for at in numbers])
    each = np.eye(len(lines))
    weight = np.concatenate([own.reshape(-1, len(lines)), *(each for _ in places)])
    inputs = Inputs(numbers, np.zeros(len(numbers)), np.ones(len(numbers)), tables)
    return inputs, [(weight, np.array([line.intercept for line in lines]))]


def dense_graph(inputs: Inputs, layers: Layers) -> tuple[list[Any], list[Any]]:
    """Return the nodes from `inputs` to `scores`, and their constants."""
    from onnx import helper, numpy_helper

    nodes: list[Any] = []
    constants: list[Any] = []

    def constant(name: str, value: Any, kind: Any = np.float32) -> str:
        constants.append(numpy_helper.from_array(np.asarray(value, dtype=kind), name))
        return name

    def node(operator: str, given: list[str], name: str, **more: Any) -> str:
        nodes.append(helper.make_node(operator, given, [name], **more))
        return name

    zero, parts = constant("zero", 0.0), []
    if inputs.numbers:
        chosen = node("Gather", ["inputs", constant("numbers", inputs.numbers, np.int64)], "chosen", axis=1)
        moved = node("Sub", [chosen, constant("centre", inputs.centre)], "moved")
        scaled = node("Mul", [moved, constant("scale", inputs.scale)], "scaled")
        if inputs.squash:
            one = constant("one", 1.0)
            above = node("Add", [node("Abs", [scaled], "size"), one], "above")
            share = node("Sub", [one, node("Reciprocal", [above], "rest")], "share")
            scaled = node("Mul", [share, node("Sign", [scaled], "sign")], "squashed")
        gone = node("IsNaN", [scaled], "gone")
        parts += [node("Where", [gone, zero, scaled], "known"), node("Cast", [gone], "missing", to=1)]
    for at, table in inputs.tables:
        last = constant(f"last.{at}", len(table) - 1)
        code = node("Gather", ["inputs", constant(f"place.{at}", at, np.int64)], f"code.{at}", axis=1)
        bounds = [node("GreaterOrEqual", [code, zero], f"from.{at}"), node("Less", [code, last], f"to.{at}")]
        inside = node("And", bounds, f"in.{at}")
        level = node("Where", [inside, code, last], f"level.{at}")
        row = node("Cast", [level], f"row.{at}", to=7)
        parts.append(node("Gather", [constant(f"table.{at}", table), row], f"embedded.{at}", axis=0))
    hidden = node("Concat", parts, "hidden", axis=1)
    for number, (weight, bias) in enumerate(layers):
        product = node("MatMul", [hidden, constant(f"weight.{number}", weight)], f"product.{number}")
        final = number == len(layers) - 1
        hidden = node("Add", [product, constant(f"bias.{number}", bias)], "scores" if final else f"sum.{number}")
        hidden = hidden if final else node("Relu", [hidden], f"relu.{number}")
    return nodes, constants
