"""A walk over the registry: what every back end has to do, new ones included."""

import pytest
import torch
from program_cases import LONE, integers

from iptq_mm.program import run
from iptq_mm.registry import BACKENDS

NAMES = sorted(BACKENDS.module_dict)


def test_the_registry_is_full():
    assert {'compiled', 'native', 'onnx', 'reference'} <= set(NAMES)


@pytest.mark.parametrize('name', NAMES)
def test_the_integers_are_those_of_the_reference(name):
    backend = BACKENDS.build(dict(type=name))
    try:
        backend.check()
    except RuntimeError as error:
        pytest.skip(str(error))
    program = LONE['requantize']()
    inputs = integers(program)
    made = backend.prepare(program, torch.device('cpu')).run(inputs)
    for x, expected in zip(made, run(program, inputs), strict=True):
        assert x.dtype == expected.dtype and torch.equal(x, expected)
        assert x.is_contiguous()
