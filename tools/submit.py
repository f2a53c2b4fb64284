"""Predict a test set without labels, and write the files that its server takes.

python tools/submit.py INTEGER.PY --data configs/swin_cascade_test-dev.py --name NAME

For COCO these are ``bbox/detections_test-dev2017_NAME_results.zip`` and, with masks,
``segm/`` with a file of the same name; boxes and masks have servers of their own. For
ImageNet it is ``NAME.txt`` (``--data configs/imagenet_test.py --devkit FOLDER``).
"""

import argparse
import os
import sys

from iptq_mm.engine.loading.command_line import add_integer_model, mistakes_end_it
from iptq_mm.engine.run.processes import OtherProcessError
from iptq_mm.engine.submit.run import submit


def parse_args() -> argparse.Namespace:
    """The options of the tool."""
    parser = argparse.ArgumentParser(
        description='Write the files that the evaluation servers of COCO and ImageNet '
        'take'
    )
    add_integer_model(parser)
    parser.add_argument('--name', required=True, help='of the method, in file names')
    parser.add_argument(
        '--data',
        metavar='CONFIG',
        help='config whose test_dataloader names the images; default: the first one',
    )
    parser.add_argument(
        '--out', help='folder of the files; default: submission, beside the config'
    )
    parser.add_argument(
        '--predictions',
        metavar='FILE',
        help='pickle file of an earlier test (--out), in the place of predicting',
    )
    parser.add_argument(
        '--testset',
        help='COCO: test-dev2017 for instance; default: as the annotation file has it',
    )
    parser.add_argument(
        '--devkit', help='ImageNet: folder of the development kit, or its meta.mat'
    )
    parser.add_argument('--backend', help='what runs the integer model')
    parser.add_argument(
        '--device', help='where the model runs; default: the GPU, if there is one'
    )
    parser.add_argument(
        '--launcher', choices=['none', 'pytorch', 'slurm', 'mpi'], default='none'
    )
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0)
    return parser.parse_args()


@mistakes_end_it(OtherProcessError)
def main() -> int:
    """Run the tool."""
    args = vars(parse_args())
    os.environ.setdefault('LOCAL_RANK', str(args.pop('local_rank')))
    files = submit(args.pop('config'), args.pop('checkpoint'), **args)
    for file in files:
        print(f'wrote {file}')
    return 0


if __name__ == '__main__':
    sys.exit(main())
