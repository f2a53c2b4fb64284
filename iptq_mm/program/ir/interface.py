"""The inputs and outputs of a program, in words."""

from __future__ import annotations

from .graph import Port, Program


def interface(program: Program) -> str:
    """A line or two for each input and output: type, shape, channels and scale."""
    lines = []
    shapes = program.input_shapes
    for i, (port, shape) in enumerate(zip(program.inputs, shapes, strict=True)):
        lines.append(f'input {i}: {_input(port, shape)}')
    for i, port in enumerate(program.outputs):
        lines.append(f'output {i}: float32, shape {program.values[port.value].shape}')
    return '\n'.join(lines)


def _input(port: Port, shape: tuple[int, ...]) -> str:
    if port.given:
        return f'integers or booleans, shape {shape}'
    if port.image is None and port.pixels is None:
        return f'float32, shape {shape}'
    parts = [f'images, shape {shape}: number, channels, height, width']
    if port.image is not None:
        parts.append(f'channels: {_order(port.image.channels)}')
    if port.pixels is not None:
        parts.append('uint8: the pixels as they are, 0 to 255')
    normalization = port.pixels or port.image
    assert normalization is not None
    mean, std = (
        ', '.join(f'{v:.6g}' for v in values)
        for values in (normalization.mean, normalization.std)
    )
    parts.append(f'float32: normalized, (pixel - mean) / std, mean {mean}, std {std}')
    if port.pixels is not None and port.pixels.marked:
        parts.append('0.0 in all channels of a float image is padding')
    return '\n  '.join(parts)


def _order(channels: str) -> str:
    return channels or 'in the order of the data set that the model was made for'
