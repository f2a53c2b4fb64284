#!/usr/bin/env bash
# ONNX Runtime's basic optimizations drop the bias of a channel without weights.
#
# A quantized convolution in the usual QDQ form, with a float bias. A channel whose
# weights are all 0 has the tiny scale that tools give it, to divide by something: 1e-12.
#
# Expected: that channel is its bias, 1.5, at every level of optimization.
# Happens:  from the basic level on, the bias becomes integers of the scale of the
#           products, which does not hold it: the channel is 0.
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
from onnx import TensorProto, helper, numpy_helper

shape = [1, 2, 3, 3]
constants = dict(
    step=np.float32(0.02),
    zero=np.int8(0),
    weight=np.array([50, 20, 0, 0], np.int8).reshape(2, 2, 1, 1),
    weight_step=np.array([0.02, 1e-12], np.float32),
    weight_zero=np.zeros(2, np.int8),
    bias=np.array([0.25, 1.5], np.float32),
)
graph = helper.make_graph(
    [
        helper.make_node('QuantizeLinear', ['x', 'step', 'zero'], ['q']),
        helper.make_node('DequantizeLinear', ['q', 'step', 'zero'], ['real']),
        helper.make_node(
            'DequantizeLinear', ['weight', 'weight_step', 'weight_zero'], ['w'], axis=0
        ),
        helper.make_node('Conv', ['real', 'w', 'bias'], ['made']),
        helper.make_node('QuantizeLinear', ['made', 'step', 'zero'], ['p']),
        helper.make_node('DequantizeLinear', ['p', 'step', 'zero'], ['y']),
    ],
    'convolution',
    [helper.make_tensor_value_info('x', TensorProto.FLOAT, shape)],
    [helper.make_tensor_value_info('y', TensorProto.FLOAT, shape)],
    [numpy_helper.from_array(np.asarray(v), name) for name, v in constants.items()],
)
model = helper.make_model(
    graph, opset_imports=[helper.make_opsetid('', 18)], ir_version=8
)
onnx.checker.check_model(model, full_check=True)
print('onnx', onnx.__version__, 'onnxruntime', onnxruntime.__version__)
x = np.full(shape, 0.5, np.float32)
for level, known in [('DISABLE_ALL', 1.5), ('ENABLE_BASIC', 0.0), ('ENABLE_ALL', 0.0)]:
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = getattr(
        onnxruntime.GraphOptimizationLevel, f'ORT_{level}'
    )
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=['CPUExecutionProvider']
    )
    (made,) = session.run(None, dict(x=x))
    print(f'{level}: expected 1.5, happens {made[0, 1, 0, 0]:g}')
    assert np.allclose(made[0, 1], known), f'{level} has changed'
    assert np.allclose(made[0, 0], 0.94, atol=0.02), 'the other channel has changed'
PYTHON
