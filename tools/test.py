"""Evaluate a model, float or integer: the metrics of its config.

python tools/test.py CONFIG [CHECKPOINT]
"""

import argparse
import os
import sys

from iptq_mm.engine.loading.command_line import add_model, mistakes_end_it
from iptq_mm.engine.run.processes import OtherProcessError
from iptq_mm.engine.run.testing import evaluate


def make_parser() -> argparse.ArgumentParser:
    """The options of mm's own tools."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_model(
        parser,
        'config, such as the integer.py that tools/quantize.py wrote',
        'checkpoint',
        override='model.backbone.backend=native',
    )
    parser.add_argument(
        '--work-dir', help="folder of mmengine's log; default: work_dirs/<config name>"
    )
    parser.add_argument('--out', help='pickle file for the predictions')
    parser.add_argument(
        '--launcher', choices=['none', 'pytorch', 'slurm', 'mpi'], default='none'
    )
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0)
    return parser


@mistakes_end_it(OtherProcessError)
def main() -> int:
    """Run the tool."""
    args = make_parser().parse_args()
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    evaluate(
        args.config,
        args.checkpoint,
        work_dir=args.work_dir,
        out=args.out,
        cfg_options=args.cfg_options,
        launcher=args.launcher,
    )
    return 0


if __name__ == '__main__':
    sys.exit(main())
