"""Which integer operators of LiteRT are exact, and whether a program could be of them.

python benchmarks/litert_operators.py       # pip install ai-edge-litert

Makes models of one operator each and runs them: those with scales of their own beside
what this project computes, and those of plain integers beside numpy.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
import torch

from iptq_mm.intmath import dyadic, requantize

#: numpy's names of types, and the schema's.
_TYPES = dict(int8='INT8', int16='INT16', int32='INT32', int64='INT64')

#: Versions of operators up to this one are tried.
_NEWEST = 12


class Value(NamedTuple):
    """A tensor of a model.

    Attributes:
        array: Its numbers; of a result, what it has to be.
        scale: Its scale; 0: it has none.
        zero: Its zero point.
    """

    array: np.ndarray
    scale: float = 0.0
    zero: int = 0


def one_operator(
    name: str,
    inputs: list[Value],
    constants: int,
    result: Value,
    options: Mapping,
    version: int,
) -> bytes:
    """A model of one operator.

    Args:
        name: Of the schema, ``FULLY_CONNECTED``.
        inputs: What the operator takes; the last of them may be constants.
        constants: How many are.
        result: Its type, shape and scale count.
        options: Name of the options in the schema, ``type``, and its attributes.
        version: Of the operator.
    """
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    model, graph = schema.ModelT(), schema.SubGraphT()
    model.version, model.subgraphs = 3, [graph]
    model.buffers, graph.tensors = [schema.BufferT()], []
    for i, value in enumerate([*inputs, result]):
        tensor = schema.TensorT()
        tensor.name, tensor.shape = f't{i}', list(value.array.shape)
        tensor.type = getattr(schema.TensorType, _TYPES[value.array.dtype.name])
        if value.scale:
            tensor.quantization = schema.QuantizationParametersT()
            tensor.quantization.scale = [value.scale]
            tensor.quantization.zeroPoint = [value.zero]
        if len(inputs) - constants <= i < len(inputs):
            buffer = schema.BufferT()
            buffer.data = np.frombuffer(value.array.tobytes(), np.uint8)
            tensor.buffer = len(model.buffers)
            model.buffers.append(buffer)
        graph.tensors.append(tensor)
    code = schema.OperatorCodeT()
    code.builtinCode = getattr(schema.BuiltinOperator, name)
    code.deprecatedBuiltinCode, code.version = min(code.builtinCode, 127), version
    operator = schema.OperatorT()
    operator.inputs = list(range(len(inputs)))
    operator.outputs = graph.outputs = [len(inputs)]
    graph.inputs = list(range(len(inputs) - constants))
    if options:
        kind = options['type']
        operator.builtinOptionsType = getattr(schema.BuiltinOptions, kind)
        operator.builtinOptions = getattr(schema, f'{kind}T')()
        for key, x in options.items():
            setattr(operator.builtinOptions, key, x)
    model.operatorCodes, graph.operators = [code], [operator]
    builder = flatbuffers.Builder(1 << 16)
    builder.Finish(model.Pack(builder), b'TFL3')
    return bytes(builder.Output())


def made_by(kernels: str, name: str, case: tuple) -> np.ndarray:
    """What LiteRT makes, with the newest version of an operator that it knows.

    Args:
        kernels: ``default``, ``no XNNPACK`` or ``reference``.
        name: Of the schema.
        case: Inputs, how many are constants, the result, options.

    Raises:
        RuntimeError: If it has no such operator.
        ValueError: The same.
    """
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    kinds = {
        'default': OpResolverType.AUTO,
        'no XNNPACK': OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
        'reference': OpResolverType.BUILTIN_REF,
    }
    for version in range(_NEWEST, 0, -1):
        model = one_operator(name, *case, version)
        try:
            interpreter = Interpreter(
                model_content=model, experimental_op_resolver_type=kinds[kernels]
            )
            break
        except ValueError as error:
            if version == 1 or "Didn't find op" not in str(error):
                raise
    interpreter.allocate_tensors()
    given = interpreter.get_input_details()
    for about, value in zip(given, case[0], strict=False):
        interpreter.set_tensor(about['index'], value.array)
    interpreter.invoke()
    return interpreter.get_tensor(interpreter.get_output_details()[0]['index'])


def scaled_cases(rng: np.random.Generator) -> dict[str, tuple]:
    """Operators with scales of their own: their inputs, constants, result, options."""

    def codes(*shape: int, kind: Any = np.int8) -> np.ndarray:
        info = np.iinfo(kind)
        return rng.integers(info.min, info.max + 1, shape).astype(kind)

    x, w = codes(512, 192), np.maximum(codes(192, 192), -127)
    bias = rng.integers(-5000, 5000, 192).astype(np.int32)
    total = x.astype(np.int64) @ w.T.astype(np.int64) + bias
    scales = np.float32(0.02), np.float32(0.003), np.float32(0.9)
    ratio = float(scales[0]) * float(scales[1]) / float(scales[2])
    once = requantize(torch.from_numpy(total), dyadic(ratio)).numpy()
    linear = np.clip(once, -128, 127).astype(np.int8)
    rows8, rows16 = codes(256, 64), codes(256, 64, kind=np.int16)

    def softmax(rows: np.ndarray, scale: float) -> np.ndarray:
        e = np.exp((rows - rows.max(-1, keepdims=True).astype(float)) * scale)
        return e / e.sum(-1, keepdims=True)

    every = np.arange(-128, 128, dtype=np.int8)[None]
    real = torch.nn.functional.gelu(torch.from_numpy(every * 0.05)).numpy()
    soft8 = np.clip(np.rint(softmax(rows8, 0.1) * 256) - 128, -128, 127)
    soft16 = np.clip(np.rint(softmax(rows16, 4e-4) * 32768), -32768, 32767)
    gelu = np.clip(np.rint(real / 0.05), -128, 127)
    attributes = dict(type='FullyConnectedOptions')
    return {
        'FULLY_CONNECTED int8': (
            [
                Value(x, float(scales[0])),
                Value(w, float(scales[1])),
                Value(bias, float(scales[0] * scales[1])),
            ],
            2,
            Value(linear, float(scales[2])),
            attributes,
        ),
        'SOFTMAX int8': (
            [Value(rows8, 0.1)],
            0,
            Value(soft8.astype(np.int8), 1 / 256, -128),
            dict(type='SoftmaxOptions', beta=1.0),
        ),
        'SOFTMAX int16': (
            [Value(rows16, 4e-4)],
            0,
            Value(soft16.astype(np.int16), 1 / 32768),
            dict(type='SoftmaxOptions', beta=1.0),
        ),
        'GELU int8': (
            [Value(every, 0.05)],
            0,
            Value(gelu.astype(np.int8), 0.05),
            dict(type='GeluOptions'),
        ),
    }


def plain_cases(rng: np.random.Generator) -> dict[str, tuple]:
    """What requantization and tables need, on plain integers."""
    x = rng.integers(-(2**30), 2**30, (4, 64))
    m = np.full((1, 64), 2**30 + 12345)
    product = x * m
    table = rng.integers(-(2**31), 2**31, 256)
    index = rng.integers(0, 256, (4, 64)).astype(np.int32)
    a, w = (rng.integers(-128, 128, s).astype(np.int8) for s in ((4, 64), (64, 8)))
    exact = a.astype(np.int32) @ w.astype(np.int32)
    small = x.astype(np.int32)
    seven, power = np.array([7]), np.array([2**33])

    def pair(function: Callable, p: np.ndarray, q: np.ndarray) -> tuple:
        return [Value(p), Value(q)], 1, Value(function(p, q))

    add, mul = dict(type='AddOptions'), dict(type='MulOptions')
    shifted = (small >> np.int32(7)).astype(np.int32)
    return {
        'MUL int64': (*pair(np.multiply, x, m), mul),
        'ADD int64': (*pair(np.add, product, m), add),
        'RIGHT_SHIFT int32': (
            [Value(small), Value(np.full_like(small, 7))],
            1,
            Value(shifted),
            dict(type='RightShiftOptions'),
        ),
        'RIGHT_SHIFT int64': (
            *pair(np.right_shift, product, np.full_like(x, 33)),
            dict(type='RightShiftOptions'),
        ),
        'FLOOR_DIV int64': (
            *pair(np.floor_divide, product, power),
            dict(type='FloorDivOptions'),
        ),
        'BITCAST int64 to int32': (
            [Value(product)],
            0,
            Value(product.view(np.int32).reshape(4, 64, 2)),
            dict(type='BitcastOptions'),
        ),
        'MAXIMUM int64': (
            *pair(np.maximum, product, seven),
            dict(type='MaximumMinimumOptions'),
        ),
        'CAST int64 to int8': (
            [Value(x % 100)],
            0,
            Value((x % 100).astype(np.int8)),
            dict(type='CastOptions'),
        ),
        'GATHER int64': (
            [Value(table), Value(index)],
            0,
            Value(table[index]),
            dict(type='GatherOptions', axis=0),
        ),
        'BATCH_MATMUL int8 to int32': (
            [Value(a, 1.0), Value(w, 1.0)],
            0,
            Value(exact, 1.0),
            dict(type='BatchMatMulOptions'),
        ),
        'FULLY_CONNECTED int8 to int32': (
            [Value(a, 1.0), Value(np.ascontiguousarray(w.T), 1.0)],
            1,
            Value(exact, 1.0),
            dict(type='FullyConnectedOptions'),
        ),
    }


def said(kernels: str, name: str, case: tuple) -> str:
    """How the result of an operator differs, in words."""
    try:
        made = made_by(kernels, name.split()[0], case)
    except (RuntimeError, ValueError) as error:
        return f'not taken ({str(error).strip().splitlines()[0][:90]})'
    distance = abs(made.astype(object) - case[2].array.astype(object))
    other = int((distance != 0).sum())
    if not other:
        return 'exact'
    return (
        f'{1e6 * other / distance.size:.0f} of a million differ, '
        f'by up to {distance.max()}'
    )


def main() -> int:
    """Print what each operator does."""
    import importlib.metadata

    version = importlib.metadata.version('ai-edge-litert')
    print(f'ai-edge-litert {version}')
    for cases in (scaled_cases, plain_cases):
        for name, case in cases(np.random.default_rng(0)).items():
            for kernels in ('default', 'no XNNPACK', 'reference'):
                print(f'{name}, {kernels}: {said(kernels, name, case)}', flush=True)
    from ai_edge_litert.schema_py_generated import BuiltinOperator

    norms = [n for n in vars(BuiltinOperator) if 'NORM' in n]
    print(f'operators that normalize: {", ".join(norms)}')
    return 0


if __name__ == '__main__':
    sys.exit(main())
