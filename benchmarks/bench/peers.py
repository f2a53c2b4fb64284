"""What other tools make of a float model: each a function from images to logits.

All of them calibrate with the same images. What a tool leaves in floats is part of what
it is, and stands beside its name.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from .contenders.base import Unavailable
from .contenders.onnxruntime import exported, quiet, runtime, statically
from .contenders.openvino import converted, for_transformers, package

#: From images, shape (1, 3, H, W), to logits.
Answers = Callable[[Tensor], Tensor]


class Peer(NamedTuple):
    """A tool with settings.

    Attributes:
        tool: Name of the tool.
        settings: What it was told.
        floats: What stays in floats.
        make: Makes it, from the float model and normalized images of batch 1.
    """

    tool: str
    settings: str
    floats: str
    make: Callable[[nn.Module, Sequence[Tensor]], Answers]


def _onnx(model: bytes) -> Answers:
    ort = runtime()
    options = ort.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = ort.InferenceSession(model, options, providers=['CPUExecutionProvider'])
    name = session.get_inputs()[0].name
    return lambda image: torch.from_numpy(session.run(None, {name: image.numpy()})[0])


def _onnx_dynamic(model: nn.Module, images: Sequence[Tensor]) -> Answers:
    from onnxruntime.quantization import QuantType, quantize_dynamic

    with tempfile.TemporaryDirectory() as folder, quiet():
        given, made = Path(folder, 'float.onnx'), Path(folder, 'int8.onnx')
        given.write_bytes(exported(model, images[0]))
        quantize_dynamic(given, made, weight_type=QuantType.QInt8, per_channel=True)
        return _onnx(made.read_bytes())


def _onnx_static(model: nn.Module, images: Sequence[Tensor]) -> Answers:
    return _onnx(statically(exported(model, images[0]), images))


def _onnx_products(model: nn.Module, images: Sequence[Tensor]) -> Answers:
    products = ['MatMul', 'Gemm', 'Conv']
    return _onnx(statically(exported(model, images[0]), images, products))


def _openvino(smooth_quant: bool) -> Callable[[nn.Module, Sequence[Tensor]], Answers]:
    def make(model: nn.Module, images: Sequence[Tensor]) -> Answers:
        openvino = package('openvino')
        made = for_transformers(converted(model, images[0]), images, smooth_quant)
        compiled = openvino.compile_model(
            made, 'CPU', {'INFERENCE_PRECISION_HINT': 'f32'}
        )
        return lambda image: torch.from_numpy(compiled(image.numpy())[0].copy())

    return make


def _torchao(model: nn.Module, images: Sequence[Tensor]) -> Answers:
    try:
        from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e
        from torchao.quantization.pt2e.quantizer import x86_inductor_quantizer as x86
    except ImportError as error:
        raise Unavailable(f'{error.name} is missing: pip install torchao') from error
    with torch.no_grad(), contextlib.redirect_stdout(None):
        program = torch.export.export(model, (images[0],)).module()
        quantizer = x86.X86InductorQuantizer()
        quantizer.set_global(x86.get_default_x86_inductor_quantization_config())
        prepared: Any = prepare_pt2e(program, quantizer)
        for image in images:
            prepared(image)
        made = convert_pt2e(prepared)

    def answers(image: Tensor) -> Tensor:
        with torch.no_grad():
            return made(image)

    return answers


_REST = 'LayerNorm, Softmax, GELU, residuals'
#: By the name that they have on the command line.
PEERS = {
    'ort_dynamic': Peer(
        'ONNX Runtime dynamic',
        'W8, ranges at run time',
        f'attention products, {_REST}, scales at run time',
        _onnx_dynamic,
    ),
    'ort_static': Peer(
        'ONNX Runtime static',
        'all operators',
        'kernels of LayerNorm, Softmax, GELU',
        _onnx_static,
    ),
    'ort_products': Peer(
        'ONNX Runtime static', 'MatMul, Gemm, Conv only', _REST, _onnx_products
    ),
    'nncf': Peer(
        'OpenVINO NNCF',
        'transformer preset, no SmoothQuant',
        f'product of probabilities and values, {_REST}',
        _openvino(False),
    ),
    'nncf_smooth': Peer(
        'OpenVINO NNCF',
        'transformer preset, SmoothQuant',
        f'product of probabilities and values, {_REST}',
        _openvino(True),
    ),
    'torchao': Peer(
        'torchao PT2E',
        'X86InductorQuantizer, static',
        f'attention products, {_REST}',
        _torchao,
    ),
}
