"""The device of a run."""

import pytest
import torch
from mmengine.device import get_device

from iptq_mm.calibration import ConfigError
from iptq_mm.engine.loading.backends import check_backend
from iptq_mm.engine.loading.devices import checked_device, on_device
from iptq_mm.program import Session
from iptq_mm.program.backends.compiled import backend as compiled

NO_GPU = pytest.mark.skipif(torch.cuda.is_available(), reason='there is a GPU')
CUDA = torch.device('cuda')


def test_mmengine_takes_it_for_a_while(monkeypatch):
    from mmengine.device import utils

    monkeypatch.setattr(utils, 'DEVICE', 'cuda')  # as on a machine with a GPU
    with on_device('cpu') as device:
        assert device.type == 'cpu' and get_device() == 'cpu'
    assert get_device() == 'cuda'
    with pytest.raises(KeyError), on_device('cpu'):
        raise KeyError
    assert get_device() == 'cuda'
    with on_device(None) as device:
        assert device.type == get_device() == 'cuda'


@NO_GPU
def test_no_gpu():
    with pytest.raises(ConfigError, match=r'--device cuda: .*write --device cpu'):
        checked_device('cuda')


def test_a_gpu_that_torch_cannot_use(monkeypatch):
    monkeypatch.setattr(torch.backends.cuda, 'is_built', lambda: True)
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    with pytest.raises(ConfigError, match='no cuda device, or no driver for it'):
        checked_device('cuda')

    def fails():
        raise RuntimeError('driver too old')

    monkeypatch.setattr(torch.cuda, 'is_available', fails)
    with pytest.raises(ConfigError, match='driver too old'):
        checked_device('cuda')


def test_a_gpu_too_many(monkeypatch):
    monkeypatch.setattr(torch.backends.cuda, 'is_built', lambda: True)
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: True)
    monkeypatch.setattr(torch.cuda, 'device_count', lambda: 2)
    assert checked_device('cuda:1').index == 1
    with pytest.raises(ConfigError, match='2 of them here, from cuda:0 to cuda:1'):
        checked_device('cuda:2')
    with pytest.raises(ConfigError, match='a launcher gives each process a GPU'):
        checked_device('cuda:1', 'pytorch')
    assert checked_device('cuda', 'pytorch') == CUDA


def test_no_such_device():
    with pytest.raises(ConfigError, match='write cpu, cuda or cuda:1'):
        checked_device('gpu')


def test_back_ends_that_cannot_run_there():
    for name in ('reference', 'native'):
        check_backend(name, torch.device('cpu'))
    check_backend('reference', CUDA)
    with pytest.raises(ConfigError) as said:
        check_backend('native', CUDA)
    assert "back end 'native' cannot run the model" in str(said.value)
    assert 'Write --device cpu, or --backend compiled or reference' in str(said.value)


def test_compiled_needs_triton_on_a_gpu(monkeypatch):
    monkeypatch.setattr(compiled, 'has_triton', lambda: False)
    Session('compiled').check(torch.device('cpu'))
    with pytest.raises(ConfigError, match='needs the package triton.*or --backend ref'):
        check_backend('compiled', CUDA)
    monkeypatch.setattr(compiled, 'has_triton', lambda: True)
    check_backend('compiled', CUDA)
