"""Models in which clipping does great harm, or none at all."""

from __future__ import annotations

import torch
from region_models import Net, config, rows, spread
from torch import Tensor, nn

from iptq_mm.calibration import observe

#: The value that is massive, by the site that makes it.
MASSIVE = 'inner/linear:0'
TOKENS = 16


class Residual(nn.Module):
    """A stream that a layer writes, and a LayerNorm that reads it.

    Args:
        harmless: Whether the LayerNorm sees nothing of the massive channel.
    """

    def __init__(self, harmless: bool = False) -> None:
        super().__init__()
        self.inner, self.outer = nn.Linear(8, 16), nn.Linear(16, 16)
        self.skip, self.norm = nn.Linear(8, 16), nn.LayerNorm(16)
        self.last = nn.Linear(16, 16)
        spread(self)
        with torch.no_grad():
            # Input 7, which is large in one token, becomes a massive channel.
            for layer in (self.inner, self.skip):
                layer.weight[:, 7] = 0
            self.inner.weight[0] = 0
            self.inner.weight[0, 7] = 1
            self.outer.weight[:, 0] = 0
            if not harmless:
                self.outer.weight[3, 0] = 1

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.norm(self.skip(x) + self.outer(self.inner(x))))


def tokens(seed: int, size: float = 30.0) -> Tensor:
    """Two images of 16 tokens; input 7 is large in one token of each."""
    x = rows(2, TOKENS, seed=seed)
    x[..., 7] = 0
    x[:, seed % TOKENS, 7] = size
    return x


def observed(module: nn.Module, batches: list[Tensor], **given):
    """Model, config and records up to the guard."""
    net = Net(module).eval()
    options = {'bits': 8, 'guard_images': 8, **given}
    calibration = dict(num_images=64, batch_size=2)
    cfg = config(activation=options, calibration=calibration)
    records = observe(net, cfg, net, batches)
    return net, cfg, records
