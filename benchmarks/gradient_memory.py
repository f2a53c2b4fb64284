"""Peak memory of a quantization whose passes backward may keep so much.

python benchmarks/gradient_memory.py --size 800 1216 --limits 100000 2048 512

The backbone of a detector, Swin-T with random weights, on random images of that size,
by the preset W8A8 with guided rounding. Each limit (``calibration.gradient_memory_mb``,
in MiB) has a process of its own; ``none`` chooses functions without a pass backward.
Peaks are those of the resident set since the beginning of a phase, times those of the
CPU.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

import torch
from bench.setup import prepare_process
from torch import Tensor, nn

ROOT = Path(__file__).parents[1]


class Model(nn.Module):
    """The backbone."""

    def __init__(self) -> None:
        super().__init__()
        from mmdet.models import SwinTransformer

        self.backbone = SwinTransformer()

    def test_step(self, x: Tensor) -> tuple[Tensor, ...]:
        """Its feature maps, as mmengine asks for them."""
        return self.backbone(x)


def main() -> int:
    """Run the benchmark, or one of its processes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--size', type=int, nargs=2, default=[800, 1216])
    parser.add_argument('--limits', nargs='+', default=['none', '100000', '2048'])
    parser.add_argument('--images', type=int, default=1)
    parser.add_argument('--one', action='store_true', help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        print(json.dumps(_phases(args)), flush=True)
        return 0
    for limit in args.limits:
        command = [sys.executable, __file__, '--one', '--limits', limit]
        command += ['--images', str(args.images), '--size', *map(str, args.size)]
        said = subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout
        found = json.loads(said.decode().splitlines()[-1])
        print(f'limit {limit}', flush=True)
        for phase, (peak, seconds) in found.items():
            shown = 'unknown' if peak is None else f'{peak:.0f} MiB'
            print(f'  {phase}: {shown}, {seconds:.1f} s', flush=True)
    return 0


def _phases(args: argparse.Namespace) -> dict[str, tuple[float, float]]:
    prepare_process(1)
    from bench.phases import peaks_and_seconds
    from mmengine.config import Config
    from mmengine.registry import init_default_scope

    from iptq_mm.calibration import QuantizationConfig

    init_default_scope('mmdet')
    (limit,), presets = args.limits, ROOT / 'configs/_base_'
    given = Config.fromfile(presets / 'quantization/w8a8.py').quantization.to_dict()
    given |= dict(regions=['backbone'], pixels=False)
    given['calibration'] = dict(num_images=args.images, batch_size=1)
    given['activation']['least_db'] = None
    if limit == 'none':
        given['criterion'] = dict(type='sqnr')
    else:
        given['weight']['guided'] = True
        given['calibration']['gradient_memory_mb'] = int(limit)
    candidates = Config.fromfile(presets / 'candidates/tables.py').candidates
    config = QuantizationConfig.from_dict(given, candidates.to_dict())
    torch.manual_seed(0)
    batches = [torch.randn(1, 3, *args.size) for _ in range(args.images)]
    return peaks_and_seconds(Model().eval(), config, batches, 'freeze')


if __name__ == '__main__':
    sys.exit(main())
