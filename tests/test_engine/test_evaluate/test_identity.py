"""What float results are of."""

import pytest
import torch
from torch import nn

from iptq_mm.engine.evaluate.identity import identity_of

PREPROCESSOR = dict(mean=[1.0, 2.0, 3.0], std=[4.0, 5.0, 6.0], to_rgb=True)


def identity(**preprocessor):
    torch.manual_seed(0)
    return identity_of(
        nn.Linear(2, 3), [], dict(data_preprocessor=PREPROCESSOR | preprocessor)
    )


@pytest.mark.parametrize(
    'name', ['ClsDataPreprocessor', 'mmpretrain.ClsDataPreprocessor']
)
def test_what_mmpretrain_adds_to_a_preprocessor_is_no_difference(name):
    augments = dict(augments=[dict(type='Mixup', alpha=0.8)])
    assert identity(type=name, batch_augments=augments) == identity()


@pytest.mark.parametrize('change', [dict(mean=[0.0] * 3), dict(type='Mine')])
def test_another_preprocessor_is_one(change):
    differs = {k for k, v in identity(**change).items() if v != identity()[k]}
    assert differs == {'pipeline'}
