"""Computations with parameters only, once for each value of their arguments."""

import pytest
import torch
from region_models import Custom, attempt, integer_mode, quantized, rows, same, sqnr
from torch import nn

from iptq_mm.intmath import QParams
from iptq_mm.modes.folding import _MAX_RESULTS, FoldedConstants
from iptq_mm.qtensor import QTensor


def constant(values, scale=1.0):
    q = torch.tensor(values, dtype=torch.int16)
    return QTensor(q, QParams(scale, -9, 9), 'parameter:p', constant=True)


def test_results_are_kept_by_value():
    folded, calls = FoldedConstants(), []

    def get(*arguments):
        def compute():
            calls.append(arguments)
            return constant([len(calls)])

        return int(folded.get('site', torch.add, arguments, compute).payload)

    one = constant([1, 2])
    assert get(one, 3) == 1
    assert get(constant([1, 2]), 3) == 1  # the same numbers
    assert get(constant([2, 1]), 3) == 2
    assert get(constant([1, 2], scale=0.5), 3) == 3  # the same integers
    assert get(one, 4) == 4
    assert get(one, torch.tensor([3])) == 5
    assert get(one, torch.tensor([4])) == 6
    assert get(one, torch.tensor([3], dtype=torch.int32)) == 7
    assert get(one, 3) == 1 and get(one, torch.tensor([3])) == 5
    # A kept argument is a copy: changing the original makes another one.
    one.payload[0] = 7
    assert get(one, 3) == 8


def test_results_are_new_tensors_each_time():
    folded, made = FoldedConstants(), constant([1])
    first = folded.get('site', torch.add, (), lambda: made)
    first.become(constant([5]))
    assert int(folded.get('site', torch.add, (), lambda: made).payload) == 1


def test_memory_is_bounded():
    folded = FoldedConstants()
    for i in range(3 * _MAX_RESULTS):
        folded.get('site', torch.add, (i,), lambda: constant([1]))
    assert len(folded) <= _MAX_RESULTS


def test_beit_style_bias():
    """cat of parameters and zeros, given to the layer by keyword."""

    def body(self, x):
        zeros = torch.zeros_like(self.q_bias, requires_grad=False)
        bias = torch.cat((self.q_bias, zeros, self.v_bias))
        return nn.functional.linear(input=x, weight=self.qkv.weight, bias=bias)

    parts = dict(
        q_bias=nn.Parameter(torch.zeros(16)),
        v_bias=nn.Parameter(torch.zeros(16)),
        qkv=nn.Linear(16, 48, bias=False),
    )
    assert attempt(body, **parts) > 30


@pytest.mark.parametrize(
    'body',
    [
        lambda self, x: x + self.p.sigmoid(),
        lambda self, x: x + self.p.exp().clamp(max=2.0) * 2,
        lambda self, x: x * torch.nn.functional.normalize(self.p, dim=-1),
        lambda self, x: self.last(x) + self.p[:, :, torch.arange(16).flip(0)],
        lambda self, x: torch.cat((self.p.expand(len(x), -1, -1), x), 1),
        lambda self, x: x * self.p.abs().mean().item(),
        lambda self, x: x @ (self.last.weight.t() * 0.5),
        lambda self, x: x + self.last.weight[3],
        lambda self, x: x + self.norm(self.p),
        lambda self, x: x + self.last(self.p),
    ],
)
def test_anything_may_be_done_with_parameters(body):
    assert attempt(body) > 25


def test_a_folded_constant_is_computed_once():
    module = Custom(lambda self, x: x + self.p * 2.0)
    net = quantized(module, [rows()])
    first = net(rows())
    assert same(first, net(rows()))
    assert len(integer_mode(net).constants.folded) == 1
    assert sqnr(module(rows()), first) > 30
