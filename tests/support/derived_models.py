"""Small regions that derive tensors from their parameters, and keep them."""

from __future__ import annotations

from typing import Any

import torch
from region_models import spread
from torch import Tensor, nn


class Derives(nn.Module):
    """Adds ``bias()``, derived from a table, between a LayerNorm and a layer."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(8, 16)
        self.norm = nn.LayerNorm(16)
        self.last = nn.Linear(16, 16)
        self.table = nn.Parameter(torch.zeros(4, 8))
        self.prepare()
        spread(self)

    def prepare(self) -> None:
        pass

    def made(self) -> Tensor:
        """What is derived: something that codes would make nonsense of."""
        return self.table.flip(0).reshape(2, 16).sum(0)

    def bias(self) -> Tensor:
        return self.made()

    def forward(self, x: Tensor) -> Any:
        return self.last(self.norm(self.first(x)) + self.bias())


class InTrain(Derives):
    """As the attention of TinyViT and LeViT in mmpretrain."""

    @torch.no_grad()
    def train(self, mode=True):
        super().train(mode)
        if mode and hasattr(self, 'ab'):
            del self.ab
        else:
            self.ab = self.made()

    def bias(self):
        return self.made() if self.training else self.ab


class InPart(Derives):
    """A part of the region has the table, and derives."""

    class Part(InTrain):
        def forward(self, x):
            return x + self.bias()

    def prepare(self):
        self.part = self.Part()

    def forward(self, x):
        return self.last(self.part(self.norm(self.first(x))))


class InEval(Derives):
    def eval(self):
        super().eval()
        self.parts = {'bias': [self.made().detach()]}
        return self

    def bias(self):
        return self.parts['bias'][0]


class AtLoading(Derives):
    def prepare(self):
        self.ab = torch.zeros(16)

    def _load_from_state_dict(self, *args, **kwargs):
        super()._load_from_state_dict(*args, **kwargs)
        self.ab = self.made().detach()

    def bias(self):
        return self.ab


class AfterLoading(AtLoading):
    """By a hook, and in a buffer."""

    def prepare(self):
        self.register_buffer('ab', torch.zeros(16), persistent=False)
        self.register_load_state_dict_post_hook(type(self)._derive)

    def _load_from_state_dict(self, *args, **kwargs):
        nn.Module._load_from_state_dict(self, *args, **kwargs)

    def _derive(self, keys):
        self.ab.copy_(self.made().detach())


class LoadStateDict(AtLoading):
    def _load_from_state_dict(self, *args, **kwargs):
        nn.Module._load_from_state_dict(self, *args, **kwargs)

    def load_state_dict(self, *args, **kwargs):
        found = super().load_state_dict(*args, **kwargs)
        self.ab = self.made().detach()
        return found


class Cached(Derives):
    """Made by the first call."""

    def prepare(self):
        self.cache = None

    def bias(self):
        if self.cache is None:
            self.cache = self.made()
        return self.cache


class CachedWhereAbsent(Derives):
    def bias(self):
        if not hasattr(self, 'cache'):
            self.cache = self.made()
        return self.cache


class CachedByDevice(Derives):
    """As in timm."""

    def prepare(self):
        self.cache = {}

    def bias(self):
        key = str(self.table.device)
        if key not in self.cache:
            self.cache[key] = self.made()
        return self.cache[key]


class CachedInList(Derives):
    def prepare(self):
        self.cache = []

    def bias(self):
        if not self.cache:
            self.cache.append((self.made(), 'bias'))
        return self.cache[0][0]


class CachedInObject(Derives):
    class Store:
        value = None

    def prepare(self):
        self.store = self.Store()

    def bias(self):
        if self.store.value is None:
            self.store.value = self.made()
        return self.store.value


class CachedByClass(Derives):
    cache: dict[str, Any] = {}

    def bias(self):
        if 'bias' not in self.cache:
            self.cache['bias'] = self.made()
        return self.cache['bias']


class CachedInBuffer(Derives):
    def prepare(self):
        self.register_buffer('cache', None, persistent=False)

    def bias(self):
        if self.cache is None:
            self.register_buffer('cache', self.made(), persistent=False)
        return self.cache


class CachedWithFlag(Derives):
    def prepare(self):
        self.ready, self.shape = False, None

    def bias(self):
        if not self.ready:
            self.cache, self.ready = self.made(), True
        return self.cache


class CachedBySize(Derives):
    """Made anew for each number of rows."""

    def prepare(self):
        self.rows, self.cache = None, None

    def forward(self, x):
        if self.rows != x.shape[1]:
            self.rows = x.shape[1]
            self.cache = self.made()[None].expand(self.rows, 16)
        return self.last(self.norm(self.first(x)) + self.cache)


#: Derived by train(), eval() or loading.
DERIVING = [InTrain, InPart, InEval, AtLoading, AfterLoading, LoadStateDict]
#: Derived by the first call.
CACHING = [
    *(Cached, CachedWhereAbsent, CachedByDevice, CachedInList, CachedInObject),
    *(CachedByClass, CachedInBuffer, CachedWithFlag, CachedBySize),
]
