"""Measure what a guarantee says, and what a guard costs.

python tools/quantize.py CONFIG --work-dir DIR --backend native --cfg-options \
    quantization.guarantee.images=372 quantization.guarantee.guard.activation.bits=16
python benchmarks/guarantee.py CONFIG DIR
"""

from __future__ import annotations

import argparse
import copy
import statistics
import time
from collections.abc import Iterable
from pathlib import Path

import torch
from bench.setup import prepare_process
from bench.splits import CHANCE, count_splits, most_wrong
from torch import Tensor


def parse_args() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description='Over random splits of held-out and evaluation images, count how '
        'often what one part certifies is wrong about the other; on the evaluation '
        'images, compare the guarded model with the float one; time it in turns with '
        'the integer model alone'
    )
    parser.add_argument('config', help='config that was quantized')
    parser.add_argument('folder', help='work dir with guarded.py and guarded.pth')
    parser.add_argument(
        '--images',
        type=int,
        default=372,
        help='held-out images, and images that certify in each split',
    )
    parser.add_argument('--backend', default='native')
    parser.add_argument('--threads', type=int, default=1)
    parser.add_argument('--splits', type=int, default=100)
    parser.add_argument('--agreement', type=float, default=0.98, help='of a split')
    parser.add_argument('--confidence', type=float, default=0.95)
    parser.add_argument('--timed', type=int, default=100, help='images that are timed')
    parser.add_argument('--rounds', type=int, default=3)
    parser.add_argument('--cache', help='file of answers; DIR/answers.pth by default')
    return parser.parse_args()


def models(args: argparse.Namespace) -> tuple:
    """The config, and the float and the guarded model."""
    from iptq_mm.engine.loading.models import build_model, load_quantized, read_config
    from iptq_mm.program import use_backend

    cfg = read_config(args.config)
    _, guarded = load_quantized(Path(args.folder) / 'guarded.py')
    use_backend(guarded.model, args.backend)
    use_backend(guarded.wide, args.backend)
    return cfg, build_model(cfg), guarded


def held_out(cfg, images: int) -> Iterable:  # noqa: ANN001
    """The batches that calibrate nothing."""
    from iptq_mm.engine.calibration_data import build_held_out_dataloader
    from iptq_mm.engine.quantize.settings import read_settings

    cfg.quantization.guarantee = dict(images=images)
    seed = (cfg.get('randomness') or {}).get('seed') or 0
    loader = build_held_out_dataloader(cfg, read_settings(cfg), seed)
    if loader is None:
        raise SystemExit('no image is left that calibrates nothing')
    return loader


def answers(args: argparse.Namespace, cfg, floats, guarded) -> dict:  # noqa: ANN001
    """The answers of all three models to held-out and evaluation images."""
    from mmengine.runner import Runner

    from iptq_mm.engine.guarantee.collect import collect

    path = Path(args.cache or Path(args.folder) / 'answers.pth')
    if path.exists():
        return torch.load(path, weights_only=False)
    loaders = {
        'held out': held_out(copy.deepcopy(cfg), args.images),
        'evaluation': Runner.build_dataloader(cfg.test_dataloader),
    }
    found = {
        name: collect(floats, guarded.model, guarded.wide, loader)
        for name, loader in loaders.items()
    }
    torch.save(found, path)
    return found


def splits(args: argparse.Namespace, found: dict) -> list[str]:
    """How often what some images certify is contradicted by the others."""
    from iptq_mm.guarantee import Answers

    held, pool = found['held out'], Answers.joined(h.answers for h in found.values())
    counts = count_splits(
        pool,
        held[1:],
        certifying=args.images,
        splits=args.splits,
        agreement=args.agreement,
        confidence=args.confidence,
    )
    most = most_wrong(args.splits, args.confidence)
    false = 1 - args.confidence
    return [
        f'{args.splits} random splits of {len(pool)} images, held-out and evaluation '
        f'images in one pool: {args.images} certify {args.agreement:.1%}, the other '
        f'{len(pool) - args.images} judge.',
        f'A split may be wrong with {false + CHANCE:.0%}: {false:.0%} for a false '
        f'statement, {CHANCE:.0%} for a true one that chance contradicts; of '
        f'{args.splits} splits at most {most}, in 99 of 100 pools.',
        *(
            f'  {kind:<14} wrong in {c.wrong} of {c.made}; share of the others beyond '
            f'it in {c.above}'
            for kind, c in counts.items()
        ),
    ]


def evaluated(held, guarantee) -> list[str]:  # noqa: ANN001
    """What the guard makes of the evaluation images."""
    from iptq_mm.guarantee import flag_alarm
    from iptq_mm.guarantee.thresholds import failures

    found = held.answers
    flagged = int((found.margins < guarantee.margin).sum())
    final = int(failures(found, guarantee.margin, True).sum())
    alarm = flag_alarm(flagged, len(found), guarantee.flagged, guarantee.images)
    count = len(found)
    return [
        f'{count} evaluation images, agreement with float:',
        f'  integer model  {1 - int(found.differ.sum()) / count:.3%}',
        f'  wider model    {1 - int(found.wide_differs.sum()) / count:.3%}',
        f'  guarded        {1 - final / count:.3%}, {flagged} flagged '
        f'({flagged / count:.2%}); alarm: {"yes" if alarm.raised else "no"}',
    ]


def trade(found: dict, largest: int) -> list[str]:
    """Flags and agreement by the estimate that the threshold of the margin meets.

    The held-out images choose the thresholds; the evaluation images only show what
    comes of them.
    """
    from iptq_mm.guarantee import estimated_from, threshold_grid
    from iptq_mm.guarantee.thresholds import failures

    held, images = (found[name].answers for name in ('held out', 'evaluation'))
    lines = ['thresholds by `target`, flagged of held-out and of evaluation images:']
    for target in (0.998, 0.999, 0.9995, 0.9999):
        least = estimated_from(held, threshold_grid(largest), target)
        shares = [float((a.margins < least).double().mean()) for a in (held, images)]
        missed = int(failures(images, least, False).sum())
        wrong = int(failures(images, least, True).sum())
        lines.append(
            f'  {target:<7} margin {least:>5}: {shares[0]:6.2%} {shares[1]:6.2%}; of '
            f'{int(images.differ.sum())} answers that differ {missed} without a flag, '
            f'{wrong} wrong in the end'
        )
    return lines


@torch.no_grad()
def timed(args: argparse.Namespace, cfg, guarded) -> list[str]:  # noqa: ANN001
    """Times of the guarded model and of the integer model in it, in turns."""
    from mmengine.runner import Runner

    loader = copy.deepcopy(cfg.test_dataloader)
    loader.update(batch_size=1, num_workers=0, persistent_workers=False)
    dataset = Runner.build_dataloader(loader).dataset
    step = max(1, len(dataset) // args.timed)
    images: list[Tensor] = []
    for index in range(0, len(dataset), step):
        data = {k: [v] for k, v in dataset[index].items()}
        images.append(guarded.data_preprocessor(data, False)['inputs'])
    guarded.model(images[0]), guarded.wide(images[0])  # programs are made
    times: dict[str, list[float]] = {'integer': [], 'guarded': [], 'wide': []}
    for _ in range(args.rounds):
        for name, model, some in (
            ('integer', guarded.model, images),
            ('guarded', guarded, images),
            ('wide', guarded.wide, images[:10]),
        ):
            began = time.process_time()
            for image in some:
                model(image)
            times[name].append((time.process_time() - began) / len(some))
    ms = {name: 1000 * statistics.median(spent) for name, spent in times.items()}
    return [
        f'CPU time of an image, {args.backend}, {len(images)} images one by one, '
        f'median of {args.rounds} rounds in turns:',
        *(f'  {name:<10} {value:.2f} ms' for name, value in ms.items()),
        f'  speed of the guarded model: {ms["integer"] / ms["guarded"]:.3f}',
    ]


def main() -> int:
    """Run it."""
    args = parse_args()
    prepare_process(args.threads)
    cfg, floats, guarded = models(args)
    found = answers(args, cfg, floats, guarded)
    for lines in (
        splits(args, found),
        evaluated(found['evaluation'], guarded.guarantee),
        trade(found, found['held out'].largest),
        timed(args, cfg, guarded),
    ):
        print('\n'.join(lines), flush=True)
    return 0


if __name__ == '__main__':
    raise SystemExit(main())
