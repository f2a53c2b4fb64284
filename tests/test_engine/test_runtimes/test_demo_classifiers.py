"""The demo's classifiers, whole, in other software: the same integers."""

import importlib.util
import warnings

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from iptq_mm.engine.export.known import known_inputs
from iptq_mm.engine.export.program import export_program
from iptq_mm.engine.runtimes.adapters import Reference, Tvm
from iptq_mm.program import run

pytestmark = pytest.mark.slow

NAMES = ('vit_demo_w8a8', 'swin_demo_w8a8')
IMAGES = 4


@pytest.fixture(scope='module', params=NAMES)
def exported(request, demo_run, demo_folder):
    """The ONNX file of a classifier, and inputs with the outputs of the reference."""
    demo_run(request.param)
    config = demo_folder / f'work/{request.param}/integer.py'
    path = demo_folder / f'{request.param}.onnx'
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(demo_folder)
        program = export_program(config, None, path)
    cases = []
    for seed in range(IMAGES):
        inputs = known_inputs(program, seed)
        if seed == IMAGES - 1:  # an image without contrast, but for one edge
            inputs = [torch.full_like(x, -100) for x in inputs]
            inputs[0][..., 20:] = 90
        feeds = {f'input_{i}': x.numpy() for i, x in enumerate(inputs)}
        cases.append((feeds, [y.numpy() for y in run(program, inputs)]))
    return path, cases


def check(call, cases):
    for feeds, expected in cases:
        made = call(feeds)
        assert len(made) == len(expected)
        for x, y in zip(expected, made, strict=True):
            assert x.dtype == y.dtype and np.array_equal(x, y)


def test_the_images_differ(exported):
    """Or else a constant would pass."""
    outputs = {y.tobytes() for _, (y,) in exported[1]}
    assert len(outputs) == IMAGES


def test_reference_evaluator(exported):
    path, cases = exported
    check(Reference().prepare(path), cases)


@pytest.mark.parametrize('level', ['DISABLE_ALL', 'ENABLE_BASIC', 'ENABLE_ALL'])
def test_onnx_runtime_at_all_levels(exported, level):
    path, cases = exported
    options = onnxruntime.SessionOptions()
    levels = onnxruntime.GraphOptimizationLevel
    options.graph_optimization_level = getattr(levels, f'ORT_{level}')
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        path, options, providers=['CPUExecutionProvider']
    )
    check(lambda feeds: session.run(None, feeds), cases)


def test_tvm(exported):
    if importlib.util.find_spec('tvm') is None:
        message = 'TVM is not tested: pip install apache-tvm==0.27.0.post1'
        warnings.warn(message, RuntimeWarning, stacklevel=1)
        pytest.skip(message)
    path, cases = exported
    check(Tvm().prepare(path), cases)


def test_what_compilers_may_not_do_is_not_asked(exported):
    """No signed operator overflows, on these images: to some, none ever does."""
    from iptq_mm.engine.runtimes.lone_nodes import all_values

    path, cases = exported
    model = onnx.load(path)
    kinds = {'Add': np.add, 'Sub': np.subtract, 'Mul': np.multiply}
    nodes = [node for node in model.graph.node if node.op_type in kinds]
    assert len(nodes) > 500
    for feeds, _ in cases[:2]:
        values = all_values(model, feeds)
        for node in nodes:
            x, y = (values[name].astype(object) for name in node.input)
            made = values[node.output[0]]
            exact = kinds[node.op_type](x, y)
            assert made.dtype.kind == 'i', node.name
            assert bool(np.all(exact == made.astype(object))), node.name


def test_opset_and_version_are_pinned(exported):
    """ONNX Runtime 1.31 does not take the version that onnx 1.23 writes by default."""
    model = onnx.load(exported[0])
    assert model.ir_version == 8
    assert [(x.domain, x.version) for x in model.opset_import] == [('', 18)]
    assert 'ConvInteger' not in {node.op_type for node in model.graph.node}
