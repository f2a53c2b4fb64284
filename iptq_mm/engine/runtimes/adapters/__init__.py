"""One file for each runtime that may take an exported model."""

from .base import RUNTIMES, Runtime
from .iree import Iree
from .mnn import Mnn
from .onnx2tf import Onnx2TF
from .onnx_runtime import OnnxRuntime
from .onnx_runtime_web import OnnxRuntimeWeb
from .openvino import OpenVino
from .pnnx import Pnnx
from .reference import Reference
from .tinygrad import TinyGrad
from .tract import Tract
from .tvm import Tvm

__all__ = [
    'RUNTIMES',
    'Iree',
    'Mnn',
    'Onnx2TF',
    'OnnxRuntime',
    'OnnxRuntimeWeb',
    'OpenVino',
    'Pnnx',
    'Reference',
    'Runtime',
    'TinyGrad',
    'Tract',
    'Tvm',
]
