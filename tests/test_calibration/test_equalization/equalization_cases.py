"""Modules equalized, and what they compute then."""

import copy

import torch
from region_models import Custom, Net, bound, config, tensors, vit
from torch import nn

from iptq_mm.calibration import channel_maps, channel_ranges, equalize
from iptq_mm.modes.base import FloatMode

#: The residual stream at 8 bits, and what usually has 16 bits.
WIDE = dict(bits=8, gelu=16, softmax=16, attention=16)


def equalized(module, batches, *equalizers):
    """A copy of a module as a model's region, equalized, and what was done."""
    net = Net(copy.deepcopy(module)).eval()
    cfg = config(equalization=list(equalizers), wide=WIDE)
    maps = channel_maps(net, cfg, net, batches)
    ranges = channel_ranges(net, maps, net, batches)
    return net, equalize(net, cfg, maps, ranges, net, batches)


def magnitudes(net, batches):
    """By site, the largest magnitude of each channel, measured anew."""
    cfg = config(equalization=[dict(type='layer_norm')])
    maps = channel_maps(net, cfg, net, batches)
    values = channel_ranges(net, maps, net, batches)['backbone'].values
    return {site: ranges.abs().amax(0) for site, ranges in values.items()}


def error(expected, actual):
    """Largest relative error of the outputs."""
    pairs = zip(tensors(expected), tensors(actual), strict=True)
    return max(float((b - a).norm() / a.norm()) for a, b in pairs)


def computed(net, done, x):
    """What the float region computes with the powers it was left with."""
    mode = FloatMode()
    mode.channel_shifts = done.powers['backbone']
    with torch.no_grad(), bound(net.backbone, mode):
        return net(x)


def uneven(module, *names, powers=3):
    """Give the channels of some parameters different sizes.

    Args:
        module: Its parameters are changed in place.
        names: Of the parameters.
        powers: Factors lie within ``2**-powers .. 2**powers``.
    """
    with torch.no_grad():
        for name in names:
            parameter = module.get_parameter(name)
            size = parameter.shape[-1]
            parameter *= (
                2 ** torch.linspace(-powers, powers, size)[torch.randperm(size)]
            )
    return module


def outlier(model=vit, size=10):
    """A model with one channel of the stream that is far wider than the others."""
    module = model()
    for name, parameter in module.named_parameters():
        if name == 'pos_embed' or name.endswith(('proj.bias', 'layers.1.bias')):
            parameter[..., 5] = size + parameter[..., 5].abs()
    return module


class Stream(Custom):
    """A residual stream in small: ``first``, ``p`` and ``branch`` write to it."""

    def __init__(self, body=None, **parts):
        layers = dict(branch=nn.Linear(16, 16), norm2=nn.LayerNorm(16))
        super().__init__(body, **{**layers, **parts})
        uneven(self, 'p')
        with torch.no_grad():
            self.p += 2 ** torch.linspace(-2, 3, 16)

    def forward(self, x):
        x = self.first(x) + self.p
        if self.body:
            return self.body(self, x)
        return self.last(self.norm(x + self.branch(self.norm2(x))))


class PostNorm(Stream):
    """Two blocks that normalize the stream itself, as those of BERT."""

    def __init__(self, norm=True):
        super().__init__(None, **{f'n{i}': nn.LayerNorm(16) for i in range(3)})
        self.up, self.down = nn.Linear(16, 32), nn.Linear(32, 16)
        self.normalize = norm
        with torch.no_grad():  # weights make little of a channel that is large
            for i in range(2):
                self.get_submodule(f'n{i}').weight[5] = 40.0
            self.up.weight[:, 5] /= 40
            self.branch.weight[:, 5] /= 40

    def forward(self, x):
        x = self.n0(self.first(x) + self.p)
        x = x + self.down(nn.functional.gelu(self.up(x)))
        x = self.n1(x) if self.normalize else x
        x = x + self.branch(x)
        return self.last(self.n2(x))
