"""What few calibration images leave unseen, beside the error of 8 bits.

python benchmarks/unseen.py WORK_DIR [--images 16]
"""

from __future__ import annotations

import argparse
import random
import sys
from statistics import median
from typing import Any

from bench.setup import prepare_process

#: Numbers of images that show ranges.
FEW = (1, 2, 3, 4, 6, 8)
#: Choices of them.
TRIES = 12


def seen_by_image(work_dir: str, count: int) -> list[dict[str, Any]]:
    """Statistics of the float values of every site, for each image."""
    from iptq_mm.engine.diagnose.effects import Effects
    from iptq_mm.engine.diagnose.run import config_of
    from iptq_mm.engine.diagnose.twin import twins_of
    from iptq_mm.engine.layers.models import images
    from iptq_mm.engine.report.work_dir import read_work_dir

    found = read_work_dir(work_dir)
    cfg = config_of(found, None, None, None)
    twins, made = twins_of(cfg, found.path), []
    for batch in images(cfg, 'test', count):
        measured = Effects(twins, [batch])
        with measured.measuring():
            pass
        made.append(
            {
                f'{r}:{s}': x
                for r, each in measured.seen.items()
                for s, x in each.items()
            }
        )
    return made


def main() -> int:
    """Run the tool."""
    parser = argparse.ArgumentParser(
        description='By number of images that show the ranges of all sites: what the '
        'values of other images outside of them add to the error of rounding to 8 '
        'bits, at the median site (least, middle and most of several choices), and '
        'the share of these values'
    )
    parser.add_argument('work_dir', metavar='WORK_DIR', help='of a run')
    parser.add_argument('--images', type=int, default=16, help='to choose among')
    args = parser.parse_args()
    prepare_process(1)

    from iptq_mm.engine.diagnose.images import unseen

    each = seen_by_image(args.work_dir, args.images)
    sites = [site for site in each[0] if all(site in image for image in each)]
    chosen = random.Random(0)
    print(f'{len(sites)} sites, {len(each)} images')
    print('| images | dB added | share unseen |\n|---:|---|---|')
    for few in (n for n in FEW if n < len(each)):
        rows = []
        for _ in range(TRIES):
            order = chosen.sample(each, len(each))
            pairs = [
                unseen([x[s] for x in order[:few]], [x[s] for x in order[few:]])
                for s in sites
            ]
            rows.append([median(column) for column in zip(*pairs, strict=True)])
        decibels, shares = (sorted(column) for column in zip(*rows, strict=True))
        told = ' / '.join(f'{f(decibels):.2f}' for f in (min, median, max))
        print(f'| {few} | {told} | {median(shares):.4%} |', flush=True)
    return 0


if __name__ == '__main__':
    sys.exit(main())
