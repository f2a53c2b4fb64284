"""What a program takes and gives, in words."""

from dataclasses import replace

from program_cases import vit_program

from iptq_mm.pixels import Pixels
from iptq_mm.program import Deployed
from iptq_mm.program.ir.image_format import ImageFormat
from iptq_mm.program.ir.interface import interface, output_names

MEAN, STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)


def with_port(**changes):
    program = vit_program()
    port = replace(program.inputs[0], **changes)
    return replace(program, inputs=[port])


def test_floats_of_any_kind():
    lines = interface(vit_program()).splitlines()
    assert lines[0] == 'input 0: float32, shape (2, 3, 32, 32)'
    assert lines[1].startswith('output ln1: float32, shape (2, ')


def test_images():
    said = interface(with_port(image=ImageFormat('BGR', MEAN, STD)))
    assert 'shape (2, 3, 32, 32): number, channels, height, width' in said
    assert 'channels: BGR' in said and 'uint8' not in said
    assert '(pixel - mean) / std, mean 123.675, 116.28, 103.53, std 58.395' in said
    unknown = interface(with_port(image=ImageFormat('', MEAN, STD)))
    assert 'channels: in the order of the data set' in unknown


def test_pixels():
    image, pixels = ImageFormat('RGB', MEAN, STD), Pixels(MEAN, STD)
    said = interface(with_port(pixels=pixels, image=image))
    assert 'uint8: the pixels as they are, 0 to 255' in said
    assert 'float32: normalized' in said and 'padding' not in said
    marked = with_port(pixels=replace(pixels, marked=True))
    assert 'shape (2, 2, 32, 32)' in interface(marked)  # one of three has the marks
    assert 'padding' in interface(marked)


def test_repr():
    program = with_port(image=ImageFormat('RGB', MEAN, STD))
    said = repr(Deployed(program, 'reference'))
    assert said.startswith('Deployed program of backbone, back end reference\n')
    assert said.endswith(interface(program))


def test_image_format():
    image = ImageFormat('RGB', MEAN, STD)
    assert ImageFormat.from_dict(image.to_dict()) == image


def test_names_of_outputs_differ():
    program = vit_program()
    made = {node.output: node for node in program.nodes}
    sites = [n for n in program.nodes if n.site][:4]
    for node, site in zip(
        sites, ('a/x:0', 'a/y:0', 'a_0/x:0', 'input_0/x:0'), strict=True
    ):
        made[node.output] = replace(node, site=site)
    outputs = [replace(program.outputs[0], value=node.output) for node in sites]
    other = replace(program, nodes=list(made.values()), outputs=outputs)
    names = output_names(other)
    assert len({*names, 'input_0'}) == 5 and names[0] == 'a_0'
