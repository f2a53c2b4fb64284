"""Which sub-modules of a region are reconstructed as a whole."""

from collections import Counter

import pytest
import region_models
from torch import nn

from iptq_mm.calibration.reconstruction.parts import is_block, parts_of


def _called_once(module):
    return Counter(path for path, _ in module.named_modules() if path)


@pytest.mark.parametrize(
    'family, blocks',
    [
        ('vit', ['layers.0', 'layers.1']),
        ('deit', ['layers.0', 'layers.1']),
        ('mmpretrain_swin', [f'stages.{s}.blocks.{b}' for s in (0, 1) for b in (0, 1)]),
        ('mmdet_swin', [f'stages.{s}.blocks.{b}' for s in (0, 1) for b in (0, 1)]),
    ],
)
def test_blocks_of_transformers(family, blocks):
    module = region_models.FAMILIES[family]()
    assert [n for n, m in module.named_modules() if is_block(n, m)] == blocks
    found = parts_of(module, _called_once(module))
    assert [path for path in found if path in blocks] == blocks
    # No part lies inside another, and what is beside the blocks has parameters.
    assert not any(a.startswith(f'{b}.') for a in found for b in found)
    beside = {'patch_embed'} | ({'ln1'} if 'layers.0' in blocks else set())
    assert beside <= set(found)
    if 'layers.0' not in blocks:
        assert 'stages.0.downsample' in found


def test_what_is_not_called_once_is_no_part():
    """A list is never called itself; a layer for many levels is called for each."""
    module = nn.ModuleDict(
        dict(
            first=nn.Linear(2, 2),
            list=nn.ModuleList([nn.Linear(2, 2)]),
            shared=nn.Linear(2, 2),
            none=nn.Linear(2, 2),
            act=nn.GELU(),
        )
    )
    calls = {'first': 1, 'list.0': 1, 'shared': 3, 'act': 1}
    assert parts_of(module, calls) == ['first', 'list.0']


def test_parameters_that_nothing_may_change():
    module = nn.ModuleDict(dict(a=nn.Linear(2, 2), b=nn.Linear(2, 2)))
    assert parts_of(module, _called_once(module), {'a.weight'}) == ['b']
