#!/usr/bin/env bash
# OpenVINO requantizes in 32 bits what a model requantizes in 64.
#
# Requantization multiplies a 32-bit accumulator by a 31-bit multiplier and divides by a
# power of two: the product needs 64 bits, and the model says int64.
#
# Expected: the integers that numpy and ONNX Runtime make.
# Happens:  the CPU plugin computes int64 in int32, without a warning: every result is
#           0.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q numpy==2.2.6 onnx==1.23.2 onnxruntime==1.31.1 openvino==2026.4.1
cd "$folder"
venv/bin/python - <<'PYTHON'
import numpy as np
import onnx
import onnxruntime
import openvino
from onnx import TensorProto, helper, numpy_helper

int64 = TensorProto.INT64
constants = dict(multiplier=3 * 2**29 + 1, half=2**31, divisor=2**32)
graph = helper.make_graph(
    [
        helper.make_node('Mul', ['x', 'multiplier'], ['product']),
        helper.make_node('Add', ['product', 'half'], ['sum']),
        helper.make_node('Div', ['sum', 'divisor'], ['y']),
    ],
    'requantization',
    [helper.make_tensor_value_info('x', int64, [3])],
    [helper.make_tensor_value_info('y', int64, [3])],
    [numpy_helper.from_array(np.array(n), name) for name, n in constants.items()],
)
model = helper.make_model(
    graph, opset_imports=[helper.make_opsetid('', 18)], ir_version=9
)
onnx.checker.check_model(model, full_check=True)
data = model.SerializeToString()

for package in (onnx, onnxruntime, openvino):
    print(package.__name__, package.__version__)
x = np.array([7, 1000003, 2**30], dtype=np.int64)
expected = (x * constants['multiplier'] + constants['half']) // constants['divisor']
session = onnxruntime.InferenceSession(data, providers=['CPUExecutionProvider'])
runtime = session.run(None, dict(x=x))[0]
core = openvino.Core()
compiled = core.compile_model(core.read_model(data), 'CPU')
made = compiled([x])[0]
print(f'expected {expected.tolist()}, ONNX Runtime makes {runtime.tolist()}')
print(f'happens in OpenVINO: {made.tolist()} ({made.dtype})')
assert runtime.tolist() == expected.tolist(), 'ONNX Runtime has changed'
assert made.dtype == np.int64 and not made.any(), 'OpenVINO has changed'
PYTHON
