"""Files, what they say about themselves, and the back end that runs them."""

import json
import subprocess
import sys

import numpy as np
import onnx
import pytest
import torch
from onnx_cases import outputs
from program_cases import (
    equal,
    function_program,
    images,
    integers,
    lone,
    quantized_swin,
    quantized_vit,
    vit_program,
)
from region_models import same

from iptq_mm import __version__
from iptq_mm.program import run, use_backend
from iptq_mm.program.backends.onnx import Onnx, export_onnx
from iptq_mm.registry import BACKENDS

#: What a program without this project does with a file.
ALONE = """
import json, sys
import numpy as np, onnxruntime
path, images, result = sys.argv[1:]
session = onnxruntime.InferenceSession(path)
about = session.get_modelmeta().custom_metadata_map
(port,), (out,) = json.loads(about['inputs']), json.loads(about['outputs'])
x = np.rint(np.load(images).astype(np.float64) / port['scale'])
kind = session.get_inputs()[0].type.removeprefix('tensor(').rstrip(')')
q = np.clip(x, port['low'], port['high']).astype(kind)
(y,) = session.run([out['name']], {port['name']: q})
np.save(result, y.astype(np.float32) * np.float32(out['scale']))
assert not any(name.startswith(('torch', 'iptq_mm')) for name in sys.modules)
"""


@pytest.fixture(scope='module')
def path(tmp_path_factory):
    path = tmp_path_factory.mktemp('models') / 'vit.onnx'
    export_onnx(vit_program(), path)
    return path


def test_file(path):
    program, model = vit_program(), onnx.load(path)
    inputs = integers(program)
    assert equal(outputs(model, inputs), run(program, inputs))
    assert [p.name for p in path.parent.iterdir()] == ['vit.onnx']


def test_metadata(path):
    program, model = vit_program(), onnx.load(path)
    about = {p.key: p.value for p in model.metadata_props}
    assert about['region'] == 'backbone'
    assert about['iptq_mm_version'] == __version__ == model.producer_version
    (port,), (value,) = program.inputs, [program.values[program.inputs[0].value]]
    assert json.loads(about['inputs']) == [
        dict(name='input_0', scale=port.scale, low=value.low, high=value.high)
    ]
    (out,) = json.loads(about['outputs'])
    assert (
        out['name'] == 'ln1' == model.graph.output[0].name
        and out['scale'] == program.outputs[0].scale
    )
    shape = model.graph.input[0].type.tensor_type.shape
    assert tuple(d.dim_value for d in shape.dim) == value.shape


def test_the_file_alone_gives_the_features(path, tmp_path):
    x = images(2, 3, 32, 32, seed=5)
    np.save(tmp_path / 'x.npy', x.numpy())
    script = tmp_path / 'alone.py'
    script.write_text(ALONE)
    arguments = [path, tmp_path / 'x.npy', tmp_path / 'y.npy']
    subprocess.run([sys.executable, script, *arguments], check=True)
    (expected,) = quantized_vit()(x)
    assert np.array_equal(np.load(tmp_path / 'y.npy'), expected.numpy())


@pytest.mark.parametrize('net', [quantized_vit, quantized_swin])
@pytest.mark.slow
def test_back_end(net):
    model, x = net(), images(1, 3, 40, 56, seed=7)
    if net is quantized_vit:
        x = images(1, 3, 32, 32, seed=7)
    expected = model(x)
    use_backend(model, 'onnx')
    try:
        assert same(model(x), expected)
        assert same(model(x), expected)
    finally:
        use_backend(model, None)


def test_back_end_of_transposed_inputs():
    program = lone('negate', [((3, 4), -5, 5)], (-5, 5))
    executable = BACKENDS.build(dict(type='onnx')).prepare(program, torch.device('cpu'))
    x = torch.arange(-5, 7, dtype=torch.int8).clamp(-5, 5).view(4, 3).t()
    assert equal(executable.run([x]), [-x])


def test_results_are_the_callers():
    program = function_program('table_gelu', {})
    executable = Onnx().prepare(program, torch.device('cpu'))
    inputs = integers(program)
    first = executable.run(inputs)[0]
    expected = first.clone()
    executable.run(integers(program, seed=1))[0].zero_()
    assert torch.equal(first, expected)


def test_an_input_that_is_an_output():
    program = lone('negate', [((3, 4), -5, 5)], (-5, 5))
    program.outputs.append(program.inputs[0])
    program.outputs.append(program.outputs[0])
    x = integers(program)
    executable = Onnx().prepare(program, torch.device('cpu'))
    assert equal(executable.run(x), [-x[0], x[0], -x[0]])


def test_a_file_that_cannot_be_written(tmp_path):
    (tmp_path / 'file').write_text('')
    with pytest.raises(OSError):
        export_onnx(vit_program(), tmp_path / 'file' / 'vit.onnx')
