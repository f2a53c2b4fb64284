"""A program as an ONNX file that ONNX Runtime runs without this project."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

from ....pixels import MARK
from ....utils.files import write_whole
from ....version import __version__
from ...ir.graph import Port, Program
from ...ir.interface import output_names
from ...ir.store import PROGRAM_VERSION

if TYPE_CHECKING:
    from onnx import ModelProto

#: The explanation of inputs and outputs in the metadata.
ABOUT = (
    'Inputs are clip(round(real / scale), low, high), halves to even, or pixels '
    '(0..255) minus 128 where the metadata says so; '
    'real outputs are the integers times scale. Where pixels are marked, a last '
    f'channel is {MARK} where the image was padded (its pixels: mean, rounded), 0 '
    'elsewhere. Where an input has an image, real is (pixel - mean) / std, in the '
    'order of channels that it says; dimensions: number, channels, height, width.'
)


def to_onnx(program: Program) -> ModelProto:
    """The program as an ONNX model with integer operators only.

    Its inputs and outputs are the program's integers; outputs are named after the
    modules that make them. The metadata says how real
    numbers become these: ``inputs`` and ``outputs`` are JSON lists of name, scale, low
    and high, for images also with the order of channels, mean and std. It also has
    ``region``, ``iptq_mm_version`` and ``program_version``.

    Args:
        program: The program.

    Returns:
        A model of ONNX opset 18 for the program's shapes. It gives the integers of
        :func:`iptq_mm.program.run`.

    Raises:
        RuntimeError: If the package ``onnx`` is missing.
        ProgramError: If an operation has no counterpart.
    """
    try:
        from onnx import helper
    except ImportError as e:
        raise RuntimeError(
            'the package onnx is missing: pip install -r requirements/optional.txt'
        ) from e
    from .builder import IR_VERSION, OPSET, Ref, dtype_name, onnx_type
    from .nodes import Translator

    def information(name: str, port: Port) -> Any:
        value = program.values[port.value]
        return helper.make_tensor_value_info(
            name, onnx_type(dtype_name(value.dtype)), value.shape
        )

    translator = Translator(program)
    b, known = translator.b, translator.known
    inputs, outputs = [], []
    for i, port in enumerate(program.inputs):
        inputs.append(information(f'input_{i}', port))
        value = program.values[port.value]
        dtype = dtype_name(value.dtype)
        known[port.value] = Ref(f'input_{i}', dtype, value.low, value.high)
    for node in program.nodes:
        known[node.output] = translator.node(node)
    for name, port in zip(output_names(program), program.outputs, strict=True):
        outputs.append(information(name, port))
        made = b.given(known[port.value])
        b.nodes.append(helper.make_node('Identity', [made.name], [name], name))
    nodes = b.live([x.name for x in outputs])
    used = {name for node in nodes for name in node.input}
    constants = [tensor for tensor in b.initializers if tensor.name in used]
    graph = helper.make_graph(
        nodes, f'iptq_mm {program.region}', inputs, outputs, constants
    )
    model = helper.make_model(
        graph,
        opset_imports=[helper.make_opsetid('', OPSET)],
        ir_version=IR_VERSION,
        producer_name='iptq_mm',
        producer_version=__version__,
        doc_string=f'Integer program of {program.region}. {ABOUT}',
    )
    helper.set_model_props(model, metadata(program))
    return model


def metadata(program: Program) -> dict[str, str]:
    """The metadata of the model: how real numbers become its integers, versions."""

    def ports(names: list[str], those: list[Port]) -> str:
        values = [program.values[port.value] for port in those]
        return json.dumps(
            [
                dict(name=name, scale=port.scale, low=v.low, high=v.high)
                | (dict(given=True) if port.given else {})
                | (dict(pixels=port.pixels.to_dict()) if port.pixels else {})
                | (dict(image=port.image.to_dict()) if port.image else {})
                for name, port, v in zip(names, those, values, strict=True)
            ]
        )

    given = [f'input_{i}' for i, _ in enumerate(program.inputs)]
    return {
        'region': program.region,
        'inputs': ports(given, program.inputs),
        'outputs': ports(output_names(program), program.outputs),
        'about': ABOUT,
        'iptq_mm_version': __version__,
        'program_version': str(PROGRAM_VERSION),
    }


def export_onnx(program: Program, path: str | os.PathLike) -> None:
    """Write a program as an ONNX model; the file is whole or not there.

    Args:
        program: The program.
        path: File to write.

    Raises:
        RuntimeError: If the package ``onnx`` is missing.
        ProgramError: If an operation has no counterpart.
        onnx.checker.ValidationError: If the model is none that ONNX permits.
    """
    model = to_onnx(program)
    import onnx

    onnx.checker.check_model(model, full_check=True)
    write_whole(path, lambda beside: beside.write_bytes(model.SerializeToString()))
