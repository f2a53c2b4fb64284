"""Running what is expressed in ONNX's operators."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import helper
from program_cases import equal, integers
from torch import Tensor

from iptq_mm.program import Program, run
from iptq_mm.program.backends.onnx import to_onnx
from iptq_mm.program.backends.onnx.builder import (
    IR_VERSION,
    OPSET,
    Builder,
    Ref,
    dtype_name,
    onnx_type,
)

#: Types that a model may have anywhere.
INTEGERS = {
    onnx_type(name)
    for name in ('bool', 'int8', 'int16', 'int32', 'int64')
    + ('uint8', 'uint32', 'uint64')
}


def session(model: onnx.ModelProto) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=['CPUExecutionProvider']
    )


def outputs(model: onnx.ModelProto, inputs: Sequence[Tensor]) -> list[Tensor]:
    feeds = {f'input_{i}': x.numpy() for i, x in enumerate(inputs)}
    return [torch.from_numpy(np.array(y)) for y in session(model).run(None, feeds)]


def computed(
    build: Callable[..., Ref],
    *inputs: Tensor,
    bounds: Sequence[tuple[int, int]] | None = None,
) -> tuple[Tensor, Ref]:
    """What a graph of these inputs makes, and what its builder says of it.

    Args:
        build: From the builder and the inputs to the result.
        *inputs: Integers.
        bounds: Of the inputs; the least and largest number if None.
    """
    b = Builder()
    bounds = bounds or [(int(x.min()), int(x.max())) for x in inputs]
    refs = [
        Ref(f'input_{i}', dtype_name(x.dtype), *pair)
        for i, (x, pair) in enumerate(zip(inputs, bounds, strict=True))
    ]
    made = build(b, *refs)
    b.nodes.append(helper.make_node('Identity', [made.name], ['output']))
    graph = helper.make_graph(
        b.nodes,
        'test',
        [
            helper.make_tensor_value_info(ref.name, onnx_type(ref.dtype), x.shape)
            for ref, x in zip(refs, inputs, strict=True)
        ],
        [helper.make_tensor_value_info('output', onnx_type(made.dtype), None)],
        b.initializers,
    )
    opset = [helper.make_opsetid('', OPSET)]
    model = helper.make_model(graph, opset_imports=opset, ir_version=IR_VERSION)
    (result,) = outputs(model, inputs)
    return result, made


def agrees(
    build: Callable[..., Ref],
    expected: Tensor,
    *inputs: Tensor,
    bounds: Sequence[tuple[int, int]] | None = None,
) -> None:
    """The graph makes the expected numbers, within the bounds it knows of."""
    result, made = computed(build, *inputs, bounds=bounds)
    assert torch.equal(result.long(), expected.long())
    assert dtype_name(result.dtype) == made.dtype
    assert made.low <= int(expected.min()) and int(expected.max()) <= made.high


def wide_numbers(count: int, seed: int = 0, bits: int = 63) -> Tensor:
    """Numbers of all lengths and both signs, with those at the ends of types."""
    generator = torch.Generator().manual_seed(seed)
    raw = torch.randint(-(2**62), 2**62, (count,), generator=generator) * 2
    x = raw >> torch.randint(63 - bits, 63, (count,), generator=generator)
    ends = [s * 2**n + d for n in (31, 32, bits) for s in (1, -1) for d in (-1, 0, 1)]
    held = [n for n in ends if -(2**bits) <= n < 2**bits]
    x[: len(held)] = torch.tensor(held)
    return x


def types(model: onnx.ModelProto) -> set[int]:
    """Every type in a model: of tensors, constants and casts."""
    inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True)
    graph = inferred.graph
    known = {
        value.name: value.type.tensor_type.elem_type
        for value in (*graph.value_info, *graph.input, *graph.output)
    }
    known.update((tensor.name, tensor.data_type) for tensor in graph.initializer)
    for node in graph.node:
        for name in (*node.input, *node.output):
            assert name in known, f'nothing is known about {name}'
        for attribute in node.attribute:
            kinds = onnx.AttributeProto
            assert attribute.type in (kinds.INT, kinds.INTS, kinds.STRING), node
            if attribute.name == 'to':
                known[node.name] = attribute.i
    return set(known.values())


def check(program: Program, seeds: Sequence[int] = (0, 1)) -> onnx.ModelProto:
    """The model is one of integers, and makes those of the reference.

    Inputs are random, and all at their ends.
    """
    model = to_onnx(program)
    onnx.checker.check_model(model, full_check=True)
    assert types(model) <= INTEGERS
    cases = [integers(program, seed) for seed in seeds] + extremes(program)
    runner = session(model)
    for inputs in cases:
        feeds = {f'input_{i}': x.numpy() for i, x in enumerate(inputs)}
        made = [torch.from_numpy(np.array(y)) for y in runner.run(None, feeds)]
        assert equal(made, run(program, inputs))
    return model


def extremes(program: Program) -> list[list[Tensor]]:
    """Inputs at the ends of their bounds: low, high, both in turns, next to 0."""
    values = [program.values[port.value] for port in program.inputs]
    made = []
    for ends in ((0, 0), (1, 1), (0, 1), (2, 2)):
        inputs = []
        for v in values:
            choices = v.low, v.high, min(max(0, v.low), v.high)
            x = torch.empty(v.shape, dtype=v.dtype).flatten()
            x[0::2], x[1::2] = (choices[end] for end in ends)
            inputs.append(x.view(v.shape))
        made.append(inputs)
    return made
