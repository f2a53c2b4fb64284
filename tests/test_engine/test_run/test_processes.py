"""Processes are joined, fail together, and leave in order."""

import threading

import pytest
import torch
from mmengine import dist
from mmengine.model import is_model_wrapper
from mmengine.registry import MODEL_WRAPPERS
from torch import nn

from iptq_mm.engine.run import processes
from iptq_mm.engine.run.processes import OtherProcessError, Replica, by_first


def test_replica_is_a_wrapper(monkeypatch):
    lines = []
    monkeypatch.setattr(processes, 'print_log', lambda line, *_: lines.append(line))
    model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4)).eval()
    config = dict(type='iptq_mm.Replica')
    replica = MODEL_WRAPPERS.build(config, default_args=dict(module=model))
    assert is_model_wrapper(replica) and replica.module is model
    image = torch.rand(1, 3, 5, 5)
    assert torch.equal(replica(image), model(image)) and not lines


def test_replica_reverts_sync_bn(monkeypatch):
    lines = []
    monkeypatch.setattr(processes, 'print_log', lambda line, *_: lines.append(line))
    model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.SyncBatchNorm(4)).eval()
    with torch.no_grad():
        model[1].running_mean += 0.25
    image = torch.rand(1, 3, 5, 5)
    expected = model(image)
    replica = Replica(model)
    kinds = [type(m) for m in replica.modules()]
    assert nn.SyncBatchNorm not in kinds and 'SyncBatchNorm' in lines[0]
    assert torch.equal(replica(image), expected)


def test_by_first_alone():
    done = []
    by_first(lambda: done.append(1))
    assert done == [1]
    with pytest.raises(ZeroDivisionError):
        by_first(lambda: 1 / 0)


def test_by_first_tells_the_others(monkeypatch):
    """A broadcast among two threads, which stand for two processes."""
    rank, board, written = threading.local(), [], threading.Event()

    def broadcast(objects):
        if rank.value == 0:
            board.extend(objects)
            written.set()
        else:
            assert written.wait(10)
            objects[:] = board

    monkeypatch.setattr(dist, 'is_main_process', lambda: rank.value == 0)
    monkeypatch.setattr(dist, 'broadcast_object_list', broadcast)
    raised = {}

    def process(value):
        rank.value = value
        try:
            by_first(lambda: 1 / 0)
        except Exception as error:
            raised[value] = error

    threads = [threading.Thread(target=process, args=(n,)) for n in (1, 0)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert isinstance(raised[0], ZeroDivisionError)
    assert isinstance(raised[1], OtherProcessError)
    assert 'ZeroDivisionError: division by zero' in str(raised[1])
