"""What people give a program: arrays, layouts, types and scales."""

from functools import cache

import numpy as np
import pytest
import torch
from region_models import same

from iptq_mm.pixels import Pixels
from iptq_mm.program import Deployed, Port, Program
from iptq_mm.program.ir.graph import Value
from iptq_mm.program.ir.image_format import ImageFormat
from iptq_mm.program.runtime.given import Given

MEAN, STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
SHAPE = (2, 3, 20, 30)


@cache
def program(kind: str) -> Program:
    """A program that gives back what enters: pixels, an image, or anything."""
    image = ImageFormat('RGB', MEAN, STD)
    if kind == 'pixels':
        value, port = (-128, 127), Port(0, 1.0, Pixels(MEAN, STD), image)
    else:
        value = (-115, 140)
        port = Port(0, 2.64 / 140, None, image if kind == 'image' else None)
    made = Value.bounded(SHAPE, *value)
    return Program('backbone', [made], [port], [Port(0, port.scale)], [], {})


def pixels(seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, SHAPE, dtype=torch.uint8, generator=generator)


def normalized(image: torch.Tensor) -> torch.Tensor:
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in (MEAN, STD))
    return (image - mean) / std


@pytest.mark.parametrize('backend', ['reference', 'native'])
def test_arrays(backend):
    model = Deployed(program('pixels'), backend)
    x = pixels()
    expected = [x.float() - 128]
    fixed = x.numpy().copy()
    fixed.flags.writeable = False
    turned = np.ascontiguousarray(x.numpy().transpose(0, 2, 3, 1))
    real = normalized(x)
    for given in (
        *(
            x,
            x.numpy(),
            fixed,
            turned.transpose(0, 3, 1, 2),
            x.numpy()[:, ::-1][:, ::-1],
        ),
        *(real, real.numpy(), real.double().numpy(), real.half(), real.bfloat16()),
    ):
        made = model(given)
        if getattr(given, 'dtype', None) in (torch.half, torch.bfloat16):
            assert (made[0] - expected[0]).abs().max() <= 1
        else:
            assert same(made, expected)
    assert isinstance(made[0], torch.Tensor)
    assert fixed.sum() == int(x.long().sum())


WRONG = {
    'float pixels': (lambda x: x.float(), '0 to 255 are no normalized image'),
    'shares of 255': (lambda x: x / 255, 'no whole pixels'),
    'from -1 to 1': (lambda x: x / 127.5 - 1, 'no whole pixels'),
    'NaN': (lambda x: normalized(x) * torch.nan, 'nan'),
    'int64': (lambda x: x.long(), 'torch.int64: uint8 or floats'),
    'bool': (lambda x: x > 9, 'torch.bool'),
    'channels last': (
        lambda x: x.permute(0, 2, 3, 1),
        r'channels come first, give x.transpose\(0, 3, 1, 2\)',
    ),
    'one image of numpy': (lambda x: x[0].permute(1, 2, 0).numpy(), 'traced for'),
    'no number of images': (lambda x: x[0], 'traced for shape'),
    'another size': (lambda x: x[:, :, 1:], 'export one for this size'),
    'an array of objects': (lambda x: x.numpy().astype(object), 'array of object'),
}


@pytest.mark.parametrize('change, message', WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_said(change, message):
    given = Given(program('pixels'))
    with pytest.raises(ValueError, match=message) as error:
        given.checked([change(pixels())])
    # And what is wanted, every time.
    assert 'channels: RGB' in str(error.value) and 'uint8' in str(error.value)


def test_one_image_where_one_is_wanted():
    made = program('pixels')
    value = Value.bounded((1, *SHAPE[1:]), -128, 127)
    given = Given(Program('', [value], made.inputs, made.outputs, [], {}))
    with pytest.raises(ValueError, match=r'give x\[None\]'):
        given.checked([pixels()[0]])
    image = pixels()[0].permute(1, 2, 0).numpy()
    with pytest.raises(ValueError, match=r'x.transpose\(2, 0, 1\)\[None\]'):
        given.checked([image])
    assert given.checked([image.transpose(2, 0, 1)[None]])[0].shape == value.shape


def test_images_of_no_pixels():
    given = Given(program('image'))
    x = normalized(pixels())
    assert given.checked([x])[0] is x
    # A little beyond what was calibrated is no mistake.
    given.checked([x * 2])
    with pytest.raises(ValueError, match='255 are no normalized image'):
        given.checked([pixels().float()])
    with pytest.raises(ValueError, match='uint8: floats are needed'):
        given.checked([pixels()])


def test_anything_else_may_have_any_scale():
    Given(program('features')).checked([pixels().float() * 1e6])


def test_number_and_kind():
    given = Given(program('pixels'))
    for inputs in ([], [pixels(), pixels()]):
        with pytest.raises(ValueError, match=r'for inputs of \[\(2, .*not \['):
            given.checked(inputs)
    with pytest.raises(TypeError, match='type list: a tensor or numpy array'):
        given.checked([[1.0]])


def test_the_range_is_looked_at_in_every_call():
    given, x = Given(program('pixels')), normalized(pixels())
    for _ in range(3):
        given.checked([x])
    with pytest.raises(ValueError, match='no normalized image'):
        given.checked([pixels().float()])


def test_padding_is_no_mistake():
    x = normalized(pixels())
    x[:, :, 5:] = 0.0
    Given(program('pixels')).checked([x])
    Given(program('pixels')).checked([torch.zeros(SHAPE)])
