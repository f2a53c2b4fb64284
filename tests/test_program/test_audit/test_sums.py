"""Proofs of products, whose sums are bounded by the numbers of the weight."""

import pytest
import torch
from audit_cases import Watched, extremes, graph_of
from torch import nn

from iptq_mm.program.audit.facts import Fact
from iptq_mm.program.audit.interval import Interval
from iptq_mm.program.audit.proof import Refuted, prove


def test_products_with_weights_are_summed_exactly():
    weight = torch.tensor([[3, -1, 0], [-2, -2, 5]])
    graph = graph_of(lambda x, w: x @ w.t(), torch.zeros(4, 3).long(), weight)
    proof = prove(graph, [Fact(Interval(-10, 20)), Fact.of_tensor(weight)])
    assert proof.result.interval == Interval(-130, 140)
    assert proof.products == [Interval(-130, 140)]
    assert proof.widest == {64: 9}


@pytest.mark.parametrize('groups', [1, 2])
def test_convolutions_both_ways_are_summed_exactly(groups):
    generator = torch.Generator().manual_seed(groups)
    x, weight = torch.zeros(1, 4, 3, 3).long(), torch.empty(4, 4 // groups, 2, 2)
    weight = weight.random_(-9, 10, generator=generator).long()
    most = torch.where(weight > 0, 5, -3) * weight
    least = torch.where(weight > 0, -3, 5) * weight
    functions = (nn.functional.conv2d, nn.functional.conv_transpose2d)
    for channels, convolve in enumerate(functions):
        graph = graph_of(lambda x, w, f=convolve: f(x, w, groups=groups), x, weight)
        proof = prove(graph, [Fact(Interval(-3, 5)), Fact.of_tensor(weight)])
        for case in extremes((1, 4, 3, 3), -3, 5):
            Watched(graph, proof.facts).run(case, weight)
        if groups == 1:
            low, high = (
                s.transpose(0, channels).flatten(1).sum(1) for s in (least, most)
            )
            assert proof.result.interval == Interval(int(low.min()), int(high.max()))


def test_weights_whose_sums_64_bits_do_not_hold():
    weight = torch.full((2, 4), 2**62)
    graph = graph_of(lambda x, w: x @ w.t(), torch.zeros(3, 4).long(), weight)
    with pytest.raises(Refuted, match='the sums of a weight leave 64 bits'):
        prove(graph, [Fact(Interval(0, 0)), Fact.of_tensor(weight)])
