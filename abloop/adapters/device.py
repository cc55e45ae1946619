"""Small files for devices: a label's model as ONNX, which runs without Python, within a budget of bytes."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import msgspec

from abloop.adapters.device_dense import dense_graph, dense_of, dense_of_lines
from abloop.adapters.device_trees import tree_lists
from abloop.errors import DataError, MissingExtraError, unknown
from abloop.models.artefact import Artefact
from abloop.models.labels import LabelSpec
from abloop.models.network import NetworkSpec

if TYPE_CHECKING:
    from onnx import ModelProto

NOTHING: Mapping[str, Any] = MappingProxyType({})
OPSET, TREES_OPSET, IR = 18, 3, 9


def to_onnx(
    artefact: Artefact, label: str, *, most_bytes: int = 1_000_000, about: Mapping[str, Any] = NOTHING
) -> bytes:
    """Return a label's model as the bytes of an ONNX file.

    Its input `inputs` has shape (n, d), single precision, NaN where missing: the features as the artefact's columns
    encode them. Its output `predictions` has shape (n, width): one number, or one of each arm or class. Inputs that
    single precision can hold go the same way through every tree. Its metadata `abloop` is JSON: what is said `about`
    it, the label and the columns, so that a device needs the file alone: a category is its place in `levels`, NaN where
    it is missing or not among them.

    Args:
        artefact: A release.
        label: Its name; not predicted by a network that reads sequences.
        most_bytes: Size that the file must not exceed.
        about: Plain data that the file should carry besides, e.g. the formula.

    Raises:
        DataError: There is no such label, its model is of another kind, or the file would be too large.
        MissingExtraError: onnx is not installed.

    Example:
        >>> from abloop.models.trees import Tree
        >>> from abloop.records import Column
        >>> stump = Tree((0,), (0.5,), (-1,), (-2,), (2,), (1.0, 3.0))
        >>> spec = LabelSpec("spend", "identity", (stump,), 1)
        >>> len(to_onnx(Artefact(1, "labels", (), (Column("age", "numeric"),), None, 100, (spec,)), "spend")) < 1_000
        True
    """
    specs = {spec.name: spec for spec in artefact.labels}
    if label not in specs:
        raise DataError(unknown("label", label, specs))
    spec = specs[label]
    network = artefact.network if spec.head >= 0 else None
    if network is not None and network.sequences:
        raise DataError(
            f"label {label!r} is predicted from sequences, which no file for devices holds; train it without "
            "`model.sequences`"
        )
    if any(bits & 4 for tree in spec.trees for bits in tree.missing):
        raise DataError(
            f"label {label!r} takes zero for missing, which ONNX cannot say; train it without zero_as_missing"
        )
    try:
        import onnx  # noqa: F401
    except ImportError as error:
        raise MissingExtraError("a file for devices needs onnx: pip install 'abloop[device]'") from error
    model = _model(spec, network)
    entry = model.metadata_props.add()
    columns = [msgspec.structs.asdict(column) for column in artefact.columns]
    entry.key, entry.value = "abloop", msgspec.json.encode({**about, "label": label, "columns": columns}).decode()
    payload = model.SerializeToString()
    if len(payload) > most_bytes:
        raise DataError(
            f"label {label!r} takes {len(payload):,} bytes as ONNX; allowed: {most_bytes:,}. Use `model.size: small`"
        )
    found: bytes = payload
    return found


def _model(spec: LabelSpec, network: NetworkSpec | None) -> ModelProto:
    """Return the graph: trees, or dense layers, and the link."""
    from onnx import TensorProto, helper

    nodes: list[Any]
    constants: list[Any] = []
    if spec.trees:
        lists: Any = tree_lists(spec)
        trees = {"domain": "ai.onnx.ml", "n_targets": spec.width, "post_transform": "NONE", **lists}
        nodes = [helper.make_node("TreeEnsembleRegressor", ["inputs"], ["scores"], **trees)]
    else:
        nodes, constants = dense_graph(
            *(dense_of_lines(spec.linears, spec.last) if network is None else dense_of(spec, network))
        )
    name = {"logistic": "Sigmoid", "softmax": "Softmax"}.get(spec.link, "Identity")
    axis: Any = {"axis": 1} if name == "Softmax" else {}
    graph = helper.make_graph(
        [*nodes, helper.make_node(name, ["scores"], ["predictions"], **axis)],
        spec.name,
        [helper.make_tensor_value_info("inputs", TensorProto.FLOAT, [None, spec.columns])],
        [helper.make_tensor_value_info("predictions", TensorProto.FLOAT, [None, spec.width])],
        constants,
    )
    opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid("ai.onnx.ml", TREES_OPSET)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=IR)
