"""Programs on their own."""

import pytest
import torch
from program_cases import quantized_vit
from region_models import images, same

from iptq_mm.program import Deployed, ProgramError, save_program, trace


@pytest.fixture(scope='module')
def vit():
    net = quantized_vit()
    return net, trace(net.backbone, (images(1, 3, 32, 32),)).program


@pytest.mark.parametrize('backend', ['reference', 'native'])
def test_answers(vit, tmp_path, backend):
    net, program = vit
    save_program(program, tmp_path / 'vit.program')
    model = Deployed.load(tmp_path / 'vit.program', backend)
    for seed in range(2):
        x = images(1, 3, 32, 32, seed=seed)
        assert same(model(x), list(net.backbone(x)))


def test_wrong_inputs(vit):
    model = Deployed(vit[1], 'reference')
    with pytest.raises(ValueError, match=r'\(1, 3, 32, 32\).*not.*\(2, 3, 32, 32\)'):
        model(images(2, 3, 32, 32))
    with pytest.raises(ValueError, match='uint8'):
        model(torch.zeros(1, 3, 32, 32, dtype=torch.uint8))
    with pytest.raises(ValueError, match='not \\[\\]'):
        model()


def test_wrong_backend_or_file(vit, tmp_path):
    with pytest.raises(KeyError, match="no back end 'gpu'"):
        Deployed(vit[1], 'gpu')
    (tmp_path / 'x').write_text('no')
    with pytest.raises(ProgramError):
        Deployed.load(tmp_path / 'x')
