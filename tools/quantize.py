"""Quantize a model: observe, analyse, assign, freeze, evaluate, save.

python tools/quantize.py CONFIG [CHECKPOINT]
"""

import argparse
import os
import sys

from iptq_mm.engine.loading.command_line import add_model, mistakes_end_it
from iptq_mm.engine.run.pipeline import quantize_and_compare
from iptq_mm.engine.run.processes import OtherProcessError


def parse_args() -> argparse.Namespace:
    """The options of mm's own tools."""
    parser = argparse.ArgumentParser(
        description='Quantize a model to integers and compare it with its float self'
    )
    add_model(
        parser,
        'config with a quantization dict',
        override='quantization.weight.bits=4',
    )
    parser.add_argument(
        '--work-dir', help='where to write; default: work_dirs/<config name>'
    )
    parser.add_argument('--out', help='pickle file for the integer predictions')
    parser.add_argument(
        '--resume',
        action='store_true',
        help='go on after the last finished phase in the work dir',
    )
    parser.add_argument(
        '--backend',
        help='what runs the integer model, now and by integer.py: native, compiled, '
        'onnx or reference; default: backend of the config, or operation by '
        'operation',
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
    interrupted='phases of calibration that were finished are kept in the work dir; '
    'the same command with --resume goes on after them',
)
def main() -> int:
    """Run the tool."""
    args = parse_args()
    quantize_and_compare(
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
