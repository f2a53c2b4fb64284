#!/usr/bin/env bash
# TVM subtracts the smallest integer by setting a bit.
#
# Expected: -5 - (-2**31) is 2**31 - 5, in numpy and in 32 bits; nothing overflows. The
#           same of -2**63 in 64 bits.
# Happens:  -5. Code for CPUs turns the subtraction into the addition of the same number,
#           which would overflow below 0: so LLVM takes the number for positive, and adds
#           by a bitwise or.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q numpy==2.2.6 onnx==1.23.2 apache-tvm==0.27.0.post1
cd "$folder"
venv/bin/python - <<'PYTHON'
import numpy as np
import onnx
import tvm
from onnx import TensorProto, helper, numpy_helper
from tvm import relax
from tvm.relax.frontend.onnx import from_onnx


def run(kind, x, smallest):
    """What one operator with a constant makes of integers."""
    dtype = TensorProto.INT32 if x.dtype == np.int32 else TensorProto.INT64
    graph = helper.make_graph(
        [helper.make_node(kind, ['x', 'smallest'], ['y'])],
        kind,
        [helper.make_tensor_value_info('x', dtype, x.shape)],
        [helper.make_tensor_value_info('y', dtype, x.shape)],
        [numpy_helper.from_array(smallest, 'smallest')],
    )
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid('', 18)], ir_version=8
    )
    onnx.checker.check_model(model, full_check=True)
    module = from_onnx(model, keep_params_in_input=False)
    machine = relax.VirtualMachine(tvm.compile(module, target='llvm'), tvm.cpu())
    return machine['main'](tvm.runtime.tensor(x)).numpy()


print('onnx', onnx.__version__, 'tvm', tvm.__version__)
for kind in (np.int32, np.int64):
    smallest = np.array(np.iinfo(kind).min, kind)
    x = np.array([-5, -(2**20), smallest], kind)
    expected = x - smallest
    made = run('Sub', x, smallest)
    print(f'{x.dtype}: expected {expected.tolist()}, happens {made.tolist()}')
    print('BitwiseXor makes', run('BitwiseXor', x, smallest).tolist())
    assert made.tolist() == x.tolist() != expected.tolist(), 'Sub has changed'
    assert np.array_equal(run('BitwiseXor', x, smallest), expected), 'BitwiseXor has changed'
PYTHON
