"""Single nodes of a model, each a model with known inputs and outputs of its own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from .adapters.reference import evaluator

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto

#: Values that a node takes and makes, by name.
Values = Mapping[str, np.ndarray]


class Case(NamedTuple):
    """A model with known outputs.

    Attributes:
        label: What the table calls it.
        path: Its ONNX file.
        known: A file of arrays, ``input_0`` and so on, ``output_0`` and so on.
    """

    label: str
    path: Path
    known: Path


def write_lone_nodes(
    model: ModelProto, feeds: Mapping[str, np.ndarray], folder: Path
) -> list[Case]:
    """Write one model for each kind of node: operator, types, constants.

    Of a kind, it is the node with the largest number among its inputs. All values are
    those of onnx's reference evaluator.

    Args:
        model: A model.
        feeds: Its inputs.
        folder: A folder for the models; each gets one of its own in it.
    """
    values = all_values(model, feeds)
    constants = {tensor.name for tensor in model.graph.initializer}
    chosen: dict[str, tuple[int, NodeProto]] = {}
    for node in model.graph.node:
        label = described(node, values)
        kind = label + ''.join(str(int(name in constants)) for name in node.input)
        kind += ''.join(str(values[name].ndim) for name in node.input)
        size = max(_largest(values[name]) for name in node.input)
        if kind not in chosen or chosen[kind][0] < size:
            chosen[kind] = size, node
    return [
        _write(node, described(node, values), values, constants, folder / f'{i:03}')
        for i, (_, node) in enumerate(chosen.values())
    ]


def all_values(model: ModelProto, feeds: Values) -> dict[str, np.ndarray]:
    """Every value of a model: its inputs, its constants, and what its nodes make."""
    from onnx import ModelProto, ValueInfoProto, numpy_helper

    wide = ModelProto()
    wide.CopyFrom(model)
    names = [name for node in model.graph.node for name in node.output]
    del wide.graph.output[:]
    wide.graph.output.extend(ValueInfoProto(name=name) for name in names)
    made = evaluator(wide).run(None, dict(feeds))
    constants = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
    results = {n: np.asarray(y) for n, y in zip(names, made, strict=True)}
    return {**feeds, **constants, **results}


def described(node: NodeProto, values: Values) -> str:
    """A node in words: ``BitShift of uint64``, ``Cast of int64 to uint64``."""
    made = values[node.output[0]].dtype.name
    if node.op_type == 'Cast':
        return f'Cast of {values[node.input[0]].dtype.name} to {made}'
    taken = values[node.input[0]].dtype.name
    return f'{node.op_type} of {taken}'


def _largest(x: np.ndarray) -> int:
    return max(int(x.max()), -int(x.min())) if x.size else 0


def _write(
    node: NodeProto, label: str, values: Values, constants: set[str], folder: Path
) -> Case:
    """A model of one node; what is constant in the whole model is so in it."""
    from onnx import NodeProto, helper, numpy_helper

    folder.mkdir(parents=True)
    given = list(dict.fromkeys(n for n in node.input if n not in constants))
    held = list(dict.fromkeys(n for n in node.input if n in constants))
    names = {name: f'input_{i}' for i, name in enumerate(given)}
    names |= {name: f'constant_{i}' for i, name in enumerate(held)}
    names |= {name: f'output_{i}' for i, name in enumerate(node.output)}
    lone = NodeProto()
    lone.CopyFrom(node)
    lone.name = 'node'
    lone.input[:] = [names[name] for name in node.input]
    lone.output[:] = [names[name] for name in node.output]

    def information(name: str) -> Any:
        x = values[name]
        kind = helper.np_dtype_to_tensor_dtype(x.dtype)
        return helper.make_tensor_value_info(names[name], kind, x.shape)

    graph = helper.make_graph(
        [lone],
        'lone',
        [information(name) for name in given],
        [information(name) for name in node.output],
        [numpy_helper.from_array(values[name], names[name]) for name in held],
    )
    # The numbers that exports have.
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid('', 18)], ir_version=8
    )
    case = Case(label, folder / 'node.onnx', folder / 'known.npz')
    case.path.write_bytes(model.SerializeToString())
    arrays: dict[str, Any] = {names[n]: values[n] for n in (*given, *node.output)}
    np.savez(case.known, **arrays)
    return case
