"""The shapes of results, which tracing takes in place of the results themselves."""

import pytest
import torch

from iptq_mm.operations import OPERATIONS

CONV = dict(stride=(2, 1), padding=(1, 0), dilation=(1, 1), groups=1)
CASES = [
    ('linear', [(2, 5, 3), (4, 3), (4,)], {}),
    ('linear', [(3,), (4, 3), None], {}),
    ('conv2d', [(2, 3, 7, 6), (4, 3, 3, 2), (4,)], CONV),
    ('matmul', [(2, 1, 5, 3), (4, 3, 6)], {}),
    ('matmul', [(5, 3), (3, 6)], {}),
    ('matmul', [(3,), (2, 3, 6)], {}),
    ('matmul', [(2, 5, 3), (3,)], {}),
    ('add', [(2, 5, 3), (5, 1)], {}),
    ('mul', [(3,), (2, 1, 3)], {}),
    ('cat', [(2, 5, 3), (2, 1, 3)], dict(dim=-2)),
    ('mean', [(2, 5, 3)], dict(dim=(1,), keepdim=False)),
    ('mean', [(2, 5, 3)], dict(dim=(-1, 0), keepdim=True)),
    ('max', [(2, 5, 3)], dict(dim=(1,), keepdim=False)),
    ('max', [(2, 5, 3)], dict(dim=(-1, 0), keepdim=True)),
    ('embedding', [(2, 5), (7, 3)], {}),
    ('unary', [(2, 5, 3)], dict(name='silu')),
    ('relu', [(2, 5, 3)], {}),
    ('gelu', [(2, 5, 3)], dict(approximate='none')),
    ('softmax', [(2, 5, 3)], {}),
    ('layer_norm', [(2, 5, 3), (3,), None], dict(eps=1e-5)),
]


@pytest.mark.parametrize('kind, shapes, attributes', CASES)
def test_shape_of_the_result(kind, shapes, attributes):
    operation = OPERATIONS[kind]
    inputs = [s if s is None else torch.rand(s) for s in shapes]
    if kind == 'embedding':
        inputs[0] = torch.randint(shapes[1][0], shapes[0])
    expected = operation.real(inputs, attributes).shape
    assert operation.shape(shapes, attributes) == tuple(expected)


def test_every_operation_has_a_case():
    assert {kind for kind, _, _ in CASES} == set(OPERATIONS)


@pytest.mark.parametrize(
    'kind, shapes',
    [
        ('add', [(2, 5), (4,)]),
        ('mul', [(2,), (3,)]),
        ('matmul', [(2, 4, 3), (3, 3, 2)]),
    ],
)
def test_operands_that_do_not_fit(kind, shapes):
    with pytest.raises(RuntimeError):
        OPERATIONS[kind].shape(shapes, {})
