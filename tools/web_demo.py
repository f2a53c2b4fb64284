"""Make the page of the browser demo: its models, samples, and the runtime.

python tools/web_demo.py WORK_DIR/integer.py ... --out work_dirs/web
python -m http.server --directory work_dirs/web

The folder holds the files of demo/web, the package of runtime/web, and for each
classifier or detector its .iptq files and pictures of its test set. Each has the digest
of the numbers that Python makes of it: the integers of the native back end, and of
detectors the boxes, scores, labels and masks of iptq_runtime.detection, too.
"""

import argparse
import json
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / 'runtime'), str(ROOT / 'runtime' / 'python')]

from runtime_checks.comparing import digest  # noqa: E402
from runtime_checks.detecting import (  # noqa: E402
    detector_in_python,
    pictures,
    pixel_bytes,
)
from runtime_checks.wasm import BuildError, WasmTarget  # noqa: E402

from iptq_mm.engine.export.detector import detector_programs, write_detector  # noqa: E402
from iptq_mm.engine.export.formats import write_program  # noqa: E402
from iptq_mm.engine.export.image_format import image_format  # noqa: E402
from iptq_mm.engine.export.program import joined_program  # noqa: E402
from iptq_mm.engine.loading.command_line import mistakes_end_it  # noqa: E402
from iptq_mm.engine.loading.example import example_batch, test_pipeline  # noqa: E402
from iptq_mm.engine.loading.models import load_quantized  # noqa: E402
from iptq_mm.program import Program  # noqa: E402
from iptq_mm.program.backends.native.program import NativeProgram  # noqa: E402
from iptq_mm.program.ir.image_format import ImageFormat  # noqa: E402
from iptq_mm.utils.files import atomic_write  # noqa: E402


def parse_args() -> argparse.Namespace:
    """The options of the tool."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        'configs', nargs='+', help='integer.py that tools/quantize.py wrote'
    )
    parser.add_argument('--out', type=Path, default=Path('work_dirs/web'))
    parser.add_argument('--samples', type=int, default=20, help='pictures of each (20)')
    return parser.parse_args()


#: From the integers of pixels to the bytes of arrays, all that has a digest.
Numbers = Callable[[torch.Tensor], Sequence[np.ndarray]]


def _samples(
    model: Any, first: Program, numbers: Numbers, loader: Any, count: int, out: Path
) -> list[dict[str, str]]:
    """Writes pictures; returns their names and the digests of what the model gives."""
    made: list[dict[str, str]] = []
    for batch, integers in pictures(model, first, loader, count):
        path = out.with_name(f'{out.name}_{len(made):02d}.png')
        # As the loader reads them: BGR.
        pixels = batch['inputs'][0].permute(1, 2, 0).numpy()
        cv2.imwrite(str(path), np.ascontiguousarray(pixels))
        made.append({'file': path.name, 'digest': digest(numbers(integers))})
    return made


def _classifier(
    model: Any, batch: Any, images: ImageFormat | None, path: Path
) -> tuple[Program, Numbers]:
    """Writes a classifier; returns its program, and what runs it."""
    program = joined_program(model, batch, images=images)
    write_program(program, path, None)
    native = NativeProgram(program)
    return program, lambda integers: [x.numpy() for x in native.run([integers])]


def _detector(
    model: Any, batch: Any, images: ImageFormat | None, path: Path
) -> tuple[Program, Numbers]:
    """Writes a detector; returns its first program, and what runs it."""
    made = detector_programs(model, batch, images)
    write_detector(made, path)
    detector = detector_in_python(made)
    first = made.programs[made.settings['trunk']['file']]
    return first, lambda integers: detector(pixel_bytes(integers)).arrays


def _model(config: str, count: int, folder: Path) -> dict[str, Any]:
    """Writes a model's files; returns what the page has to know."""
    from mmengine.runner import Runner

    cfg, model = load_quantized(config, None)
    images = image_format(model, test_pipeline(cfg))
    name = Path(config).resolve().parent.name
    kind = 'detector' if hasattr(model, 'roi_head') else 'classifier'
    file = name if kind == 'detector' else f'{name}.iptq'
    write = _detector if kind == 'detector' else _classifier
    first, numbers = write(model, example_batch(cfg), images, folder / file)
    loader = cfg.test_dataloader
    loader.update(batch_size=1, num_workers=0, persistent_workers=False)
    built = Runner.build_dataloader(loader)
    classes = built.dataset.metainfo.get('classes')
    samples = _samples(model, first, numbers, built, count, folder / name)
    about = {'name': name, 'kind': kind, 'file': file, 'samples': samples}
    return {**about, 'classes': list(classes)} if classes else about


@mistakes_end_it(RuntimeError)
def main() -> int:
    """Run the tool."""
    args = parse_args()
    try:
        package = WasmTarget().build()
    except BuildError as error:
        print(error, file=sys.stderr)
        return 1
    shutil.copytree(ROOT / 'demo' / 'web', args.out, dirs_exist_ok=True)
    shutil.copytree(package, args.out / 'iptq', dirs_exist_ok=True)
    folder = args.out / 'models'
    folder.mkdir(exist_ok=True)
    models = [_model(config, args.samples, folder) for config in args.configs]
    atomic_write(folder / 'models.json', json.dumps(models, indent=1))
    print(f'python -m http.server --directory {args.out}')
    return 0


if __name__ == '__main__':
    sys.exit(main())
