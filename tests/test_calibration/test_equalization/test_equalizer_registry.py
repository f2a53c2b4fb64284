"""A walk over the registry: what every equalizer has to do, new ones included."""

import pytest
import torch
from equalization_cases import computed, equalized, error
from region_models import images, vit

from iptq_mm.registry import EQUALIZERS

NAMES = sorted(EQUALIZERS.module_dict)


def test_the_registry_is_full():
    assert {'attention', 'layer_norm', 'power_of_two'} <= set(NAMES)


@pytest.mark.parametrize('name', NAMES)
@torch.no_grad()
def test_the_float_model_computes_the_same(name):
    module, batches = vit(), [images(2, 3, 32, 32, seed=s) for s in range(2)]
    x = images(4, 3, 32, 32, seed=9)
    expected = module(x)
    net, done = equalized(module, batches, dict(type=name))
    assert error(expected, computed(net, done, x)) < 1e-5
    assert set(done.sites) == {name}
