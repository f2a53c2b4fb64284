"""What modules keep is noted, and put back in place."""

import random
from collections import OrderedDict, deque
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from iptq_mm.modes.attributes import Attributes


class Bank(nn.Module):
    """Keeps things of every kind."""

    shared: dict = {}

    def __init__(self):
        super().__init__()
        self.layer = nn.BatchNorm1d(2)
        self.register_buffer('queue', torch.zeros(3))
        self.register_buffer('late', None)
        self.list, self.dict, self.tuple = [1, [2]], OrderedDict(a={'b': 1}), ([],)
        self.set, self.deque = {1}, deque([1, 2], maxlen=4)
        with torch.inference_mode():
            self.frozen = torch.ones(2)
        self.tensor, self.array = torch.ones(2), np.ones(2)
        self.object = SimpleNamespace(count=0, parts=[])
        self.generator, self.random = torch.Generator(), random.Random(0)
        self.own, self.number, self.itself = self.list, 1, [self]

    def described(self):
        return repr(
            [
                *(self.list, self.dict, self.tuple, self.set, list(self.deque)),
                *(
                    self.tensor.tolist(),
                    self.frozen.tolist(),
                    self.array.tolist(),
                    vars(self.object),
                ),
                *(self.generator.get_state().sum(), self.random.getstate()),
                *(getattr(self, 'number', 0), self.own is self.list, self.shared),
                {k: v.tolist() for k, v in self.named_buffers()},
                {k: id(v) for k, v in self.named_parameters()},
                *(sorted(vars(self)), sorted(self._non_persistent_buffers_set)),
            ]
        )


def _nested(bank):
    bank.object.parts.append(bank.dict)
    bank.dict['a']['b'] = 2
    bank.tuple[0].append(3)


@torch.inference_mode()
def _in_inference(x):
    x.add_(1)


CHANGES = {
    'attribute': lambda b: setattr(b, 'number', 2),
    'new attribute': lambda b: setattr(b, 'other', 2),
    'deleted attribute': lambda b: delattr(b, 'number'),
    'replaced list': lambda b: setattr(b, 'list', []),
    'list': lambda b: b.list.append(1),
    'list in a list': lambda b: b.list[1].clear(),
    'dict': lambda b: b.dict.update(c=1),
    'dict emptied': lambda b: b.dict.clear(),
    'nested': _nested,
    'set': lambda b: b.set.add(2),
    'deque': lambda b: b.deque.extend([3, 4, 5]),
    'object': lambda b: setattr(b.object, 'count', 1),
    'tensor': lambda b: b.tensor.add_(1),
    'data of a tensor': lambda b: b.tensor.data.add_(1),
    'size of a tensor': lambda b: b.tensor.resize_(5).zero_(),
    'tensor of inference': lambda b: _in_inference(b.frozen),
    'array': lambda b: b.array.fill(3),
    'generator': lambda b: torch.rand(1, generator=b.generator),
    'random': lambda b: b.random.random(),
    'buffer': lambda b: b.queue.add_(1),
    'replaced buffer': lambda b: setattr(b, 'queue', torch.ones(5)),
    'new buffer': lambda b: b.register_buffer('x', torch.ones(1), persistent=False),
    'buffer that was None': lambda b: b.register_buffer('late', torch.ones(1)),
    'running statistics': lambda b: b.layer.train()(torch.randn(4, 2)),
    'class attribute': lambda b: b.shared.update(a=1),
}


@pytest.mark.parametrize('change', CHANGES)
def test_put_back(change):
    bank = Bank()
    before, kept = bank.described(), Attributes(bank.modules(), numbers=True)
    kept.put_back()
    assert bank.described() == before
    list_before = bank.list
    CHANGES[change](bank)
    assert bank.described() != before
    kept.put_back()
    assert bank.described() == before
    assert bank.list is list_before and bank.own is bank.list


def test_parameters_modules_and_what_is_ours_are_left():
    bank = Bank()
    kept = Attributes(bank.modules(), numbers=True)
    bank.layer.weight = nn.Parameter(torch.zeros(2))
    bank.more = nn.Linear(1, 1)
    bank.iptq_note = 1
    handle = bank.register_forward_hook(lambda *_: None)
    bank.eval()
    kept.put_back()
    assert not bank.layer.weight.any() and bank.more is not None
    assert bank.iptq_note == 1 and not bank.training
    assert handle.id in bank._forward_hooks
