"""The inputs and outputs of a program, in words."""

from __future__ import annotations

from .graph import Node, Port, Program


def interface(program: Program) -> str:
    """A line or two for each input and output: type, shape, channels and scale."""
    lines = []
    shapes = program.input_shapes
    for i, (port, shape) in enumerate(zip(program.inputs, shapes, strict=True)):
        lines.append(f'input {i}: {_input(port, shape)}')
    for name, port in zip(output_names(program), program.outputs, strict=True):
        shape = program.values[port.value].shape
        lines.append(f'output {name}: float32, shape {shape}')
    return '\n'.join(lines)


def output_names(program: Program) -> list[str]:
    """A name for each output: the path of the module that made it.

    Outputs of one module have numbers besides, and those that no site made are
    ``output_0`` and so on.
    """
    makers = {node.output: node for node in program.nodes}
    paths = [
        _maker(port.value, makers).partition('/')[0] or f'output_{i}'
        for i, port in enumerate(program.outputs)
    ]
    paths = [path.replace(':', '.') for path in paths]
    names = [
        path if paths.count(path) == 1 else f'{path}_{paths[:i].count(path)}'
        for i, path in enumerate(paths)
    ]
    # A module may have the name of an input, or end with a number itself.
    taken = {f'input_{i}' for i in range(len(program.inputs))}
    unique = []
    for name in names:
        while name in taken:
            name += '_'
        taken.add(name)
        unique.append(name)
    return unique


def _maker(value: int, makers: dict[int, Node]) -> str:
    """The site that made a value, moves left out; '' if there is none."""
    while value in makers:
        node = makers[value]
        if node.site:
            return node.site
        if len(node.values) != 1:
            break
        value = node.values[0]
    return ''


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
