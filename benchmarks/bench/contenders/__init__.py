"""What takes part: back ends of iptq_mm, PyTorch, and other runtimes where there."""

from .base import Contender, Prepared, Unavailable
from .integer import IntegerModel
from .levels import NativeLevel
from .onnxruntime import OnnxRuntime, OnnxRuntimeInt8
from .openvino import OpenVino, OpenVinoThroughput
from .pytorch import Compiled, Eager

#: All of them by name; the first is what others are compared with.
CONTENDERS: dict[str, Contender] = {
    contender.name: contender
    for contender in (
        Eager(),
        Compiled(),
        OnnxRuntime(),
        OnnxRuntimeInt8(),
        OpenVino('openvino', False, 'f32'),
        OpenVino('openvino_int8_f32', True, 'f32'),
        OpenVino('openvino_int8', True, None),
        OpenVinoThroughput('openvino_int8_throughput'),
        IntegerModel('integer_eager', None),
        IntegerModel('integer_reference', 'reference'),
        IntegerModel('integer_onnx', 'onnx'),
        IntegerModel('integer_compiled', 'compiled'),
        IntegerModel('integer_native', 'native'),
        *map(NativeLevel, ('avx2', 'avxvnni', 'avx512vnni+vbmi', 'amx')),
    )
}
REFERENCE = next(iter(CONTENDERS))

__all__ = ['CONTENDERS', 'REFERENCE', 'Contender', 'Prepared', 'Unavailable']
