"""Data for the tests of the observers."""

import hypothesis.strategies as st
import torch
from hypothesis import settings

from iptq_mm.registry import OBSERVERS
from iptq_mm.statistics import Statistics

quick = settings(deadline=None, max_examples=30)
values = st.lists(
    st.floats(-(2.0**20), 2.0**20, width=32).filter(lambda v: v == 0 or abs(v) > 1e-6),
    min_size=1,
    max_size=60,
)


def build(name, **options):
    return OBSERVERS.build(dict(type=name, **options))


def seen(*tensors):
    statistics = Statistics()
    for x in tensors:
        statistics.update(x)
    return statistics


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def squared_error(x, qparams):
    return (qparams.dequantize(qparams.quantize(x)) - x).double().square().mean().item()
