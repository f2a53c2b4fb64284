"""Cases: their names, and what they make."""

from pathlib import Path

import pytest
import torch
from bench.cases import DEFAULT, SCALING, Case
from bench.networks import randomize
from torch import nn

pytestmark = pytest.mark.usefixtures('one_thread')


@pytest.mark.parametrize(
    ('name', 'expected'),
    [
        ('deit_t', ('deit_t:224x224:b1', (224, 224), 1)),
        ('deit_t:b8', ('deit_t:224x224:b8', (224, 224), 8)),
        ('deit_t:384x256:b2', ('deit_t:384x256:b2', (384, 256), 2)),
        ('swin_t_backbone', ('swin_t_backbone:800x1216:b1', (800, 1216), 1)),
    ],
)
def test_names(name, expected):
    case = Case(name)
    assert (case.name, case.size, case.batch) == expected
    assert Case(case.name).name == case.name


@pytest.mark.parametrize(
    'name', sorted({n.partition(':')[0] for n in (*DEFAULT, *SCALING)})
)
def test_cases_of_the_tables_exist(name):
    assert Case(name).regions


@pytest.mark.parametrize(
    ('name', 'message'),
    [
        ('deit', 'no network'),
        ('deit_t:224', 'NETWORK'),
        ('deit_t:b', 'NETWORK'),
        ('', 'NETWORK'),
    ],
)
def test_wrong_names(name, message):
    with pytest.raises(ValueError, match=message):
        Case(name)


def test_a_config_is_a_network(tiny_config, tiny_case):
    assert tiny_case.name == f'{tiny_config}:32x32:b2' and not tiny_case.is_detector
    saved = torch.load(Path(tiny_config).with_suffix('.pth'))['state_dict']
    assert torch.equal(
        tiny_case.floats.head.layers.head.weight, saved['head.layers.head.weight']
    )
    with pytest.raises(FileNotFoundError, match='no config'):
        Case('missing.py')


def test_images_are_the_same_every_time(tiny_case):
    images = tiny_case.images()
    assert images.shape == (2, 3, 32, 32)
    assert torch.equal(images, tiny_case.images())
    assert not torch.equal(images, tiny_case.images(seed=1))


@pytest.mark.slow
def test_outputs_tell_images_apart(tiny_case):
    (logits,) = tiny_case.float_outputs
    (integers,) = tiny_case.integer_outputs
    assert logits.shape == integers.shape == (2, 3)
    assert (logits[0] - logits[1]).abs().max() > 0.05
    assert 0 < (logits - integers).abs().max() < 0.3 * logits.abs().max()
    assert sum(tiny_case.functions.values()) == 9  # two blocks and the last norm


def test_random_weights_are_the_same_every_time():
    nets = [nn.Sequential(nn.Linear(64, 32), nn.LayerNorm(32)) for _ in range(2)]
    for net in nets:
        randomize(net)
    pairs = zip(nets[0].parameters(), nets[1].parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)
    assert float(nets[0][0].weight.std() * 8) == pytest.approx(1.5, rel=0.1)
