#!/usr/bin/env bash
# ONNX Runtime orders 64-bit integers by their low halves, read as signed.
#
# Expected: Clip, Max, Min and Sign of int64 compare whole numbers, as numpy does.
# Happens:  numbers whose high halves are equal are compared by their low halves, as
#           if these were signed: 2**31 + 5 is taken for less than 0.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q numpy==2.2.6 onnx==1.23.2 onnxruntime==1.31.1
cd "$folder"
venv/bin/python - <<'PYTHON'
import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper


def run(kind, *inputs):
    """What one node makes of int64 inputs."""
    names = [f'x{i}' for i in range(len(inputs))]
    graph = helper.make_graph(
        [helper.make_node(kind, names, ['y'])],
        kind,
        [
            helper.make_tensor_value_info(name, TensorProto.INT64, x.shape)
            for name, x in zip(names, inputs)
        ],
        [helper.make_tensor_value_info('y', TensorProto.INT64, inputs[0].shape)],
    )
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid('', 18)], ir_version=9
    )
    onnx.checker.check_model(model, full_check=True)
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=['CPUExecutionProvider']
    )
    return session.run(None, dict(zip(names, inputs)))[0]


print('onnx', onnx.__version__, 'onnxruntime', onnxruntime.__version__)
x = np.array([5, 2**31 + 5, 2**32 + 2**31, -3], dtype=np.int64)
seven, low, high = np.full(4, 7), np.array(0), np.array(2**32)
cases = {
    'Clip': ((x, low, high), np.clip(x, 0, 2**32), [5, 0, 2**32 + 2**31, 0]),
    'Max': ((x, seven), np.maximum(x, 7), [7, 7, 2**32 + 2**31, 7]),
    'Min': ((x, seven), np.minimum(x, 7), [5, 2**31 + 5, 7, -3]),
    'Sign': ((x,), np.sign(x), [1, -1, 1, -1]),
}
for kind, (inputs, expected, known) in cases.items():
    made = run(kind, *inputs)
    print(f'{kind}: expected {expected.tolist()}, happens {made.tolist()}')
    assert made.tolist() == known != expected.tolist(), f'{kind} has changed'
PYTHON
