"""The loss that the search of bits predicts beside the loss that is measured.

python benchmarks/predicted_loss.py CONFIG [--plans 20] [--split calibration]
"""

from __future__ import annotations

import argparse
import copy
import random
import sys
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from bench.setup import prepare_process

CONFIG = 'configs/deit/deit-tiny_w8a8_in1k-sample.py'


def parse_args() -> argparse.Namespace:
    """The command line."""
    from mmengine.config import DictAction

    parser = argparse.ArgumentParser(
        description='Draw plans that give every product bits of its own, quantize the '
        'model by each, and compare the error of the outputs with the sum of the '
        'errors of the sites, by which tools/search_bits.py chooses. Weights are '
        'rounded to the nearest, which is quick. It holds for errors that '
        'are small beside the outputs: not for 3-bit weights in many sites.'
    )
    parser.add_argument('config', nargs='?', default=CONFIG)
    parser.add_argument('--plans', type=int, default=20)
    parser.add_argument('--weights', nargs='+', type=int, default=[4, 5, 6, 8])
    parser.add_argument('--activations', nargs='+', type=int, default=[6, 8])
    parser.add_argument('--seed', type=int, default=0, help='of plans and images')
    parser.add_argument('--images', type=int, default=64, help='to calibrate on')
    parser.add_argument('--judge', type=int, default=64, help='to compare on')
    parser.add_argument(
        '--split',
        choices=['calibration', 'val'],
        default='calibration',
        help='what these are: calibration images that nothing was calibrated on, or '
        'those of the evaluation',
    )
    parser.add_argument('--work-dir', help='keeps the sensitivities')
    parser.add_argument('--backend', default='native')
    parser.add_argument('--threads', type=int, default=1)
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, default={})
    return parser.parse_args()


def plan_of(units: list[Any], seed: int) -> list[Any]:
    """A choice for each unit. Each plan prefers other bits than the next one."""
    generator = random.Random(seed)
    preferred: dict[tuple, float] = {}
    chosen = []
    for unit in units:
        keys = [(choice.weight, choice.activation) for choice in unit.choices]
        shares = [preferred.setdefault(k, generator.expovariate(1)) for k in keys]
        chosen += generator.choices(unit.choices, shares)
    return chosen


def overrides_of(units: list[Any], chosen: list[Any]) -> list[dict[str, Any]]:
    """What a config says of the choices."""
    return [
        dict(where=site, **choice.override)
        for unit, choice in zip(units, chosen, strict=True)
        for site in unit.sites
    ]


class Bench:
    """The model, its sensitivities, and a quantization that plans go on from.

    Args:
        args: The command line.
        folder: Keeps the sensitivities.
    """

    def __init__(self, args: argparse.Namespace, folder: Path) -> None:
        from iptq_mm.calibration.phases.sensitivity.forms import weight_forms
        from iptq_mm.engine.calibration_data import build_calibration_dataloader
        from iptq_mm.engine.loading.models import build_model, read_config
        from iptq_mm.engine.quantize.model import started
        from iptq_mm.engine.quantize.phases import PHASES
        from iptq_mm.engine.search.choices import product_units
        from iptq_mm.engine.search.costs import CostTable
        from iptq_mm.engine.search.images import search_images
        from iptq_mm.engine.search.measure import measure_model, search_settings
        from iptq_mm.engine.study.inputs import study_batches

        options = {
            'quantization.weight.rounding': dict(_delete_=True, type='nearest'),
            'quantization.reconstruction.epochs': 0,
            'quantization.activation.guard_images': 0,
            'quantization.activation.least_db': None,  # a plan has all bits
            'quantization.on_mismatch': 'warn',  # a bad plan is a figure, too
            'quantization.calibration.mirrored': False,
            'randomness.seed': args.seed,
            'quantization.calibration.num_images': args.images,
            **args.cfg_options,
        }
        self._args, cfg = args, read_config(args.config, None, options)
        group = (cfg.quantization.get('weight') or {}).get('group') or 0
        forms = weight_forms(args.weights, [group])
        found, _ = measure_model(cfg, folder, forms, args.activations, False)
        self.units = product_units(
            found, CostTable(), args.weights, args.activations, group
        )
        settings, seed = search_settings(cfg), args.seed
        settings, loader, sensing = search_images(cfg, settings, seed)
        # Images that neither calibrate nor have told what few bits cost.
        count = len(loader.dataset) + len(sensing.dataset)
        calibration = replace(settings.calibration, num_images=count)
        both = replace(settings, calibration=calibration)
        used = build_calibration_dataloader(cfg, both, seed)
        held = study_batches(cfg, settings, used, args.judge, args.split, seed)
        self._judging, self.floats = list(held.loader), build_model(cfg)
        self._cfg, batches = cfg, list(loader)
        model = copy.deepcopy(self.floats)
        self._run = started(model, settings, batches)
        names = [phase.name for phase in PHASES]
        self._later = PHASES[names.index('analyse') :]
        for phase in PHASES[: names.index('analyse')]:
            phase.do(self._run)

    def measured(self, chosen: list[Any]) -> tuple[float | None, float]:
        """Agreement and dB of a plan."""
        from bench.hard.measuring import compared

        from iptq_mm.engine.quantize.settings import read_settings

        quantization = dict(self._cfg.quantization)
        quantization['overrides'] = overrides_of(self.units, chosen)
        run = copy.deepcopy(self._run)
        regions = run.config.regions
        run.config = read_settings(self._cfg, quantization)
        run.config.regions = regions
        for phase in self._later:
            phase.do(run)
        args = self._args
        return compared(self.floats, run.model, self._judging, args.backend)


def main() -> int:
    """Run it."""
    args = parse_args()
    prepare_process(args.threads)
    import torch

    from iptq_mm.engine.search.choices import total
    from iptq_mm.engine.study import spearman
    from iptq_mm.utils.decibels import decibels
    from iptq_mm.utils.markdown import table

    with TemporaryDirectory() as temporary, torch.no_grad():
        bench = Bench(args, Path(args.work_dir or temporary))
        rows, pairs = [], []
        for number in range(args.plans):
            chosen = plan_of(bench.units, args.seed + number)
            predicted = decibels(1.0, total(chosen, 'loss'))
            agreement, db = bench.measured(chosen)
            pairs.append((predicted, db))
            answers = '' if agreement is None else f'{100 * agreement:.1f}'
            size = f'{total(chosen, "bytes") / 1e6:.3f}'
            row = [str(number), size, f'{predicted:.1f}', f'{db:.1f}', answers]
            rows.append(row)
            print(' | '.join(row), file=sys.stderr, flush=True)
    print(table(['plan', 'MB', 'predicted dB', 'dB', 'agreement, %'], rows))
    print(f'\nrank correlation: {spearman(*zip(*pairs, strict=True)):.3f}')
    return 0


if __name__ == '__main__':
    sys.exit(main())
