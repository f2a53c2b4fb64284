"""Compare the detections of a whole detector: mmdet, Python without mm, node.

python runtime/check_detector.py WORK_DIR/integer.py --images 20

mmdet runs the quantized model with its own RoIAlign, decoding and NMS, in float32:
boxes, scores and masks are compared within a tolerance. Python without mm and node have
to give the same bits: the integers of all regions, boxes, scores, labels and masks.
With --targets, iptq-run and the file of C run the program of each region (backbone,
neck and RPN; each box head; each mask head) on the integers that entered it in Python.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

ROOT = Path(__file__).resolve().parent
sys.path.insert(0, str(ROOT / 'python'))

from iptq_runtime.detection import Detector  # noqa: E402
from runtime_checks.comparing import digest  # noqa: E402
from runtime_checks.detecting import (  # noqa: E402
    Differences,
    detected_in_node,
    pictures,
    pixel_bytes,
)
from runtime_checks.machines import NAMES, machines  # noqa: E402
from runtime_checks.regions import RecordedModel, differing  # noqa: E402
from runtime_checks.targets import TARGETS  # noqa: E402

from iptq_mm.engine.export.detector import (  # noqa: E402
    DetectorPrograms,
    detector_programs,
    write_detector,
)
from iptq_mm.engine.export.image_format import image_format  # noqa: E402
from iptq_mm.engine.loading.example import example_batch, test_pipeline  # noqa: E402
from iptq_mm.engine.loading.models import load_quantized  # noqa: E402
from iptq_mm.program import use_backend  # noqa: E402

#: Objects below it are not looked for: they come and go with the last bit of a score.
LEAST = 0.1
#: What mmdet's float32 may differ by: pixels, score, intersection over union of masks.
BOX, SCORE, MASK = 0.1, 0.02, 0.98


def parse_args() -> argparse.Namespace:
    """The options of the script."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('config', help='integer.py that tools/quantize.py wrote')
    parser.add_argument('checkpoint', nargs='?')
    parser.add_argument('--images', type=int, default=20, help='how many (20)')
    parser.add_argument(
        '--targets', nargs='+', choices=NAMES, default=[], help='where regions are run'
    )
    return parser.parse_args()


def node_differs(made: DetectorPrograms, images: list, wanted: list[str]) -> bool:
    """Whether node gives other bits, or cannot be asked."""
    target = TARGETS['wasm']
    if target.missing():
        print(f'LEFT OUT: {target.missing()}')
        return False
    package = target.build()
    differs = False
    with tempfile.TemporaryDirectory() as folder:
        write_detector(made, folder)
        for level in target.levels(target.command(package)):
            found = detected_in_node(package, Path(folder), images, level)
            same = [x['digest'] == y for x, y in zip(found, wanted, strict=True)]
            print(f'node, {level}: the bits of Python on {sum(same)} of {len(same)}')
            differs |= not all(same)
    return differs


def regions_differ(models: dict[str, RecordedModel], targets: list[str]) -> bool:
    """Whether a machine gives other integers of a region, or none can be asked."""
    for name, model in models.items() if targets else []:
        print(f'{name}: {len(model.given)} calls, {model.digest}', flush=True)
    found = []
    for machine in machines(targets):
        start = time.monotonic()
        found.append(differing(models, machine))
        said = 'the integers of Python'
        if found[-1]:
            said = f'OTHERS THAN IN PYTHON: {", ".join(found[-1])}'
        print(f'{machine.name}: {said}, {time.monotonic() - start:.0f} s', flush=True)
    return any(found) or bool(targets and not found)


def mm_model(config: str, checkpoint: str | None) -> tuple[Any, Any, DetectorPrograms]:
    """The model, its test images one by one, and its programs."""
    from mmengine.runner import Runner

    cfg, model = load_quantized(config, checkpoint)
    look = image_format(model, test_pipeline(cfg))
    made = detector_programs(model, example_batch(cfg), look)
    loader = cfg.test_dataloader
    loader.update(batch_size=1, num_workers=0, persistent_workers=False)
    use_backend(model, 'native')
    return model, Runner.build_dataloader(loader), made


@torch.no_grad()
def main() -> int:
    """Run the script."""
    args = parse_args()
    model, loader, made = mm_model(args.config, args.checkpoint)
    models = {name: RecordedModel(program) for name, program in made.programs.items()}
    detector = Detector(made.settings, models)
    first = made.programs[made.settings['trunk']['file']]
    images, wanted, beside = [], [], Differences()
    for batch, integers in pictures(model, first, loader, args.images):
        images.append(pixel_bytes(integers))
        found = detector(images[-1])
        wanted.append(digest(found.arrays))
        beside.add(found, model.test_step(batch)[0].pred_instances, LEAST)
    print(f'mmdet and Python without it, {len(images)} images: {beside}')
    far = beside.box > BOX or beside.score > SCORE or beside.mask < MASK
    far |= beside.missing > 0
    if far:
        print('FARTHER THAN float32 explains')
    far |= regions_differ(models, args.targets)
    return int(node_differs(made, images, wanted) or far)


if __name__ == '__main__':
    sys.exit(main())
