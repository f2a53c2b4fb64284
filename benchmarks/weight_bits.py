"""How much the rounding of weights alone changes DeiT-Tiny, by their bits.

python benchmarks/weight_bits.py [CONFIG]
"""

from __future__ import annotations

import argparse
import copy

import torch
from bench.setup import prepare_process
from torch import nn

CONFIG = 'configs/deit/deit-tiny_in1k-sample.py'


def parse_args() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description='Round the weights of linear layers and convolutions to the '
        'nearest, and compare the logits of calibration images; everything else stays '
        'in floats'
    )
    parser.add_argument('config', nargs='?', default=CONFIG)
    parser.add_argument('--bits', type=int, nargs='*', default=[8, 10, 12, 14])
    parser.add_argument('--images', type=int, default=250)
    return parser.parse_args()


def rounded(model: nn.Module, bits: int) -> nn.Module:
    """A copy with weights rounded to the nearest, one scale an output channel."""
    from iptq_mm.rounding import NearestRounding

    model = copy.deepcopy(model)
    for module in model.modules():
        if isinstance(module, nn.Linear | nn.Conv2d):
            weight = module.weight.data
            scale = weight.flatten(1).abs().amax(1).double() / (2 ** (bits - 1) - 1)
            codes = NearestRounding()(weight, scale, bits).codes
            shape = [-1] + [1] * (weight.dim() - 1)
            module.weight.data = (codes * scale.view(shape)).float()
    return model


@torch.no_grad()
def main() -> int:
    """Run it."""
    args = parse_args()
    prepare_process(1)
    from mmengine.runner import Runner

    from iptq_mm.engine.loading.models import build_model, read_config
    from iptq_mm.utils.decibels import decibels

    cfg = read_config(args.config)
    model = build_model(cfg)
    loader = copy.deepcopy(cfg.train_dataloader)
    loader.update(num_workers=0, persistent_workers=False)
    loader.sampler = dict(type='DefaultSampler', shuffle=False)
    dataset = Runner.build_dataloader(copy.deepcopy(loader)).dataset
    step = max(1, len(dataset) // args.images)
    loader.dataset.indices = list(range(0, len(dataset), step))[: args.images]
    batches = [
        model.data_preprocessor(batch, False)['inputs']
        for batch in Runner.build_dataloader(loader)
    ]

    def logits(m: nn.Module) -> torch.Tensor:
        return torch.cat([m(batch) for batch in batches]).double()

    real = logits(model)
    for bits in args.bits:
        found = logits(rounded(model, bits))
        error = decibels(float((real * real).sum()), float(((real - found) ** 2).sum()))
        same = float((real.argmax(1) == found.argmax(1)).double().mean())
        print(f'{bits} bits: {error:.1f} dB, same top-1 {same:.1%}', flush=True)
    return 0


if __name__ == '__main__':
    raise SystemExit(main())
