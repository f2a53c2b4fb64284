"""Tiny transformers, quantized in a moment, for tests of the core."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import torch
from mmengine.registry import init_default_scope
from torch import Tensor, nn

import iptq_mm  # noqa: F401  (before mmpretrain and mmdet)
from iptq_mm.calibration import (
    QuantizationConfig,
    analyse,
    analyse_whole_model,
    assign,
    check_regions,
    freeze_regions,
    observe,
)
from iptq_mm.modes import Region, bind, bound_region, unbind
from iptq_mm.plan import RegionPlan
from iptq_mm.record import RegionRecord
from iptq_mm.utils.trees import tree_leaves

# Threads would only wait for each other on tensors as small as these.
torch.set_num_threads(1)

#: One exact function of each kind: the choice among many is tested elsewhere.
CANDIDATES = dict(
    gelu=[dict(type='table_gelu')],
    softmax=[dict(type='table_softmax')],
    layer_norm=[dict(type='ibert_layernorm')],
    unary=[dict(type='interpolated_unary')],
)
#: As few as make a choice, one of each kind from another paper.
SEVERAL = dict(
    gelu=[dict(type='i_gelu'), dict(type='poly_gelu'), dict(type='table_gelu')],
    softmax=[dict(type='i_softmax'), dict(type='shiftmax')],
    layer_norm=[dict(type='ibert_layernorm'), dict(type='ivit_layernorm')],
)


class Net(nn.Module):
    """A model with one part, the region."""

    def __init__(self, backbone: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self.backbone(*args, **kwargs)


class WithNorm(nn.Module):
    """A layer of images, and beside it a LayerNorm: the least of a transformer."""

    def __init__(self, layer: nn.Module, channels: int = 4) -> None:
        super().__init__()
        self.layer, self.norm = layer, nn.LayerNorm(channels)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return self.layer(x), self.norm(x.permute(0, 2, 3, 1))


def spread(module: nn.Module, seed: int = 0, gain: float = 1.5) -> nn.Module:
    """Random weights of a size that keeps attention from being flat."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, p in module.named_parameters():
            noise = torch.randn(p.shape, generator=generator)
            if 'table' in name or 'embed' in name.split('.')[-1] or 'token' in name:
                p.copy_(noise * 0.5)
            elif p.ndim > 1:
                p.copy_(noise * gain / p[0].numel() ** 0.5)
            else:
                p.copy_(noise * 0.2 + (1 if 'weight' in name else 0))
    module.eval()  # mm's own returns None
    return module


def vit(dims: int = 32, size: int = 32, **kwargs: Any) -> nn.Module:
    from mmpretrain.models import VisionTransformer

    init_default_scope('mmpretrain')
    arch = dict(
        embed_dims=dims, num_layers=2, num_heads=2, feedforward_channels=2 * dims
    )
    return spread(VisionTransformer(arch, img_size=size, patch_size=8, **kwargs))


def deit(dims: int = 32, size: int = 32, **kwargs: Any) -> nn.Module:
    from mmpretrain.models import DistilledVisionTransformer

    init_default_scope('mmpretrain')
    arch = dict(
        embed_dims=dims, num_layers=2, num_heads=2, feedforward_channels=2 * dims
    )
    return spread(
        DistilledVisionTransformer(arch, img_size=size, patch_size=8, **kwargs)
    )


def mmpretrain_swin(**kwargs: Any) -> nn.Module:
    from mmpretrain.models import SwinTransformer

    init_default_scope('mmpretrain')
    arch = dict(embed_dims=16, depths=[2, 2], num_heads=[1, 2])
    options = dict(img_size=32, patch_size=2, window_size=4, out_indices=(0, 1))
    return spread(SwinTransformer(arch, **{**options, **kwargs}))


def mmdet_swin(**kwargs: Any) -> nn.Module:
    from mmdet.models import SwinTransformer

    init_default_scope('mmdet')
    options = dict(
        embed_dims=24,
        depths=(2, 2),
        num_heads=(2, 4),
        strides=(4, 2),
        out_indices=(0, 1),
        window_size=4,
    )
    return spread(SwinTransformer(**{**options, **kwargs}))


FAMILIES = {
    'vit': vit,
    'deit': deit,
    'mmpretrain_swin': mmpretrain_swin,
    'mmdet_swin': mmdet_swin,
}


def images(*shape: int, seed: int = 0) -> Tensor:
    """Smooth random images, alike in range and different in content."""
    generator = torch.Generator().manual_seed(seed)
    *batch, height, width = shape
    coarse = torch.randn(*batch, 6, 6, generator=generator)
    x = nn.functional.interpolate(coarse, (height, width), mode='bicubic')
    return x + 0.3 * torch.randn(shape, generator=generator)


def config(
    candidates: dict[str, Any] = CANDIDATES, **options: Any
) -> QuantizationConfig:
    # One that needs no gradients, which most tests have no use for.
    given = {'regions': ['backbone'], 'criterion': {'type': 'unified_metric'}}
    return QuantizationConfig.from_dict({**given, **options}, candidates)


def calibrated(
    backbone: nn.Module, batches: Sequence[Any], cfg: QuantizationConfig | None = None
) -> tuple[Net, RegionPlan, RegionRecord]:
    """The float model (a copy), the plan and the record of its region."""
    net = Net(copy.deepcopy(backbone)).eval()
    cfg = cfg or config()

    def forward(batch: Any) -> Any:
        return net(*batch) if isinstance(batch, tuple) else net(batch)

    check_regions(net, cfg)
    records = observe(net, cfg, forward, batches)
    find = analyse_whole_model if cfg.analysis == 'whole-model' else analyse
    find(net, cfg, records, forward, batches)
    plans = assign(net, cfg, records)
    return net, plans['backbone'], records['backbone']


def quantized(
    backbone: nn.Module, batches: Sequence[Any], cfg: QuantizationConfig | None = None
) -> Net:
    """A copy of ``backbone``, frozen to integers."""
    cfg = cfg or config()
    net, plan, _ = calibrated(backbone, batches, cfg)
    freeze_regions(net, cfg, {'backbone': plan})
    return net


def integer_mode(net: nn.Module) -> Any:
    """The integer mode of a frozen model."""
    region = bound_region(net.get_submodule('backbone'))
    assert region is not None
    return region.mode


class Custom(nn.Module):
    """Two linear layers, a LayerNorm and whatever ``body`` does with them."""

    def __init__(self, body: Any, dims: int = 16, **parts: Any) -> None:
        super().__init__()
        self.first = nn.Linear(8, dims)
        self.norm = nn.LayerNorm(dims)
        self.last = nn.Linear(dims, dims)
        self.p = nn.Parameter(torch.zeros(1, 1, dims))
        for name, part in parts.items():
            setattr(self, name, part)
        self.body = body
        spread(self)

    def forward(self, x: Tensor) -> Any:
        return self.body(self, self.norm(self.first(x)))


def plain_net() -> Net:
    """A model whose region is a :class:`Custom` with nothing between its layers."""
    return Net(Custom(lambda self, x: self.last(x)))


def rows(*shape: int, seed: int = 0) -> Tensor:
    """Inputs of :class:`Custom`, whose last dimension is 8."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*(shape or (4, 5)), 8, generator=generator)


def attempt(body: Any, *shape: int, x: Tensor | None = None, **parts: Any) -> float:
    """SQNR of a :class:`Custom` once quantized, the worst of two calls."""
    module = Custom(body, **parts)
    batches = [rows(*shape, seed=s) for s in range(3)]
    x = batches[0] if x is None else x
    with torch.no_grad():
        net = quantized(module, batches)
        return min(sqnr(module(x), net(x)) for _ in range(2))


class bound:
    """Run a module as region ``backbone`` in a mode within a ``with`` block."""

    def __init__(self, module: nn.Module, mode: Any) -> None:
        self.module, self.mode = module, mode

    def __enter__(self) -> Any:
        bind(self.module, Region('backbone', self.mode))
        return self.mode

    def __exit__(self, *error: Any) -> None:
        unbind(self.module)


def tensors(outputs: Any) -> list[Tensor]:
    leaves = tree_leaves(outputs)
    return [t for t in leaves if isinstance(t, Tensor)]


def sqnr(reference: Any, actual: Any) -> float:
    """10 log10 of signal over error power in dB, of the worst output."""
    figures = []
    pairs = zip(tensors(reference), tensors(actual), strict=True)
    for real, other in pairs:
        assert real.shape == other.shape
        error = (real.double() - other.double()).square().sum().clamp_min(1e-300)
        figures.append(float(10 * torch.log10(real.double().square().sum() / error)))
    return min(figures)


def same(one: Any, other: Any) -> bool:
    """Whether all outputs are equal to the bit."""
    return all(
        torch.equal(a, b) for a, b in zip(tensors(one), tensors(other), strict=True)
    )
