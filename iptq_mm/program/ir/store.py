"""Programs on disk: one file of plain types and tensors."""

from __future__ import annotations

import os
from dataclasses import asdict
from typing import Any

import torch

from ...pixels import Pixels
from ...utils.files import atomic_save
from .graph import Node, Port, Program, ProgramError, Value
from .image_format import ImageFormat
from .packed_tensors import PackedTensors, packed_tensor

#: Raised when a field or a kind of node is added, renamed or changes its meaning.
PROGRAM_VERSION = 7
#: Versions that can be read. Ports of version 2 have no image format; versions 2 and 3
#: have other names for some kinds of nodes; version 4 has no nodes ``to_levels``, and
#: version 5 no packed tensors. Ports of versions up to 6 take no integers, and these
#: have no nodes ``embedding``.
_READ = (2, 3, 4, 5, 6, PROGRAM_VERSION)
#: Kinds of nodes up to version 3 -> their names now.
_RENAMED_IN_4 = {'shifted': 'add_constant', 'amplify': 'shift_channels'}

_DTYPES = {
    str(dtype).removeprefix('torch.'): dtype
    for dtype in (torch.int8, torch.int16, torch.int32, torch.int64)
}


def save_program(program: Program, path: str | os.PathLike) -> None:
    """Write a program; the file is whole or not there."""
    atomic_save(to_dict(program), path)


def load_program(path: str | os.PathLike) -> Program:
    """Read what :func:`save_program` wrote.

    Raises:
        ProgramError: If the file is no program, damaged or of another version.
    """
    try:
        data = torch.load(path, map_location='cpu', weights_only=True)
    except OSError:
        raise
    except Exception as error:  # torch and pickle raise all kinds
        raise ProgramError(
            f'{path} is not a program (give a file that tools/export.py or '
            f'save_program wrote): {error}'
        ) from error
    try:
        return from_dict(data)
    except ProgramError as error:
        raise ProgramError(f'{path}: {error}') from error


def to_dict(program: Program) -> dict[str, Any]:
    """A program in plain types and tensors."""
    return {
        'version': PROGRAM_VERSION,
        'region': program.region,
        'values': [
            {
                'dtype': str(v.dtype).removeprefix('torch.'),
                'shape': list(v.shape),
                'low': v.low,
                'high': v.high,
            }
            for v in program.values
        ],
        'inputs': [asdict(port) for port in program.inputs],
        'outputs': [asdict(port) for port in program.outputs],
        'nodes': [asdict(node) for node in program.nodes],
        'tensors': {n: packed_tensor(t) for n, t in program.tensors.items()},
    }


def from_dict(data: Any) -> Program:
    """The program that :func:`to_dict` of this or an older version described.

    Raises:
        ProgramError: If the data is no program, damaged, or of a version that cannot be
            read.
    """
    if not isinstance(data, dict) or 'nodes' not in data:
        raise ProgramError(
            'not a program: give a file that tools/export.py or save_program wrote'
        )
    if data.get('version') not in _READ:
        raise ProgramError(
            f'program version {data.get("version")} cannot be read by this iptq_mm (it '
            f'reads {_READ[0]} to {_READ[-1]}): export the model again'
        )
    try:
        program = Program(
            data['region'],
            [
                Value(_DTYPES[v['dtype']], tuple(v['shape']), v['low'], v['high'])
                for v in data['values']
            ],
            [_port(port) for port in data['inputs']],
            [_port(port) for port in data['outputs']],
            [_node(node, data['version']) for node in data['nodes']],
            PackedTensors(data['tensors']),
        )
        program.check()
    except ProgramError:
        raise
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ProgramError(
            f'not a program, or a damaged one ({error!r}): export the model again'
        ) from error
    return program


def _node(data: dict[str, Any], version: int) -> Node:
    kind = data['kind']
    if version < 4:
        kind = _RENAMED_IN_4.get(kind, kind)
    return Node(**{**data, 'kind': kind})


def _port(data: dict[str, Any]) -> Port:
    pixels, image = data.get('pixels'), data.get('image')
    made = {
        'pixels': pixels and Pixels.from_dict(pixels),
        'image': image and ImageFormat.from_dict(image),
    }
    return Port(**{**data, **made})
