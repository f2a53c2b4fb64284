"""Train a quantized model on its integers: quantize, train, evaluate, save.

python tools/train.py CONFIG [CHECKPOINT]
"""

import argparse
import os
import sys

from iptq_mm.calibration import ConfigError
from iptq_mm.engine.loading.command_line import add_model, mistakes_end_it
from iptq_mm.engine.run.processes import OtherProcessError
from iptq_mm.engine.train.pipeline import train_and_compare


def parse_args() -> argparse.Namespace:
    """The options of mm's own tools."""
    parser = argparse.ArgumentParser(
        description='Quantize a model, train its integers, and compare it with its '
        'float self'
    )
    add_model(
        parser,
        'config with a quantization and a qat dict',
        override='qat.optim_wrapper.optimizer.lr=1e-5',
    )
    parser.add_argument(
        '--work-dir', help='where to write; default: work_dirs/<config name>'
    )
    parser.add_argument('--out', help='pickle file for the integer predictions')
    parser.add_argument(
        '--resume',
        action='store_true',
        help='go on where an interrupted run in the work dir was',
    )
    parser.add_argument(
        '--amp',
        action='store_true',
        help='refused: integers are exact in float32 alone',
    )
    parser.add_argument(
        '--backend',
        help='what runs the integer model after the training, and by integer.py: '
        'native, compiled, onnx or reference; default: backend of the config, or '
        'operation by operation, which alone counts saturated values',
    )
    parser.add_argument(
        '--launcher', choices=['none', 'pytorch', 'slurm', 'mpi'], default='none'
    )
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0)
    args = parser.parse_args()
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    return args


@mistakes_end_it(
    OtherProcessError,
    interrupted='calibration and the last checkpoint are kept in the work dir; the '
    'same command with --resume goes on after them',
)
def main() -> int:
    """Run the tool."""
    args = parse_args()
    if args.amp:
        raise ConfigError(
            '--amp: integers are exact in float32 alone: train without mixed precision'
        )
    train_and_compare(
        args.config,
        args.checkpoint,
        work_dir=args.work_dir,
        out=args.out,
        resume=args.resume,
        cfg_options=args.cfg_options,
        launcher=args.launcher,
        backend=args.backend,
    )
    return 0


if __name__ == '__main__':
    sys.exit(main())
