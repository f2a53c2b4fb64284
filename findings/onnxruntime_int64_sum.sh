#!/usr/bin/env bash
# ONNX Runtime changes a 64-bit integer by adding ones to it.
#
# Expected: ReduceSum of int64 adds integers, as numpy does, and as MatMul of int64 in
#           the same runtime does.
# Happens:  it adds doubles. Beyond 2**53 terms get lost: 2**60 + 1 and 63 ones make
#           2**60, in which not one of the ones is left.
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


def run(node, inputs, shape):
    """What one node makes of int64 inputs."""
    int64 = TensorProto.INT64
    graph = helper.make_graph(
        [node],
        'sum',
        [helper.make_tensor_value_info(n, int64, x.shape) for n, x in inputs.items()],
        [helper.make_tensor_value_info('y', int64, shape)],
    )
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid('', 18)], ir_version=9
    )
    onnx.checker.check_model(model, full_check=True)
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=['CPUExecutionProvider']
    )
    return session.run(None, inputs)[0].item()


print('onnx', onnx.__version__, 'onnxruntime', onnxruntime.__version__)
terms = np.ones((1, 64), dtype=np.int64)
terms[0, 0] += 2**60
ones = np.ones((64, 1), dtype=np.int64)
exact = int(terms.sum())
product = run(helper.make_node('MatMul', ['x', 'w'], ['y']), dict(x=terms, w=ones), [1, 1])
total = run(helper.make_node('ReduceSum', ['x'], ['y']), dict(x=terms), [1, 1])
print(f'expected 2**60 + {exact - 2**60}')
print(f'MatMul with ones: 2**60 + {product - 2**60}')
print(f'happens in ReduceSum: 2**60 + {total - 2**60}')
assert product == exact, 'MatMul has changed'
assert total == 2**60, 'ReduceSum has changed'
PYTHON
