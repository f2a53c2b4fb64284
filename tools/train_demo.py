"""Trains a demo model, resumes the training, or exports its weights.

Examples, in the order that the demo needs::

    python tools/train_demo.py configs/demo/swin_demo.py
    python tools/train_demo.py configs/demo/swin_demo.py \
        --export work_dirs/swin_demo/swin_demo_fp32.pth
    python tools/train_demo.py configs/demo/swin_cascade_demo.py
    python tools/train_demo.py configs/demo/swin_cascade_demo.py --resume
    python tools/train_demo.py configs/demo/swin_cascade_demo.py --half \
        --export work_dirs/swin_cascade_demo/swin_cascade_demo_fp16.pth
"""

import argparse
import os
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.runner import Runner, find_latest_checkpoint

import iptq_mm
from iptq_mm.engine.loading.command_line import add_overrides
from iptq_mm.engine.loading.models import read_config

DEFAULT_CONFIG = 'configs/demo/swin_cascade_demo.py'


def parse_args() -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('config', nargs='?', default=DEFAULT_CONFIG)
    parser.add_argument('--work-dir', help='default: work_dirs/<name of the config>')
    parser.add_argument('--seed', type=int, default=0)
    # Threads that wait for each other crawl where others use the cores too.
    parser.add_argument('--threads', type=int, default=1, help='threads of torch')
    parser.add_argument(
        '--resume',
        nargs='?',
        const='auto',
        help='go on from this checkpoint, or from the last of the work directory',
    )
    add_overrides(parser)
    parser.add_argument(
        '--export', type=Path, help='train nothing; write the last weights here'
    )
    parser.add_argument('--half', action='store_true', help='export in fp16')
    return parser.parse_args()


def load_config(args: argparse.Namespace) -> Config:
    """Returns the configuration that the command line asks for."""
    cfg = read_config(args.config, options=args.cfg_options)
    cfg.work_dir = args.work_dir or f'work_dirs/{Path(args.config).stem}'
    cfg.randomness = {'seed': args.seed}
    cfg.launcher = 'none'
    if args.resume:
        cfg.resume = True
        cfg.load_from = None if args.resume == 'auto' else args.resume
    return cfg


def plain_state(state: dict, half: bool) -> dict[str, torch.Tensor]:
    """Returns a plain dictionary of contiguous tensors of their own.

    Args:
        state: State dictionary of a model.
        half: Whether floating point tensors become fp16.
    """
    plain = {}
    for name, tensor in state.items():
        tensor = tensor.detach().cpu()
        if half and tensor.is_floating_point():
            tensor = tensor.half()
        # A view would drag the whole storage of its base into the file.
        plain[str(name)] = tensor.contiguous().clone()
    return plain


def export(cfg: Config, target: Path, half: bool) -> None:
    """Writes the last weights of a work directory, without the optimizer.

    The file holds tensors and plain types only, so that
    ``torch.load(weights_only=True)`` reads it.

    Args:
        cfg: Configuration with the work directory.
        target: File to write; never seen half written.
        half: Whether the weights become fp16.
    """
    source = find_latest_checkpoint(cfg.work_dir)
    if source is None:
        raise FileNotFoundError(f'no checkpoint in {cfg.work_dir}')
    # Written by our own training: optimizer and messages need full pickling.
    checkpoint = torch.load(source, map_location='cpu', weights_only=False)
    content = {
        'state_dict': plain_state(checkpoint['state_dict'], half),
        'meta': {
            'iter': int(checkpoint['meta']['iter']),
            'dataset_meta': {'classes': list(cfg.classes)},
            'iptq_mm_version': iptq_mm.__version__,
        },
    }
    target.parent.mkdir(parents=True, exist_ok=True)
    beside = target.with_name(f'.{target.name}.{os.getpid()}')
    torch.save(content, beside)
    torch.load(beside, weights_only=True)
    os.replace(beside, target)
    print(f'{target}: {target.stat().st_size / 1e6:.2f} MB')


def main() -> None:
    """Trains or exports."""
    args = parse_args()
    torch.set_num_threads(args.threads)
    cfg = load_config(args)
    if args.export:
        export(cfg, args.export, args.half)
    else:
        Runner.from_cfg(cfg).train()


if __name__ == '__main__':
    main()
