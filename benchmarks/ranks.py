"""Peak memory and CPU time of each rank, by phase.

python benchmarks/ranks.py --arch base --images 8 --ranks 1 2

A ViT with random weights on random images, quantized by a preset up to the phase
freeze. The ranks are processes on this machine. Peaks are those of the resident set
since the beginning of the phase (``VmHWM``), in MiB. Times are those of the CPU, so
that other processes of the machine play no great role.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

ROOT = Path(__file__).parents[1]


class Model(nn.Module):
    """A ViT and its head."""

    def __init__(self, arch: str, depth: int | None) -> None:
        super().__init__()
        from mmengine.registry import init_default_scope
        from mmpretrain.models import VisionTransformer

        init_default_scope('mmpretrain')
        settings = dict(VisionTransformer.arch_zoo[arch])
        settings['num_layers'] = depth or settings['num_layers']
        self.backbone = VisionTransformer(settings)
        self.head = nn.Linear(self.backbone.embed_dims, 1000)

    def forward(self, x: Tensor) -> Tensor:
        """The logits."""
        return self.head(self.backbone(x)[-1])

    def test_step(self, x: Tensor) -> Tensor:
        """The same, as mmengine asks for it."""
        return self(x)


class Images(torch.utils.data.Dataset):
    """Random images, each made when it is read."""

    def __init__(self, count: int) -> None:
        self.count = count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Tensor:
        generator = torch.Generator().manual_seed(index)
        return torch.randn(3, 224, 224, generator=generator)


def main() -> int:
    """Run the benchmark, or one of its ranks."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--arch', default='base', help='of the ViT: deit-tiny, base')
    parser.add_argument('--depth', type=int, help='blocks; default: those of the arch')
    parser.add_argument('--images', type=int, default=8)
    parser.add_argument('--batch-size', type=int, default=2)
    parser.add_argument('--ranks', type=int, nargs='+', default=[1, 2])
    parser.add_argument('--preset', default='w8a8')
    parser.add_argument('--rounding', type=json.loads, help='as JSON; else the preset')
    parser.add_argument('--criterion', type=json.loads, help='as JSON; else the preset')
    parser.add_argument('--rank', type=int, help=argparse.SUPPRESS)
    parser.add_argument('--store', help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.rank is not None:
        _rank(args)
        return 0
    for count in args.ranks:
        _show(count, _launched(count))
    return 0


def _launched(count: int) -> list[dict[str, Any]]:
    """What each of so many ranks found."""
    with tempfile.TemporaryDirectory() as folder:
        given = [*sys.argv[1:], '--ranks', str(count), '--store', f'{folder}/store']
        command = [sys.executable, __file__, *given]
        ranks = [
            subprocess.Popen([*command, '--rank', str(rank)], stdout=subprocess.PIPE)
            for rank in range(count)
        ]
        said = [rank.communicate()[0].decode() for rank in ranks]
        if any(rank.returncode for rank in ranks):
            raise SystemExit(f'a rank failed: {said}')
    return [json.loads(text.splitlines()[-1]) for text in said]


def _show(count: int, found: list[dict[str, Any]]) -> None:
    print(f'{count} ranks', flush=True)
    for phase in found[0]:
        peaks = ', '.join(f'{rank[phase][0]:.0f}' for rank in found)
        seconds = ', '.join(f'{rank[phase][1]:.1f}' for rank in found)
        print(f'  {phase}: {peaks} MiB; {seconds} s', flush=True)
    peaks = [max(peak for peak, _ in rank.values()) for rank in found]
    print(f'  all: {", ".join(f"{peak:.0f}" for peak in peaks)} MiB', flush=True)


def _rank(args: argparse.Namespace) -> None:
    from bench.phases import peaks_and_seconds
    from mmengine.config import Config

    import iptq_mm  # noqa: F401
    from iptq_mm.calibration import QuantizationConfig
    from iptq_mm.engine.calibration_data.build import _batches_of_this_rank
    from iptq_mm.engine.calibration_data.loader import CalibrationLoader

    (ranks,) = args.ranks
    if ranks > 1:
        torch.distributed.init_process_group(
            'gloo', f'file://{args.store}', rank=args.rank, world_size=ranks
        )
    preset = ROOT / 'configs/_base_/quantization' / f'{args.preset}.py'
    given = Config.fromfile(preset).quantization.to_dict()
    given.update(regions=['backbone', 'head'], pixels=False)
    given['calibration'] = dict(num_images=args.images, batch_size=args.batch_size)
    if args.rounding:
        given['weight']['rounding'] = args.rounding
    if args.criterion:
        given['criterion'] = args.criterion
    candidates = Config.fromfile(ROOT / 'configs/_base_/candidates/mixed.py').candidates
    config = QuantizationConfig.from_dict(given, candidates.to_dict())
    torch.manual_seed(0)
    model = Model(args.arch, args.depth).eval()
    batches = _batches_of_this_rank(args.images, args.batch_size)
    loader = CalibrationLoader(Images(args.images), batches, collate_fn=torch.stack)
    found = peaks_and_seconds(model, config, loader, 'freeze')
    if ranks > 1:
        torch.distributed.barrier()
    print(json.dumps(found), flush=True)


if __name__ == '__main__':
    sys.exit(main())
