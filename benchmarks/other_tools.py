"""How accurate other tools are with the same weights on the same images.

python benchmarks/other_tools.py [TOOL ...] [--images N] [--calibration N] [--out FILE]
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Any

from bench.setup import prepare_process

CONFIG = (
    Path(__file__).resolve().parents[1] / 'configs/deit/deit-tiny_w8a8_in1k-sample.py'
)
#: The row of this project.
OWN = 'iptq_mm'
#: Code that PyPI does not have.
ELSEWHERE = (
    'Not run here, since no package index has them: FQ-ViT, RepQ-ViT and I-ViT '
    '(docs/results/other-tools.md has figures of their code).'
)


def parse_args() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description='Quantize DeiT-Tiny with other tools and this one, and compare '
        'top-1, agreement with the float model and the SQNR of all logits, on images '
        'of the evaluation. Tools that are not installed are left out, and said so: '
        'pip install -r requirements/benchmarks.txt torchao'
    )
    parser.add_argument('tools', nargs='*', metavar='TOOL', help='all by default')
    parser.add_argument('--config', default=str(CONFIG), help='of a classifier')
    parser.add_argument('--checkpoint', help='default: load_from of the config')
    parser.add_argument(
        '--images', type=int, help='evaluated ones, evenly spread; default: all'
    )
    parser.add_argument(
        '--calibration', type=int, default=300, help='images of other tools'
    )
    parser.add_argument('--threads', type=int, default=1)
    parser.add_argument('--out', help='file for the table, Markdown')
    return parser.parse_args()


class Judged:
    """Float logits of the evaluated images, and what others make of them.

    Args:
        config: Config of a classifier.
        checkpoint: See the command line.
        images: How many are evaluated; None: all.
    """

    def __init__(self, config: str, checkpoint: str | None, images: int | None) -> None:
        import torch

        from iptq_mm.engine.layers.models import images as some
        from iptq_mm.engine.loading.models import build_model, read_config

        self.cfg = read_config(config, checkpoint)
        self.model = build_model(self.cfg)
        self.batches = some(self.cfg, 'test', images or sys.maxsize)
        self.inputs, self.labels = [], []
        for batch in self.batches:
            data = self.model.data_preprocessor(batch, False)
            self.inputs.append(data['inputs'])
            self.labels.append(int(data['data_samples'][0].gt_label))
        self.floats = Logits(self.model)
        with torch.no_grad():
            self.expected = torch.cat([self.floats(x) for x in self.inputs]).double()

    def calibration(self, count: int) -> list[Any]:
        """Normalized calibration images, in batches of one."""
        from iptq_mm.engine.layers.models import images as some

        found = some(self.cfg, 'calibration', count)
        return [self.model.data_preprocessor(x, False)['inputs'] for x in found]

    def row(self, made: Any) -> list[str]:
        """Top-1, agreement, dB and milliseconds of something that makes logits."""
        import torch

        from iptq_mm.utils.decibels import decibels

        began = time.perf_counter()
        with torch.no_grad():
            found = torch.cat([made(x) for x in self.inputs]).double()
        spent = (time.perf_counter() - began) / len(self.inputs)
        labels, expected = torch.tensor(self.labels), self.expected
        top = float((found.argmax(1) == labels).double().mean())
        same = float((found.argmax(1) == expected.argmax(1)).double().mean())
        error = float((found - expected).square().sum())
        db = decibels(float(expected.square().sum()), error)
        shown = f'{db:.1f}' if error else 'exact'
        return [f'{100 * top:.2f}', f'{100 * same:.2f}', shown, f'{1000 * spent:.0f}']

    def own(self) -> Any:
        """This project's model with the settings of the config."""
        import copy

        import torch

        from iptq_mm.engine.calibration_data import build_calibration_dataloader
        from iptq_mm.engine.quantize.model import quantize_model
        from iptq_mm.engine.quantize.settings import read_settings
        from iptq_mm.program import use_backend

        settings = read_settings(self.cfg)
        model = copy.deepcopy(self.model)
        with torch.no_grad():
            loader = build_calibration_dataloader(self.cfg, settings, 0)
            quantize_model(model, settings, loader)
        use_backend(model, 'native')
        return Logits(model)


def Logits(model: Any) -> Any:  # noqa: N802  (a class that needs torch)
    """Backbone and head of a classifier: from normalized images to logits."""
    from torch import Tensor, nn

    class _Logits(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.backbone, self.head = model.backbone, model.head

        def forward(self, images: Tensor) -> Tensor:
            return self.head(self.backbone(images))

    return _Logits().eval()


def main() -> int:
    """Run it."""
    args = parse_args()
    prepare_process(args.threads)
    from bench.contenders.base import Unavailable
    from bench.peers import PEERS

    from iptq_mm.utils.files import atomic_write
    from iptq_mm.utils.markdown import table

    known = [OWN, *PEERS]
    unknown = [name for name in args.tools if name not in known]
    if unknown:
        print(f'error: no tool {unknown}: {", ".join(known)}', file=sys.stderr)
        return 2
    judged, missing = Judged(args.config, args.checkpoint, args.images), []
    rows = [['float', '', 'everything', '', *judged.row(judged.floats)]]
    calibration = judged.calibration(args.calibration)
    for name in args.tools or known:
        try:
            if name == OWN:
                count = str(judged.cfg.quantization.calibration.num_images)
                made = judged.own()
                row = [OWN, Path(args.config).stem, 'nothing of backbone and head']
            else:
                peer, count = PEERS[name], str(len(calibration))
                made = peer.make(judged.floats, calibration)
                row = [peer.tool, peer.settings, peer.floats]
        except Unavailable as error:
            missing.append(f'NOT MEASURED: {name}. {error}')
            continue
        rows.append([*row, count, *judged.row(made)])
        print(' | '.join(rows[-1]), file=sys.stderr, flush=True)
    titles = ['tool', 'settings', 'what stays float', 'calibration images']
    titles += ['top-1', 'agree', 'SQNR dB', 'ms']
    count = len(judged.inputs)
    said = f'{count} images, batch 1, {args.threads} threads (ms is no benchmark).'
    text = '\n'.join([said, '', table(titles, rows), '', *missing, ELSEWHERE])
    print(text)
    if args.out:
        atomic_write(args.out, text + '\n')
    return 0


if __name__ == '__main__':
    sys.exit(main())
