#!/usr/bin/env bash
# OpenVINO rounds the 32-bit accumulators of a product of bytes.
#
# Expected: MatMulInteger, whose result is int32 by definition, is the exact sum of
#           products; no overflow is near.
# Happens:  the sum passes through float32, and from 2**24 on is only as exact as that
#           (f32 is asked for: it is no matter of the lower precisions that the
#           plugin may choose).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q numpy==2.2.6 onnx==1.23.2 openvino==2026.4.1
cd "$folder"
venv/bin/python - <<'PYTHON'
import numpy as np
import onnx
import openvino
from onnx import TensorProto, helper

depth = 1024
graph = helper.make_graph(
    [helper.make_node('MatMulInteger', ['x', 'w'], ['y'])],
    'product',
    [
        helper.make_tensor_value_info('x', TensorProto.UINT8, [1, depth]),
        helper.make_tensor_value_info('w', TensorProto.INT8, [depth, 1]),
    ],
    [helper.make_tensor_value_info('y', TensorProto.INT32, [1, 1])],
)
model = helper.make_model(
    graph, opset_imports=[helper.make_opsetid('', 18)], ir_version=9
)
onnx.checker.check_model(model, full_check=True)
core = openvino.Core()
compiled = core.compile_model(
    core.read_model(model.SerializeToString()), 'CPU', {'INFERENCE_PRECISION_HINT': 'f32'}
)

print('onnx', onnx.__version__, 'openvino', openvino.__version__)
w = np.full((depth, 1), 127, dtype=np.int8)
w[0] = 126  # for odd sums
for code, same in [(63, True), (255, False)]:
    x = np.full((1, depth), code, dtype=np.uint8)
    exact = int((x.astype(np.int64) @ w.astype(np.int64)).item())
    made = compiled([x, w])[0]
    print(f'expected {exact}, happens {made.item()} ({made.dtype})')
    assert (made.item() == exact) == same, 'it has changed'
    assert made.item() == int(np.float32(exact)), 'it has changed'
PYTHON
